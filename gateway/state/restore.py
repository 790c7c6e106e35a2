"""A lost store, rebuilt from the books: what was spent and is held, idempotency keys, and edits that were under way.

The books hold no prompt and no call, so an edit that was open cannot go on. It comes back as unresolved, with its money
held: an operator or the reconciler settles or releases each attempt that is unresolved, as of any other.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from msgspec import Struct
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.arguments import cost
from gateway.state.budgets import MOST_CAP_MICRO, accounts
from gateway.state.documents import write_attempt, write_edit, write_end
from gateway.state.edits import IllegalMove
from gateway.state.records import AttemptRecord, AttemptState, EditRecord
from gateway.state.scripts import Scripts, Step


class Spent(Struct, frozen=True, kw_only=True):
    """What a key spent on edits that were accepted on the UTC day of `at_ms`."""

    team: str
    key_id: str
    at_ms: int
    spent_micro: int


class LostEdit(Struct, frozen=True, kw_only=True):
    """An edit that still holds money. `record` is what is known of it: `created_ms`, its end, and its attempts, all of
    them ended; `finished_ms` and `closed_ms` of 0 are now. It holds `held_micro`, at least the prices of those that are
    unresolved; where none is, all of it is kept for what is not known."""

    record: EditRecord
    held_micro: int
    spent_micro: int = 0
    key_hash: str | None = None


class LostKey(Struct, frozen=True, kw_only=True):
    """An idempotency key that leads to `edit` until `ends_ms`; None: until a day after that edit's end."""

    team: str
    key_hash: str
    fingerprint: str
    edit: str
    ends_ms: int | None


class Restore:
    def __init__(self, store: Redis, *, min_replicas: int = 0, clock: Callable[[], int] | None = None) -> None:
        self._scripts = Scripts(store, clock, min_replicas=min_replicas)

    async def restore(
        self, spent: Iterable[Spent], edits: Sequence[LostEdit], known: Sequence[LostKey], *, operation: str
    ) -> None:
        """One step; `operation` names it, and a repeat changes nothing. `IllegalMove`: the store is not empty."""
        reply = await self._scripts.run(
            Step.RESTORE,
            (keys.GATEWAY_TOTAL, keys.UNRESOLVED),
            operation,
            *_accounts(spent, edits),
            len(edits),
            *(word for edit in edits for word in _edit(edit)),
            len(known),
            *(word for key in known for word in _key(key)),
        )
        if reply[0] == b"illegal":
            raise IllegalMove(cast("bytes", reply[1]).decode())


def _accounts(spent: Iterable[Spent], edits: Sequence[LostEdit]) -> tuple[str | int, ...]:
    spending, holding = Counter[str](), Counter[str]()
    for one in spent:
        for account in accounts(one.team, one.key_id, one.at_ms):
            spending[account] += one.spent_micro
    for edit in edits:
        for account in _accounts_of(edit.record):
            holding[account] += edit.held_micro
    names = sorted(spending.keys() | holding.keys())
    for name in names:
        if not 0 <= spending[name] + holding[name] <= MOST_CAP_MICRO:
            raise ValueError(f"{name} cannot have spent {spending[name]} and hold {holding[name]} micro-dollars")
    return len(names), *(word for name in names for word in (name, spending[name], holding[name]))


def _accounts_of(record: EditRecord) -> tuple[str, ...]:
    return accounts(record.team, record.key_id, record.created_ms)


def _edit(lost: LostEdit) -> tuple[str | bytes | int, ...]:
    record = lost.record
    assert record.end is not None
    kept = _kept_micro(lost)
    claim = "" if lost.key_hash is None else keys.idempotency_key(record.team, lost.key_hash)
    return (
        record.id,
        keys.EDIT + record.id,
        keys.team_edits(record.team),
        "\n".join(_accounts_of(record)),
        record.created_ms,
        write_edit(record),
        write_end(record.end),
        record.end.status,
        record.finished_ms or "",
        lost.held_micro,
        kept,
        lost.spent_micro,
        claim,
        len(record.attempts),
        *(word for attempt in record.attempts for word in _attempt(attempt)),
    )


def _kept_micro(lost: LostEdit) -> int:
    unresolved = [each.price_micro for each in lost.record.attempts if each.state is AttemptState.UNRESOLVED]
    kept = sum(unresolved) if unresolved else lost.held_micro
    if kept > lost.held_micro:
        raise ValueError(f"{lost.record.id} holds {lost.held_micro} micro-dollars for attempts of {kept}")
    return kept


def _attempt(attempt: AttemptRecord) -> tuple[str | bytes | int, ...]:
    if attempt.state.is_open:
        raise ValueError(f"attempt {attempt.number} is {attempt.state}: only what has ended is given back")
    closed = attempt.closed_ms or ""
    return attempt.number, write_attempt(attempt), attempt.state, attempt.price_micro, cost(attempt), closed


def _key(key: LostKey) -> tuple[str | int, ...]:
    name = keys.idempotency_key(key.team, key.key_hash)
    return name, key.fingerprint, key.edit, "" if key.ends_ms is None else key.ends_ms
