"""The store at one instant, as plain data for the audit, taken beside a running gateway."""

from typing import cast

from redis.asyncio import Redis

from gateway.ledger.entries import place
from gateway.ledger.evidence import StoredAttempt, StoredEdit, StoredWindow, StoreSnapshot
from gateway.state import keys
from gateway.state.connection import unavailable
from gateway.state.documents import read_edit
from gateway.state.records import AttemptRecord

_TRIES = 10
_EMPTY = b"0-0"


async def take_snapshot(store: Redis) -> StoreSnapshot | None:
    """Windows, edits and the outbox's last entry in one transaction; again where a new one of either came between the
    listing and the reading. None where new ones came every time: a part would be no instant."""
    names = await _names(store)
    found = await _read(store, names)
    for _ in range(_TRIES):
        again = await _names(store)
        if again == names:
            return found
        names, found = again, await _read(store, again)
    return None


async def _names(store: Redis) -> tuple[str, ...]:
    return tuple(sorted([*await _listed(store, keys.BUDGET), *await _listed(store, keys.EDIT)]))


async def _listed(store: Redis, prefix: str) -> set[str]:
    with unavailable():
        return {name.decode() async for name in store.scan_iter(match=f"{prefix}*", count=500)}  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - redis-py's own


async def _read(store: Redis, names: tuple[str, ...]) -> StoreSnapshot:
    with unavailable():
        has_outbox = bool(await store.exists(keys.LEDGER))
        pipe = store.pipeline(transaction=True)
        pipe.time()  # pyright: ignore[reportUnknownMemberType] - redis-py's own
        for name in names:
            pipe.hgetall(name)
        if has_outbox:
            pipe.xinfo_stream(keys.LEDGER)
        (seconds, _), *hashes = await pipe.execute()
    told = cast("dict[str, bytes]", hashes.pop()) if has_outbox else {}
    last = told.get("last-generated-id", _EMPTY).decode()
    # An outbox without an entry yet is a new or a restored store's: every row of the ledger is older than it.
    last = f"{int(seconds) * 1000}-0" if last == _EMPTY.decode() else last
    read = list(zip(names, cast("list[dict[bytes, bytes]]", hashes), strict=True))
    return StoreSnapshot(
        windows=tuple(_window(name, fields) for name, fields in read if name.startswith(keys.BUDGET)),
        edits=tuple(_edit(fields) for name, fields in read if name.startswith(keys.EDIT) and fields),
        place=place(last),
    )


def _window(name: str, fields: dict[bytes, bytes]) -> StoredWindow:
    """`…budget:team:growth:month:2027-01` is the scope `team:growth` in the window `month:2027-01`."""
    head, _, last = name.removeprefix(keys.BUDGET).rpartition(":")
    scope, _, kind = head.rpartition(":") if last != "total" else (head, "", "")
    window = last if last == "total" else f"{kind}:{last}"
    return StoredWindow(scope, window, int(fields.get(b"spent", b"0")), int(fields.get(b"held", b"0")))


def _edit(fields: dict[bytes, bytes]) -> StoredEdit:
    record = read_edit(fields)
    return StoredEdit(
        id=record.id,
        status=record.status.value,
        held_micro=int(fields.get(b"held", b"0")),
        is_restored=record.revision == "restored",
        attempts=tuple(_attempt(attempt) for attempt in record.attempts),
    )


def _attempt(attempt: AttemptRecord) -> StoredAttempt:
    return StoredAttempt(
        number=attempt.number,
        state=attempt.state.value,
        opened_ms=attempt.opened_ms,
        posted_ms=attempt.posted_ms,
        cost_micro=attempt.cost_micro,
    )
