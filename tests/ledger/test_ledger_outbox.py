"""The drain, on a real store: every row arrives once, whatever dies between reading, writing and forgetting."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.ledger.book import BATCH, Book
from gateway.ledger.connection import LedgerUnavailable, connect
from gateway.ledger.entries import Entry, entry, kept, place
from gateway.ledger.migrations import migrate
from gateway.ledger.outbox import ASIDE, STREAM, Backlog, Outbox
from gateway.ledger.rows import Row
from gateway.state.connection import StoreUnavailable
from tests.ledger.histories import History


class HandClock:
    """Never waits: it lets others run, and keeps what it was asked for. `stop_after` sleeps it ends the sleeper."""

    def __init__(self, stop_after: int = 1000) -> None:
        self.slept: list[float] = []
        self.stop_after = stop_after

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return sum(self.slept)

    def chance(self) -> float:
        return 1.0

    def random_bytes(self, count: int) -> bytes:
        return bytes(count)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) >= self.stop_after:
            raise asyncio.CancelledError
        await asyncio.sleep(0)


class DyingBook(Book):
    """Dies after it wrote, before the outbox could forget."""

    async def write(self, rows: Sequence[Row]) -> None:
        await super().write(rows)
        raise KeyboardInterrupt


class SlowBook(Book):
    """Writes when it is let to."""

    def __init__(self, url: str) -> None:
        super().__init__(connect(url))
        self.entered, self.let = asyncio.Event(), asyncio.Event()

    async def write(self, rows: Sequence[Row]) -> None:
        self.entered.set()
        await self.let.wait()
        await super().write(rows)


async def put(store: Redis, rows: Sequence[Row]) -> None:
    pipe = store.pipeline()
    for row in rows:
        bare = msgspec.structs.replace(row, at_ms=0, place="")
        pipe.xadd(STREAM, {"row": msgspec.json.encode(bare), "at": row.at_ms})
    await pipe.execute()


def told(edits: int) -> list[Row]:
    history = History()
    for _ in range(edits):
        history.done()
    return history.rows


async def ids(book: Book) -> list[str]:
    return [row.id async for row in book.rows()]


async def test_rows_arrive_in_order_with_their_times_and_are_forgotten(store: Redis, book: Book) -> None:
    rows = told(100)
    await put(store, rows)
    outbox = Outbox(store, book, HandClock())
    assert (await outbox.backlog()).rows == 400
    assert [await outbox.drain_once() for _ in range(3)] == [BATCH, BATCH, 0]
    written = [row async for row in book.rows()]
    assert [(row.id, row.at_ms) for row in written] == [(row.id, row.at_ms) for row in rows]
    left = await outbox.backlog()
    assert left == Backlog(rows=0, oldest_ms=None, aside=0, at_ms=left.at_ms)
    assert (await store.xpending(STREAM, "books"))["pending"] == 0


async def test_a_death_between_writing_and_forgetting_writes_nothing_twice(store: Redis, url: str, book: Book) -> None:
    rows = told(10)
    await put(store, rows)
    dying = DyingBook(connect(url))
    with pytest.raises(KeyboardInterrupt):
        await Outbox(store, dying, HandClock()).drain_once()
    await dying.aclose()
    assert len(await ids(book)) == 40  # written, and not forgotten
    assert (await Outbox(store, book, HandClock()).backlog()).rows == 40
    assert await Outbox(store, book, HandClock()).drain_once() == 0  # not stale yet: its reader may live
    assert await Outbox(store, book, HandClock(), stale_ms=0).drain_once() == 40
    assert await ids(book) == [row.id for row in rows]
    assert (await Outbox(store, book, HandClock()).backlog()).rows == 0


async def test_two_drains_share_the_work(store: Redis, book: Book) -> None:
    rows = told(200)
    await put(store, rows)
    one, other = (Outbox(store, book, HandClock(stop_after=2)) for _ in range(2))
    await asyncio.gather(one.run(), other.run(), return_exceptions=True)
    assert await ids(book) == [row.id for row in rows]
    assert (await one.backlog()).rows == 0


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[tuple[Book, sqlite3.Connection]]:
    """A book, and the hand that can take it away: another writer that does not let go."""
    path = tmp_path / "ledger.db"
    await migrate(f"sqlite:{path}")
    book, hand = Book(connect(f"sqlite:{path}", busy_s=0.01)), sqlite3.connect(path, isolation_level=None)
    yield book, hand
    hand.close()
    await book.aclose()


async def test_while_sql_is_away_the_backlog_grows_and_then_drains(
    store: Redis, locked: tuple[Book, sqlite3.Connection]
) -> None:
    book, hand = locked
    outbox = Outbox(store, book, HandClock(), stale_ms=0)
    hand.execute("BEGIN EXCLUSIVE")
    rows = told(30)
    for start in (0, 60):
        await put(store, rows[start : start + 60])
        with pytest.raises(LedgerUnavailable):
            await outbox.drain_once()
    seconds, micros = await store.time()
    backlog = await outbox.backlog()
    assert backlog.rows == 120
    assert backlog.oldest_ms is not None
    assert 0 <= seconds * 1000 + micros // 1000 - backlog.oldest_ms < 60_000
    assert 0 <= backlog.at_ms - seconds * 1000 - micros // 1000 < 60_000
    hand.execute("COMMIT")
    assert await outbox.drain_once() == 120
    assert await ids(book) == [row.id for row in rows]


async def test_the_drain_pauses_longer_each_time_and_recovers_by_itself(
    store: Redis, locked: tuple[Book, sqlite3.Connection]
) -> None:
    book, hand = locked
    clock = HandClock(stop_after=8)
    hand.execute("BEGIN EXCLUSIVE")
    await put(store, told(1))
    outbox = Outbox(store, book, clock, stale_ms=0)
    with pytest.raises(asyncio.CancelledError):
        await outbox.run()
    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    hand.execute("COMMIT")
    clock.stop_after = 10
    with pytest.raises(asyncio.CancelledError):
        await outbox.run()
    assert clock.slept[8:] == [0.5, 0.5]
    assert len(await ids(book)) == 4


async def test_a_closing_gateway_writes_what_is_there_and_leaves_what_it_cannot(
    store: Redis, locked: tuple[Book, sqlite3.Connection]
) -> None:
    book, hand = locked
    outbox = Outbox(store, book, HandClock(), stale_ms=0)
    await put(store, told(1))
    await outbox.aclose()
    assert len(await ids(book)) == 4
    hand.execute("BEGIN EXCLUSIVE")
    await put(store, told(1))
    await outbox.aclose()
    assert (await outbox.backlog()).rows == 4
    hand.execute("COMMIT")


async def test_a_closing_gateway_lets_the_batch_that_is_under_way_reach_the_books(
    store: Redis, url: str, book: Book
) -> None:
    slow = SlowBook(url)
    outbox = Outbox(store, slow, HandClock())
    await put(store, told(1))
    run = asyncio.create_task(outbox.run())
    await slow.entered.wait()
    closing = asyncio.create_task(outbox.finish(run))
    await asyncio.sleep(0)
    slow.let.set()
    await closing
    await slow.aclose()
    assert run.cancelled()
    assert len(await ids(book)) == 4
    assert (await outbox.backlog()).rows == 0


BAD: dict[str, dict[Any, Any]] = {
    "no row": {"at": b"1"},
    "no time": {"row": b"{}"},
    "no number": {"row": b"{}", "at": b"soon"},
    "no JSON": {"row": b"\xff{", "at": b"1"},
    "no such kind": {"row": b'{"id":"x","kind":"gift","edit":"e","team":"t","key_id":"k"}', "at": b"1"},
    "no whole amount": {
        "row": b'{"id":"x","kind":"open","edit":"e","team":"t","key_id":"k","held_micro":0.5}',
        "at": b"1",
    },
    "too deep": {"row": b'{"x":' + b"[" * 100_000, "at": b"1"},
    "too large for SQL": {
        "row": b'{"id":"x","kind":"open","edit":"e","team":"t","key_id":"k","held_micro":9223372036854775808}',
        "at": b"1",
    },
}


async def test_what_cannot_be_read_or_written_is_set_aside_and_blocks_nothing(store: Redis, book: Book) -> None:
    rows = told(2)
    await put(store, rows[:4])
    bad = [cast("bytes", await store.xadd(STREAM, fields)).decode() for fields in BAD.values()]
    await put(store, rows[4:])
    outbox = Outbox(store, book, HandClock())
    await outbox.drain_once()
    assert await ids(book) == [row.id for row in rows]
    left = await outbox.backlog()
    assert left == Backlog(rows=0, oldest_ms=None, aside=len(BAD), at_ms=left.at_ms)
    found = cast("dict[bytes, bytes]", await store.hgetall(ASIDE))
    aside = {key.decode(): msgspec.json.decode(value) for key, value in found.items()}
    assert list(aside) == bad
    for entry_id, fields in zip(bad, BAD.values(), strict=True):
        kept = aside[entry_id]["fields_hex"]
        assert {bytes.fromhex(name).decode(): bytes.fromhex(value) for name, value in kept.items()} == fields
        assert aside[entry_id]["fault"]


async def test_the_runbook_puts_a_row_back_that_was_set_aside(store: Redis, book: Book) -> None:
    """By the very words that it tells somebody to run."""
    page = (Path(__file__).parents[2] / "docs" / "runbooks" / "KontextLedgerRowsAside.md").read_text("utf-8")
    (script,) = re.findall(r"```lua\n(.*?)```", page, re.DOTALL)
    (row,) = told(1)[:1]
    await put(store, [row])
    ((raw_id, fields),) = cast("list[tuple[bytes, dict[bytes, bytes]]]", await store.xrange(STREAM))
    await store.xdel(STREAM, raw_id)
    await store.hset(ASIDE, raw_id.decode(), kept(Entry(raw_id.decode(), fields)).decode())
    outbox = Outbox(store, book, HandClock())

    async def back(entry_id: str) -> bytes:
        return cast("bytes", await store.eval(script, 2, ASIDE, STREAM, entry_id))

    assert await back(raw_id.decode()) == b"put back"
    assert await back(raw_id.decode()) == b"no such row"
    await outbox.drain_once()
    assert await ids(book) == [row.id]
    left = await outbox.backlog()
    assert (left.rows, left.aside) == (0, 0)


async def test_a_store_that_lost_everything_gets_its_group_again(store: Redis, sqlite_book: Book) -> None:
    outbox = Outbox(store, sqlite_book, HandClock())
    await put(store, told(1))
    await outbox.drain_once()
    await store.flushall()
    history = History()
    history.edits.extend([history.edit()] * 3)
    history.done()
    await put(store, history.rows)
    assert await outbox.drain_once() == 4


async def test_a_store_that_is_away_is_said(sqlite_book: Book) -> None:
    nowhere = Redis(unix_socket_path="/nonexistent/socket", retry=Retry(NoBackoff(), 0))
    outbox = Outbox(nowhere, sqlite_book, HandClock())
    for call in (outbox.drain_once, outbox.backlog):
        with pytest.raises(StoreUnavailable):
            await call()
    await outbox.aclose()
    await nowhere.aclose()


async def test_waiting_rows_can_be_read_where_they_lie(store: Redis, sqlite_book: Book) -> None:
    rows = told(120)
    await put(store, rows)
    outbox = Outbox(store, sqlite_book, HandClock())
    await outbox.drain_once()
    async with aclosing(outbox.waiting()) as waiting:
        assert [row.id async for row in waiting] == [row.id for row in rows[BATCH:]]
    assert (await outbox.backlog()).rows == 480 - BATCH


@given(st.lists(st.tuples(st.integers(0, 2**48), st.integers(0, 2**64 - 1))))
def test_places_sort_as_the_stream_does(ids: list[tuple[int, int]]) -> None:
    assert [place(f"{ms}-{number}") for ms, number in sorted(ids)] == sorted(
        place(f"{ms}-{number}") for ms, number in ids
    )


@given(st.dictionaries(st.sampled_from([b"row", b"at", b"x"]), st.binary()))
def test_any_entry_is_a_row_or_a_reason(fields: dict[bytes, bytes]) -> None:
    found = entry(b"1-0", fields)
    assert (found.row is None) == bool(found.fault)
