"""What edits tell: one stream of events for each, written by their steps, so that any replica can serve it and a
reader can go on at any replica where it left off.

All streams that are read here are waited for on one connection. The same connection hears what other replicas call
this one for: somebody wants an edit of ours cancelled, or a provider has called back about one. When the store is away,
reading raises `StoreUnavailable`, and waiting tries again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias, cast

from msgspec import Struct
from redis.asyncio import Redis

from gateway.clock import Clock
from gateway.observe import log
from gateway.state import keys
from gateway.state.connection import StoreUnavailable, unavailable
from gateway.task import end

_Entries: TypeAlias = "list[tuple[bytes, dict[bytes, bytes]]]"

START = "0-0"
MOST_WATCHED = 1_000
_AT_ONCE = 100
_MOST_CALLS = 1_000
_PAUSE_S = 1.0


class Event(Struct, frozen=True):
    """`id` grows along a stream. `data` is JSON."""

    id: str
    name: str
    data: bytes


class Watch:
    """One reader's wait for news of an edit."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.is_over = False

    def tell(self) -> None:
        self._news.set()

    def hang_up(self) -> None:
        self.is_over = True
        self._news.set()

    async def news(self, within_s: float) -> bool:
        """Whether something may have been told since the last call."""
        try:
            await asyncio.wait_for(self._news.wait(), within_s)
        except TimeoutError:
            return False
        self._news.clear()
        return True


class Feed:
    """`replica` is this one's name, by which others call it. `block_ms`: how long one wait at the store is; less than
    the client's patience for an answer."""

    def __init__(self, store: Redis, replica: str, clock: Clock, *, block_ms: int = 1_000) -> None:
        self._store, self._clock, self._block_ms = store, clock, block_ms
        self._calls = keys.CALLS + replica
        self._cursors: dict[str, str] = {self._calls: START}
        self._watches: dict[str, list[Watch]] = {}
        self._is_over = False

    async def read(self, edit_id: str, after: str = START) -> tuple[Event, ...]:
        """The events that come after `after`, at most a hundred."""
        with unavailable():
            found = self._store.xrange(keys.EVENTS + edit_id, f"({after}", "+", _AT_ONCE)
            return tuple(_event(entry) for entry in await cast("Awaitable[_Entries]", found))

    async def last(self, edit_id: str) -> Event | None:
        with unavailable():
            found = self._store.xrevrange(keys.EVENTS + edit_id, "+", "-", 1)
            return next((_event(entry) for entry in await cast("Awaitable[_Entries]", found)), None)

    @property
    def is_full(self) -> bool:
        """As many streams are read here as may be."""
        return sum(map(len, self._watches.values())) >= MOST_WATCHED

    @contextmanager
    def watching(self, edit_id: str, after: str) -> Generator[Watch]:
        """Tells the watch whenever the edit's stream grew beyond `after`."""
        watch, name = Watch(), keys.EVENTS + edit_id
        self._watches.setdefault(name, []).append(watch)
        self._cursors.setdefault(name, after)
        if self._is_over:
            watch.hang_up()
        try:
            yield watch
        finally:
            self._watches[name].remove(watch)
            if not self._watches[name]:
                del self._watches[name], self._cursors[name]

    async def look_again(self) -> None:
        """The wait that is going on does not know of a new stream yet: it is called like by another replica."""
        with unavailable():
            await self._store.xadd(self._calls, {"for": ""}, maxlen=_MOST_CALLS)
            await self._store.pexpire(self._calls, keys.CALLS_LIVE_MS)

    def hang_up(self) -> None:
        """Every reader's stream ends, and no new one lasts: this replica leaves. They go on at another one."""
        self._is_over = True
        for watch in [watch for watches in self._watches.values() for watch in watches]:
            watch.hang_up()

    async def pass_on(self, owner: str, document: bytes) -> None:
        """Something that only the replica `owner` can use is told to it. `for` is empty: it asks for no end."""
        with unavailable():
            await self._store.xadd(keys.CALLS + owner, {"for": "", "callback": document}, maxlen=_MOST_CALLS)
            await self._store.pexpire(keys.CALLS + owner, keys.CALLS_LIVE_MS)

    @asynccontextmanager
    async def running(
        self, on_cancel: Callable[[str], None], on_callback: Callable[[bytes], None] = lambda _: None
    ) -> AsyncGenerator[None]:
        """Listens while the block runs. `on_cancel` is told the edit that somebody wants cancelled, `on_callback` what
        was passed on to this replica."""
        task = asyncio.create_task(self._listen(on_cancel, on_callback), name="feed")
        try:
            yield
        finally:
            self.hang_up()
            await end(task)

    async def _listen(self, on_cancel: Callable[[str], None], on_callback: Callable[[bytes], None]) -> None:
        while True:
            try:
                await self._hear(on_cancel, on_callback)
            except StoreUnavailable:
                await self._clock.sleep(_PAUSE_S)
            except Exception as error:  # noqa: BLE001 - a defect must not end the duty
                log.error("feed_failed", error=type(error).__name__, exc_info=error)
                await self._clock.sleep(_PAUSE_S)

    async def _hear(self, on_cancel: Callable[[str], None], on_callback: Callable[[bytes], None]) -> None:
        """On one line, until it breaks. The store may be away already when the line is asked for."""
        with unavailable():
            async with self._store.client() as line:
                while True:
                    self._take(await self._wait(line), on_cancel, on_callback)

    async def _wait(self, line: Redis) -> list[tuple[bytes, _Entries]]:
        found = line.xread(cast("Any", dict(self._cursors)), _AT_ONCE, self._block_ms)
        return await cast("Awaitable[list[tuple[bytes, _Entries]]]", found) or []

    def _take(
        self,
        told: list[tuple[bytes, _Entries]],
        on_cancel: Callable[[str], None],
        on_callback: Callable[[bytes], None],
    ) -> None:
        for key, entries in told:
            name = key.decode()
            if name in self._cursors:
                self._cursors[name] = entries[-1][0].decode()
            for watch in self._watches.get(name, ()):
                watch.tell()
            if name == self._calls:
                for edit_id in filter(None, (fields[b"for"].decode() for _, fields in entries)):
                    on_cancel(edit_id)
                for document in filter(None, (fields.get(b"callback") for _, fields in entries)):
                    on_callback(document)


def _event(entry: tuple[bytes, dict[bytes, bytes]]) -> Event:
    id_, fields = entry
    return Event(id=id_.decode(), name=fields[b"name"].decode(), data=fields[b"data"])
