"""Whatever was under way when the store was lost: restored, resolved and audited, the books find nothing wrong."""

import asyncio
from typing import cast

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.engine.late import unresolved
from gateway.ledger.audit import Report, audit
from gateway.ledger.entries import entry, place
from gateway.ledger.restore import restore
from gateway.ledger.rows import Mark, RowKind
from gateway.restoration import known_keys, lost_edits, spending
from gateway.snapshot import take_snapshot
from gateway.state import keys
from gateway.state.corrections import Corrections
from gateway.state.records import AttemptState, EditRecord, End, Status
from gateway.state.restore import Restore
from tests.ledger.histories import MAX, History
from tests.ledger.random_histories import histories

EARLIER_MS = 1_770_000_000_000
"""Before the store's own clock, whose rows come after these."""


class Lost:
    """A history whose store is gone, and the one that it is restored to."""

    def __init__(self, history: History, store: Redis) -> None:
        self.history, self.store = history, store
        self.corrections = Corrections(store)

    async def restored(self) -> None:
        found = restore(self.history.rows, self.history.now_ms)
        accepted = {row.edit: row for row in self.history.rows if row.kind is RowKind.ACCEPT}
        given = spending(found), lost_edits(found, accepted), known_keys(found)
        await Restore(self.store).restore(*given, operation="a")

    async def resolved(self, state: AttemptState) -> None:
        for record in await self.corrections.unresolved(1_000):
            if not unresolved(record):
                await self.corrections.release(record, _end(record), operation="r", note="nothing on the bill")
            for attempt in unresolved(record):
                cost = attempt.price_micro if state is AttemptState.SETTLED else None
                source = None if cost is None else "operator"
                ended = replace(attempt, state=state, cost_micro=cost, cost_source=source)
                named = f"{attempt.number}/{state}"
                record = await self.corrections.resolve(record, ended, _end(record), operation=named, note="seen")

    async def audited(self) -> Report:
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", await self.store.xrange(keys.LEDGER))
        later = [row for raw_id, fields in entries if (row := entry(raw_id, fields).row)]
        assert len(later) == len(entries)
        return audit([*self.history.rows, *later], await take_snapshot(self.store))


def _end(record: EditRecord) -> End:
    return End(status=Status.FAILED)


def in_its_second_attempt(history: History) -> None:
    history.edit().accept(80_000).open(40_000).close("released", failure="busy").open(40_000)


def after_an_attempt_that_was_charged(history: History) -> None:
    history.edit().accept(80_000).open(40_000).close("settled", failure="bad_picture").open(40_000)


def with_a_duplicate(history: History) -> None:
    told = history.edit().accept(80_000).open(40_000).close("unresolved")
    told.open(40_000, MAX, mark=Mark.ACCEPT_RISK).close("settled").finish("succeeded")


def beside_a_duplicate(history: History) -> None:
    history.edit().accept(80_000).open(40_000).close("unresolved").open(40_000, MAX, mark=Mark.ACCEPT_RISK)


def unresolved_already(history: History) -> None:
    history.edit().accept(40_000).open(40_000).close("unresolved").finish("unresolved")


def before_its_first_attempt(history: History) -> None:
    history.edit().accept(40_000, key_hash="k")


def between_two_attempts(history: History) -> None:
    history.edit().accept(80_000).open(40_000).close("released", failure="busy")


CASES = (
    in_its_second_attempt,
    after_an_attempt_that_was_charged,
    with_a_duplicate,
    beside_a_duplicate,
    unresolved_already,
    before_its_first_attempt,
    between_two_attempts,
)
ENDS = pytest.mark.parametrize("state", [AttemptState.SETTLED, AttemptState.RELEASED])


@ENDS
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_an_edit_lost_anywhere_is_accounted_for(engine_url: str, case, state: AttemptState) -> None:
    history = History(EARLIER_MS)
    history.done()
    case(history)
    _accounted(engine_url, history, state)


@ENDS
@settings(max_examples=15)
@given(history=histories())
def test_any_history_is_accounted_for(engine_url: str, history: History, state: AttemptState) -> None:
    _accounted(engine_url, _earlier(history), state)


def _earlier(history: History) -> History:
    """The same, before the store's own time."""
    by_ms = history.now_ms - EARLIER_MS
    history.rows = [
        replace(row, at_ms=row.at_ms - by_ms, place=place(f"{row.at_ms - by_ms}-{number}"))
        for number, row in enumerate(history.rows)
    ]
    history.now_ms = EARLIER_MS
    return history


def _accounted(url: str, history: History, state: AttemptState) -> None:
    asyncio.run(_restored_and_resolved(url, history, state))


async def _restored_and_resolved(url: str, history: History, state: AttemptState) -> None:
    store = Redis.from_url(url)
    try:
        await store.flushall()
        lost = Lost(history, store)
        await lost.restored()
        assert (await lost.audited()).violations == ()
        await lost.resolved(state)
        report = await lost.audited()
        assert (report.violations, report.held_micro) == ((), 0)
    finally:
        await store.aclose()
