"""The way from the store's outbox into the books: read, write, then forget, so that each row arrives at least once, and
by its id exactly once. While SQL is away the stream keeps what it has and grows; no edit waits for it.

All processes read as one consumer. A consumer each would be usual, but their names are never used again after a
restart, and removing one that still has entries would lose them. Whatever a process took and did not write is taken by
any other once it is stale; taking it twice costs a write that changes nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError

from gateway.clock import Clock
from gateway.ledger.book import BATCH, Book
from gateway.ledger.connection import LedgerUnavailable, RowRefused
from gateway.ledger.entries import Entry, entry, kept
from gateway.ledger.rows import Row
from gateway.observe import log
from gateway.state import keys
from gateway.state.connection import StoreUnavailable, unavailable
from gateway.task import end

STREAM = keys.LEDGER
ASIDE = f"{keys.LEDGER}:aside"
_GROUP, _CONSUMER = "books", "drain"
_REST_S, _LONGEST_PAUSE_S = 0.5, 30.0
_FINISH_S = 5.0  # how long an ending gateway waits for the batch that is under way

RawEntries: TypeAlias = "Sequence[tuple[bytes, Mapping[bytes, bytes]]]"


class Backlog(Struct, frozen=True):
    """What is not in the books yet. `oldest_ms` is when its first row was put there, by the store's clock (None: no row
    waits); `aside` counts the entries that could not be read and wait for a person. `at_ms`: when this was read, by the
    same clock."""

    rows: int
    oldest_ms: int | None
    aside: int
    at_ms: int


class Outbox:
    """Drains one store into one book. `stale_ms`: how long a process may hold an entry before another takes it over.
    `failed` is called each time that rows could not be brought over."""

    def __init__(
        self,
        store: Redis,
        book: Book,
        clock: Clock,
        *,
        stale_ms: int = 15_000,
        failed: Callable[[], None] | None = None,
    ) -> None:
        self._store, self._book, self._clock = store, book, clock
        self._stale_ms, self._failed = stale_ms, failed
        self._failures = 0
        self._batch = asyncio.Lock()

    async def run(self) -> None:
        """Drains for ever, until it is cancelled. After a failure it pauses, longer each time, and goes on."""
        while True:
            await self._clock.sleep(await self._turn())

    async def _turn(self) -> float:
        """Drains what is there, and says how many seconds to wait."""
        try:
            while await self.drain_once() >= BATCH:
                pass
        except (LedgerUnavailable, StoreUnavailable) as error:
            return self._pause_s(error)
        except Exception as error:  # noqa: BLE001 - a defect must not end the drain: the rows wait, and this line says so
            log.error("ledger_drain_failed", error=type(error).__name__, exc_info=error)
            return self._pause_s(error)
        self._failures = 0
        return _REST_S

    def _pause_s(self, error: Exception) -> float:
        self._failures += 1
        if self._failed:
            self._failed()
        most_s = min(_LONGEST_PAUSE_S, _REST_S * 2 ** min(self._failures, 10))
        log.warning("ledger_behind", error=str(error), failures=self._failures)
        return most_s * (0.5 + self._clock.chance() / 2)

    async def drain_once(self) -> int:
        """Takes up to a batch of new entries and one of stale ones, writes them, and forgets them. Gives how many.

        Raises `LedgerUnavailable` and `StoreUnavailable`: nothing is lost then, and the next call goes on.
        """
        async with self._batch:
            return await self._drain_once()

    async def _drain_once(self) -> int:
        entries = [entry(raw_id, fields) for raw_id, fields in await self._take()]
        if not entries:
            return 0
        unread = [each for each in entries if each.row is None]
        refused = await self._write([each for each in entries if each.row is not None])
        await self._forget(entries, [*unread, *refused])
        return len(entries)

    async def finish(self, run: asyncio.Task[None]) -> None:
        """Ends the task that runs this between two batches, and closes. A cancel within a batch would leave the rows
        that it took to another process, and to that one only when they are stale."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_S), self._batch:
                await end(run)
        await end(run)
        await self.aclose()

    async def aclose(self) -> None:
        """Writes what is there, if it can; what it cannot, the next process will."""
        try:
            while await self.drain_once() >= BATCH:
                pass
        except (LedgerUnavailable, StoreUnavailable) as error:
            log.warning("ledger_behind", error=str(error), at="shutdown")

    async def backlog(self) -> Backlog:
        """Raises `StoreUnavailable`."""
        with unavailable():
            pipe = self._store.pipeline(transaction=False)
            pipe.xlen(STREAM)
            pipe.xrange(STREAM, count=1)
            pipe.hlen(ASIDE)
            pipe.time()  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            length, first, aside, time = cast("tuple[int, RawEntries, int, tuple[int, int]]", await _replies(pipe))
        oldest_ms = int(first[0][0].partition(b"-")[0]) if first else None
        return Backlog(rows=length, oldest_ms=oldest_ms, aside=aside, at_ms=time[0] * 1000 + time[1] // 1000)

    async def waiting(self) -> AsyncGenerator[Row]:
        """The rows that are not in the books yet, in order, for whoever must see all; they stay where they are.

        Read this before the books: a row that moves meanwhile is then seen twice, and not missed.
        """
        start = "-"
        while page := await self._page(start):
            for raw_id, fields in page:
                if (row := entry(raw_id, fields).row) is not None:
                    yield row
            start = f"({page[-1][0].decode('ascii')}"

    async def _page(self, start: str) -> RawEntries:
        with unavailable():
            return cast("RawEntries", await self._store.xrange(STREAM, min=start, count=BATCH))

    # --- taking, writing, forgetting ----------------------------------------------------------------------------------

    async def _take(self) -> RawEntries:
        with unavailable():
            try:
                return await self._read()
            except ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
            await self._make_group()
            return await self._read()

    async def _read(self) -> RawEntries:
        """The stale first: they are the oldest."""
        pipe = self._store.pipeline(transaction=False)
        pipe.xautoclaim(STREAM, _GROUP, _CONSUMER, min_idle_time=self._stale_ms, count=BATCH)
        pipe.xreadgroup(_GROUP, _CONSUMER, {STREAM: ">"}, count=BATCH)
        claimed, read = await _replies(pipe)
        stale = cast("RawEntries", claimed[1])
        fresh = [each for _, entries in cast("Sequence[tuple[bytes, RawEntries]]", read) for each in entries]
        return [*stale, *fresh]

    async def _make_group(self) -> None:
        """From the stream's beginning: entries may be older than the group."""
        try:
            await self._store.xgroup_create(STREAM, _GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # another process was faster
                raise

    async def _write(self, entries: Sequence[Entry]) -> list[Entry]:
        """Writes a batch. Where the database cannot hold one of its rows, each is tried alone; gives those refused."""
        try:
            await self._book.write([each.row for each in entries if each.row is not None])
        except RowRefused as refused:
            if len(entries) == 1:
                return [replace(entries[0], fault=str(refused))]
            return [bad for each in entries for bad in await self._write([each])]
        return []

    async def _forget(self, entries: Sequence[Entry], aside: Sequence[Entry]) -> None:
        """Acknowledges and deletes in one step, and sets aside in the same one what could not be written: in a hash by
        its id, since a repeated XADD would add it twice."""
        ids = [each.id for each in entries]
        with unavailable():
            pipe = self._store.pipeline(transaction=True)
            if aside:
                pipe.hset(ASIDE, mapping={each.id: kept(each) for each in aside})
            pipe.xack(STREAM, _GROUP, *ids)
            pipe.xdel(STREAM, *ids)
            await _replies(pipe)
        for each in aside:
            log.error("ledger_row_set_aside", entry=each.id, fault=each.fault, kept_in=ASIDE)


async def _replies(pipe: Pipeline) -> tuple[Any, ...]:
    """The replies, or the first error in the store's own words: a pipeline that raises puts words of its own before."""
    try:
        replies: list[Any] = await pipe.execute(raise_on_error=False)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
    except ResponseError as error:
        raise StoreUnavailable("The store refused the outbox's commands.") from error
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return tuple(replies)
