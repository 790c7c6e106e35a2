"""A lost store rebuilt from the ledger: what the books say becomes what the store is given back.

The ledger holds money and ids, but no prompt and no picture. So an edit that was under way comes back as unresolved,
with its money held, until the reconciler or an operator knows more.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from adapters.contract import Edit, HttpCall, ModelSize, Step, Tier
from gateway.ledger.restore import DaySpending, KnownKey, OpenAttempt, OpenEdit, Restoration
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
_END = End(
    status=Status.UNRESOLVED,
    problem=Problem(kind="unresolved", detail="the store was lost while this edit was under way; its money stays held"),
)


def spending(found: Restoration) -> list[Spent]:
    return [_spent(day) for day in found.days if day.spent_micro]


def _spent(day: DaySpending) -> Spent:
    noon = datetime(day.day.year, day.day.month, day.day.day, 12, tzinfo=UTC)
    at_ms = int(noon.timestamp() * 1000)
    return Spent(team=day.team, key_id=day.key_id, at_ms=at_ms, spent_micro=day.spent_micro)


def lost_edits(found: Restoration, accepted: Mapping[str, Row]) -> list[LostEdit]:
    """Every edit that still holds money. One without an open attempt gets a made-up one for its whole hold: the rows
    that the ledger lacks may have held a real one. `accepted` are the accept rows of these edits, by edit."""
    keys = {key.edit: key.key_hash for key in found.keys if key.until_ms is None}
    return [_lost(one, accepted.get(one.edit), keys.get(one.edit)) for one in found.open_edits if one.held_micro > 0]


def _lost(one: OpenEdit, accepted: Row | None, key_hash: str | None) -> LostEdit:
    tier = Tier(accepted.tier) if accepted and accepted.tier else Tier.PREVIEW
    policy = (accepted and accepted.policy) or RESTORED
    attempts = tuple(_attempt(number, each) for number, each in enumerate(one.unresolved, 1))
    record = EditRecord(
        id=one.edit,
        team=one.team,
        key_id=one.key_id,
        origin=one.origin or "",
        edit=replace(_LOST, n=(accepted and accepted.pictures) or 1),
        wish=Wish(tier=tier, policy=policy, metadata=accepted.tags if accepted else {}),
        plan=Plan(policy=policy, tier=tier, candidates=()),
        revision=RESTORED,
        status=Status.UNRESOLVED,
        created_ms=one.accepted_ms,
        attempts=attempts or (_made_up(one),),
        end=_END,
    )
    return LostEdit(record=record, held_micro=one.held_micro, key_hash=key_hash)


def _attempt(number: int, attempt: OpenAttempt) -> AttemptRecord:
    offer = attempt.offer or _NOWHERE
    return AttemptRecord(
        id=attempt.id or "",
        number=number,
        offer=offer,
        provider=offer.partition("/")[0],
        price_micro=attempt.quoted_micro,
        state=AttemptState.UNRESOLVED,
        call=_NO_CALL,
        message="the store was lost before its end was known",
    )


def _made_up(one: OpenEdit) -> AttemptRecord:
    return _attempt(1, OpenAttempt(number=1, id=None, offer=None, quoted_micro=one.held_micro))


def known_keys(found: Restoration) -> list[LostKey]:
    """Those of edits that ended, or that come back. An edit that held nothing is gone, and a repeat makes it anew."""
    held = {one.edit for one in found.open_edits if one.held_micro > 0}
    return [_key(key) for key in found.keys if key.fingerprint is not None and (key.until_ms or key.edit in held)]


def _key(key: KnownKey) -> LostKey:
    return LostKey(
        team=key.team, key_hash=key.key_hash, fingerprint=key.fingerprint or "", edit=key.edit, ends_ms=key.until_ms
    )
