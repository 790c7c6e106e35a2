"""What the store's own steps tell, drained into the books: the audit finds nothing, and the sums are the store's."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis

from adapters.contract import FailureKind
from gateway.clock import SystemClock
from gateway.ledger.audit import audit
from gateway.ledger.book import Book
from gateway.ledger.evidence import StoredAttempt, StoredEdit, StoredWindow, StoreSnapshot
from gateway.ledger.outbox import Outbox
from gateway.ledger.restore import restoration
from gateway.ledger.rows import Row
from gateway.ledger.usage import Query, usage
from gateway.state import keys
from gateway.state.budgets import Budgets
from gateway.state.corrections import Corrections
from gateway.state.edits import Edits, NoPermit
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.terms import Terms
from tests.state.samples import HandClock, attempt, edit_record, end, settled

HOLD = Terms(hold_micro=100_000)


class Store:
    """The steps as the engine calls them; attempts of different edits have ids of their own."""

    def __init__(self, store: Redis) -> None:
        clock = HandClock()
        self.now = clock
        self.edits = Edits(store, "one", clock=clock)
        self.corrections = Corrections(store, clock=clock)
        self.ended: list[EditRecord] = []

    def attempt(self, edit: int, number: int, **fields: Any) -> Any:
        return replace(attempt(number), id=f"{edit:016x}{number:016x}", **fields)

    async def begin(self, edit: int) -> EditRecord:
        self.now.forward(1_000)
        record, begun = await self.edits.accept(edit_record(edit), self.attempt(edit, 1), None, terms=HOLD)
        assert begun is not None
        return record

    async def end(self, record: EditRecord, status: Status, **fields: Any) -> EditRecord:
        last = replace(record.attempts[-1], **fields)
        finished = await self.edits.finish(record, end(status), last)
        self.ended.append(finished)
        return finished

    async def everything(self) -> None:
        """Delivered; failed over and delivered beyond its quote; failed; unresolved; resolved; corrected; under way."""
        done = {"state": AttemptState.SETTLED, "cost_micro": 40_000, "cost_source": "provider"}
        first = await self.end(await self.begin(1), Status.SUCCEEDED, **done)
        await self.corrections.correct(first, 1, -5_000, operation="a", source="provider", note="the bill")

        record = await self.begin(2)
        charged = replace(settled(1), id=record.attempts[0].id, failure=FailureKind.BAD_PICTURE)
        closed = await self.edits.close(record, charged)
        second = await self.edits.open(record, self.attempt(2, 2), None)
        assert not isinstance(second, NoPermit)
        record = replace(record, attempts=(closed, second))
        await self.end(record, Status.SUCCEEDED, **{**done, "cost_micro": 45_000})

        await self.end(await self.begin(3), Status.FAILED, state=AttemptState.RELEASED, failure=FailureKind.BUSY)
        await self.end(await self.begin(4), Status.UNRESOLVED, state=AttemptState.UNRESOLVED)
        lost = await self.end(await self.begin(5), Status.UNRESOLVED, state=AttemptState.UNRESOLVED)
        truth = replace(lost.attempts[0], **done)
        await self.corrections.resolve(lost, truth, end(Status.SUCCEEDED), operation="b", note="seen on the bill")
        await self.begin(6)


async def snapshot(store: Redis, told: Store) -> StoreSnapshot:
    budgets = Budgets(store)
    held = {one.edit: one.held_micro for one in await budgets.holdings()}
    records = [record for number in range(1, 7) if (record := await told.edits.get(edit_record(number).id))]
    edits = tuple(
        StoredEdit(
            id=record.id, status=record.status, held_micro=held[record.id],
            attempts=tuple(
                StoredAttempt(number=one.number, state=one.state, opened_ms=one.opened_ms, posted_ms=one.posted_ms)
                for one in record.attempts
            ),
        )
        for record in records
    )  # fmt: skip
    windows = tuple(
        _window(name, one.spent_micro, one.held_micro) for name, one in (await budgets.everything()).items()
    )
    return StoreSnapshot(windows=windows, edits=edits)


def _window(name: str, spent_micro: int, held_micro: int) -> StoredWindow:
    account = name.removeprefix(keys.BUDGET)
    cut = next(account.index(f":{window}") for window in ("day:", "month:", "total") if f":{window}" in account)
    return StoredWindow(account[:cut], account[cut + 1 :], spent_micro, held_micro)


async def test_the_books_of_a_store_are_clean_and_agree_with_it(store: Redis, tmp_path: Path) -> None:
    book = await Book.open(f"sqlite:{tmp_path / 'ledger.db'}")
    told = Store(store)
    await told.everything()
    assert await Outbox(store, book, SystemClock()).drain_once() > 0
    rows: list[Row] = [row async for row in book.rows()]
    report = audit(rows, await snapshot(store, told))
    assert report.violations == ()
    assert (report.edits, report.unresolved) == (6, 1)
    assert report.spent_micro == 35_000 + 40_000 + 45_000 + 40_000
    assert report.held_micro == 40_000 + 100_000

    (line,) = await usage(book, Query(by=()))
    assert (line.edits, line.spent_micro, line.held_micro) == (6, report.spent_micro, report.held_micro)
    assert (line.wasted_micro, line.unresolved_micro) == (40_000, 40_000)
    found = await restoration(book, told.now())
    total = next(one for one in found.spending if (one.scope, one.window) == ("gateway", "total"))
    assert (total.spent_micro, total.held_micro) == (report.spent_micro, report.held_micro)
    assert [one.edit for one in found.open_edits] == [edit_record(4).id, edit_record(6).id]
    await book.aclose()
