"""A lost store rebuilt from the ledger: what the books say becomes what the store is given back.

The ledger holds money and ids, but no prompt and no picture. So an edit that was under way comes back as unresolved,
with its money held, until the reconciler or an operator knows more. Attempts that had ended come back as they ended.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from adapters.contract import Edit, FailureKind, HttpCall, ModelSize, Step, Tier
from gateway.ledger.accounts import AttemptAccount, Standing
from gateway.ledger.restore import DaySpending, KnownKey, OpenEdit, Restoration
from gateway.ledger.rows import Row
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Problem, Status, Wish
from gateway.state.restore import LostEdit, LostKey, Spent
from policies.plans import Plan

RESTORED = "restored"
"""The revision of such a record; any other names a configuration."""

_NOWHERE = "unknown/unknown"
_NO_CALL = HttpCall(step=Step.LOOK_UP, method="GET", url="")
# Without a picture there is no shape to take a size from; and what a provider kept of the prompt cannot be compared.
_LOST = Edit(prompt="", images=(), size=ModelSize(), enhance_prompt=True)
_HELD = "the store was lost while this edit was under way; its money stays held"
_UNKNOWN = f"{_HELD} until an operator says that nothing was bought, since no attempt of it had reached the ledger"
_AFTER = "the store was lost after this edit had ended; what it delivered is not known any more"
_KINDS = frozenset(kind.value for kind in FailureKind)
_STATES = {
    Standing.OPEN: AttemptState.UNRESOLVED,
    Standing.UNRESOLVED: AttemptState.UNRESOLVED,
    Standing.SETTLED: AttemptState.SETTLED,
    Standing.RELEASED: AttemptState.RELEASED,
}


def spending(found: Restoration) -> list[Spent]:
    return [_spent(day) for day in found.days if day.spent_micro]


def _spent(day: DaySpending) -> Spent:
    noon = datetime(day.day.year, day.day.month, day.day.day, 12, tzinfo=UTC)
    at_ms = int(noon.timestamp() * 1000)
    return Spent(team=day.team, key_id=day.key_id, at_ms=at_ms, spent_micro=day.spent_micro)


def lost_edits(found: Restoration, accepted: Mapping[str, Row]) -> list[LostEdit]:
    """Every edit that still holds money. `accepted` are the accept rows of these edits, by edit.

    Of one that ran without an open attempt nothing can have been sent by what the rows say; but the row of an attempt
    may have been lost with the store. So its whole hold stays, without an attempt, and an operator ends it.
    """
    keys = {key.edit: key.key_hash for key in found.keys if key.until_ms is None}
    return [_lost(one, accepted.get(one.edit), keys.get(one.edit)) for one in found.open_edits if one.held_micro > 0]


def _lost(one: OpenEdit, accepted: Row | None, key_hash: str | None) -> LostEdit:
    tier = Tier(accepted.tier) if accepted and accepted.tier else Tier.PREVIEW
    policy = (accepted and accepted.policy) or RESTORED
    end = _end(one)
    record = EditRecord(
        id=one.edit,
        team=one.team,
        key_id=one.key_id,
        origin=one.origin or "",
        edit=replace(_LOST, n=(accepted and accepted.pictures) or 1),
        wish=Wish(tier=tier, policy=policy, metadata=accepted.tags if accepted else {}),
        plan=Plan(policy=policy, tier=tier, candidates=()),
        revision=RESTORED,
        status=end.status,
        created_ms=one.accepted_ms,
        finished_ms=one.finished_ms,
        attempts=tuple(_attempt(each) for each in one.attempts),
        end=end,
    )
    return LostEdit(record=record, held_micro=one.held_micro, spent_micro=one.spent_micro, key_hash=key_hash)


def _end(one: OpenEdit) -> End:
    """The end that the rows tell, else unresolved."""
    status = Status(one.outcome) if one.outcome else Status.UNRESOLVED
    if status is Status.SUCCEEDED:
        return End(status=status, offer=one.offer, cost_micro=one.spent_micro, notes=(_AFTER,))
    if status is Status.UNRESOLVED:
        problem = Problem(kind="unresolved", detail=_HELD if one.unresolved else _UNKNOWN)
    else:
        problem = Problem(kind="moderated" if status is Status.REFUSED else "lost", detail=_AFTER)
    return End(status=status, cost_micro=one.spent_micro, problem=problem)


def _attempt(one: AttemptAccount) -> AttemptRecord:
    offer, state = one.offer or _NOWHERE, _STATES[one.standing]
    is_settled, is_lost = state is AttemptState.SETTLED, state is AttemptState.UNRESOLVED
    return AttemptRecord(
        id=one.id or "",
        number=one.number,
        offer=offer,
        provider=offer.partition("/")[0],
        price_micro=one.quoted_micro,
        state=state,
        call=_NO_CALL,
        closed_ms=one.ended_ms,
        cost_micro=one.charged_micro if is_settled else None,
        cost_source=one.source if is_settled else None,
        failure=FailureKind(one.outcome) if one.outcome in _KINDS else None,
        message="the store was lost before its end was known" if is_lost else "",
    )


def known_keys(found: Restoration) -> list[LostKey]:
    """Those of edits that ended, or that come back. An edit that held nothing is gone, and a repeat makes it anew."""
    held = {one.edit for one in found.open_edits if one.held_micro > 0}
    return [_key(key) for key in found.keys if key.fingerprint is not None and (key.until_ms or key.edit in held)]


def _key(key: KnownKey) -> LostKey:
    return LostKey(
        team=key.team, key_hash=key.key_hash, fingerprint=key.fingerprint or "", edit=key.edit, ends_ms=key.until_ms
    )
