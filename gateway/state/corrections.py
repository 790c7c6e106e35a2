"""Late truth about money: an operator's or the reconciler's word on attempts that are over, and what waits for it.

An attempt that was left unresolved is resolved: settled at a cost, or released; with the last one its edit ends. One
that is settled or released stays so, and what it cost otherwise is posted as a difference. Both are steps like all
others, but with an operation id of the caller's instead of owner and epoch: an edit that is over is nobody's.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import msgspec
from redis.asyncio import Redis

from gateway.ledger.rows import Mark
from gateway.observe import log
from gateway.state import events, keys
from gateway.state.arguments import cost
from gateway.state.budgets import MOST_AMOUNT_MICRO
from gateway.state.connection import unavailable
from gateway.state.documents import read_edit, write_attempt, write_end, write_row
from gateway.state.edits import WEEK_MS, IllegalMove
from gateway.state.entries import correct_row, finish_row, release_row, resolve_row
from gateway.state.messages import message
from gateway.state.records import AttemptRecord, EditRecord, End
from gateway.state.scripts import Reply, Scripts, Step, TooFewReplicas


class Corrections:
    """`keep_ms`: how long a terminal record stays once nothing of it is unresolved."""

    def __init__(
        self,
        store: Redis,
        *,
        keep_ms: int = WEEK_MS,
        min_replicas: int = 0,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._store = store
        self._scripts = Scripts(store, clock, min_replicas=min_replicas)
        self._keep_ms = keep_ms

    async def unresolved(self, limit: int) -> tuple[EditRecord, ...]:
        """Edits that hold money for an unresolved attempt, those that wait longest first."""
        with unavailable():
            listed = self._store.zrange(keys.UNRESOLVED, 0, limit - 1)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            ids = await cast("Awaitable[list[bytes]]", listed)
            pipeline = self._store.pipeline(transaction=False)
            for edit_id in ids:
                pipeline.hgetall(keys.EDIT + edit_id.decode())
            hashes = cast("list[dict[bytes, bytes]]", await pipeline.execute())
        found = zip(ids, hashes, strict=True)
        return tuple(record for name, fields in found if fields and (record := _readable(name.decode(), fields)))

    async def unresolved_count(self) -> int:
        """How many there are, for a metric."""
        with unavailable():
            return await self._store.zcard(keys.UNRESOLVED)

    async def resolve(
        self, record: EditRecord, attempt: AttemptRecord, end: End, *, operation: str, note: str
    ) -> EditRecord:
        """Settles an unresolved attempt at its cost, or releases it: `attempt` as it shall be. `end` takes effect if no
        other attempt of an unresolved edit is unresolved then; an edit that has another end already keeps it.

        `operation` names this act: a repeat changes nothing. `note` says who, or why. Raises `IllegalMove` for an edit
        that is still worked on, and for an attempt that is not unresolved.
        """
        await self._step(
            Step.RESOLVE,
            record.id,
            (
                keys.EDIT + record.id,
                keys.LEDGER,
                keys.UNRESOLVED,
                keys.LISTED,
                keys.team_endpoints(record.team),
            ),
            record.id,
            operation,
            attempt.number,
            attempt.state,
            write_attempt(attempt),
            cost(attempt),
            write_row(resolve_row(record, attempt, operation, note)),
            end.status,
            write_end(end),
            write_row(finish_row(record, end)),
            self._keep_ms,
            events.finished(end),
            *message(record, end),
        )
        return await self._read(record.id)

    async def held_micro(self, edit_id: str) -> int:
        """What an edit holds."""
        with unavailable():
            return int(await cast("Awaitable[bytes | None]", self._store.hget(keys.EDIT + edit_id, "held")) or 0)

    async def release(self, record: EditRecord, end: End, *, operation: str, note: str) -> EditRecord:
        """Ends an unresolved edit of which no attempt is: a lost store brought it back so, with all that it held.

        As in `resolve`. Raises `IllegalMove` for any other edit.
        """
        await self._step(
            Step.RELEASE,
            record.id,
            (
                keys.EDIT + record.id,
                keys.LEDGER,
                keys.UNRESOLVED,
                keys.LISTED,
                keys.team_endpoints(record.team),
            ),
            record.id,
            operation,
            end.status,
            write_end(end),
            write_row(release_row(record, end, note)),
            self._keep_ms,
            *message(record, end),
        )
        return await self._read(record.id)

    async def _read(self, edit_id: str) -> EditRecord:
        with unavailable():
            fields = await cast("Awaitable[dict[bytes, bytes]]", self._store.hgetall(keys.EDIT + edit_id))
        return read_edit(fields)

    async def correct(
        self,
        record: EditRecord,
        number: int,
        difference_micro: int,
        *,
        operation: str,
        source: str,
        note: str,
        mark: Mark | None = None,
    ) -> None:
        """Adds a difference, which may be negative, to what attempt `number` cost. Its state stays as it is.

        `source` says whose figure it is: provider or operator; `mark` why it is a second charge, if it is one. Raises
        `IllegalMove` for an attempt that is not closed, or would have cost less than nothing, and for an edit that the
        store no longer holds.
        """
        if not -MOST_AMOUNT_MICRO <= difference_micro <= MOST_AMOUNT_MICRO:
            raise ValueError(f"a difference is at most {MOST_AMOUNT_MICRO} micro-dollars, not {difference_micro}")
        attempt = _attempt(record, number)
        await self._step(
            Step.CORRECT,
            record.id,
            (keys.EDIT + record.id, keys.LEDGER),
            operation,
            number,
            difference_micro,
            write_row(correct_row(record, attempt, difference_micro, operation, source, note, mark)),
        )

    async def _step(self, step: Step, edit_id: str, names: tuple[str, ...], *args: str | bytes | int) -> Reply:
        try:
            reply = await self._scripts.run(step, names, *args)
        except TooFewReplicas as late:
            return late.reply
        if reply[0] == b"illegal":
            raise IllegalMove(f"{edit_id}: {cast('bytes', reply[1]).decode()}")
        return reply


def _readable(edit: str, fields: Mapping[bytes, bytes]) -> EditRecord | None:
    """None for a record that this release cannot read: another one will, and the others need not wait for it."""
    try:
        return read_edit(fields)
    except (msgspec.DecodeError, ValueError) as error:
        log.error("edit_unreadable", edit=edit, error=str(error))
        return None


def _attempt(record: EditRecord, number: int) -> AttemptRecord:
    for attempt in record.attempts:
        if attempt.number == number:
            return attempt
    raise IllegalMove(f"{record.id}: attempt {number} was never opened")
