"""A store that lost everything, rebuilt from numbers that the books would give."""

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state.budgets import Balance, Budgets, Cap, Caps, OverBudget, Scope, Window
from gateway.state.claims import Claims, Joined, New, key_hash
from gateway.state.corrections import Corrections
from gateway.state.edits import Edits, IllegalMove
from gateway.state.records import AttemptState, Status
from gateway.state.restore import LostEdit, LostKey, Restore, Spent
from gateway.state.terms import Terms
from tests.state.samples import HandClock, attempt, edit_record, end, settled, whole_store

DAY_MS = 24 * 3600 * 1000
HASH = key_hash("edits", "k")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def restore(store: Redis, clock: HandClock) -> Restore:
    return Restore(store, clock=clock)


def lost(clock: HandClock) -> LostEdit:
    unresolved = replace(attempt(), state=AttemptState.UNRESOLVED)
    record = replace(edit_record(), created_ms=clock.now_ms - 1_000, attempts=(unresolved,), end=end(Status.UNRESOLVED))
    return LostEdit(record=record, held_micro=80_000, key_hash=HASH)


def spent(clock: HandClock, micro: int, days_ago: int = 0) -> Spent:
    return Spent(team="growth", key_id="ci", at_ms=clock.now_ms - days_ago * DAY_MS, spent_micro=micro)


async def test_a_store_is_empty_until_something_was_accepted_or_restored(store, clock, restore):
    budgets, edits = Budgets(store), Edits(store, "one", clock=clock)
    await edits.beat()
    assert await budgets.is_empty()
    await edits.accept(edit_record(), None, None)
    assert not await budgets.is_empty()
    await store.flushall()
    await restore.restore([], [], [], operation="a")
    assert not await budgets.is_empty()


async def test_what_was_spent_counts_in_its_own_windows(store, clock, restore):
    await restore.restore([spent(clock, 50_000), spent(clock, 30_000, 1), spent(clock, 7, 40)], [], [], operation="a")
    balances = await Budgets(store).balances("growth", "ci", clock.now_ms)
    assert balances[Scope.TEAM, Window.DAY] == Balance(spent_micro=50_000)
    assert balances[Scope.KEY, Window.TOTAL] == Balance(spent_micro=80_007)
    terms = Terms(hold_micro=30_001, caps=Caps(key=Cap(day_micro=80_000)))
    with pytest.raises(OverBudget) as over:
        await Edits(store, "one", clock=clock).accept(edit_record(), None, None, terms=terms)
    assert over.value.left_micro == 30_000


async def test_an_open_edit_comes_back_unresolved_and_is_resolved_as_any_other(store, clock, restore):
    corrections = Corrections(store, clock=clock)
    open_edit = lost(clock)
    await restore.restore(
        [],
        [open_edit],
        [LostKey(team="growth", key_hash=HASH, fingerprint="f", edit=open_edit.record.id, ends_ms=None)],
        operation="a",
    )
    (record,) = await corrections.unresolved(10)
    assert (record.status, record.created_ms, record.end) == (
        Status.UNRESOLVED,
        open_edit.record.created_ms,
        open_edit.record.end,
    )
    claims = Claims(store, clock=clock)
    assert await claims.claim("growth", "edits", "k", "f", "t") == Joined(record.id, ended=False)
    await corrections.resolve(record, settled(), end(Status.SUCCEEDED), operation="b", note="")
    balances = await Budgets(store).balances("growth", "ci", clock.now_ms)
    assert set(balances.values()) == {Balance(spent_micro=40_000)}
    assert await corrections.unresolved(10) == ()
    clock.forward(DAY_MS)
    assert isinstance(await claims.claim("growth", "edits", "k", "f", "t2"), New)


async def test_an_edit_whose_attempts_nobody_knows_holds_everything_until_it_is_released(store, clock, restore):
    corrections = Corrections(store, clock=clock)
    unknown = replace(lost(clock), record=replace(lost(clock).record, attempts=()))
    await restore.restore([], [unknown], [], operation="a")
    (record,) = await corrections.unresolved(10)
    assert (record.attempts, await corrections.held_micro(record.id)) == ((), 80_000)
    before = await whole_store(store)
    with pytest.raises(IllegalMove, match="cannot become cancelled"):
        await corrections.release(record, end(Status.CANCELLED), operation="b", note="")
    assert await whole_store(store) == before

    released = await corrections.release(record, end(Status.FAILED), operation="b", note="nothing on the bill")
    assert (released.status, await corrections.unresolved(10)) == (Status.FAILED, ())
    after = await whole_store(store)
    await corrections.release(record, end(Status.FAILED), operation="b", note="nothing on the bill")
    assert await whole_store(store) == after
    assert set((await Budgets(store).balances("growth", "ci", clock.now_ms)).values()) == {Balance()}
    with pytest.raises(IllegalMove, match="only an unresolved one"):
        await corrections.release(record, end(Status.FAILED), operation="c", note="")


async def test_an_edit_with_an_unresolved_attempt_is_not_released_as_a_whole(store, clock, restore):
    corrections = Corrections(store, clock=clock)
    await restore.restore([], [lost(clock)], [], operation="a")
    (record,) = await corrections.unresolved(10)
    with pytest.raises(IllegalMove, match="an attempt of it is unresolved"):
        await corrections.release(record, end(Status.FAILED), operation="b", note="")


async def test_attempts_keep_their_numbers_states_and_times(store, clock, restore):
    """The first one's rows were lost with the store."""
    unresolved = replace(attempt(3), state=AttemptState.UNRESOLVED)
    attempts = (replace(settled(2), closed_ms=clock.now_ms - 500), unresolved)
    given = replace(lost(clock), spent_micro=40_000, record=replace(lost(clock).record, attempts=attempts))
    await restore.restore([], [given], [], operation="a")
    (record,) = await Corrections(store, clock=clock).unresolved(10)
    assert [(one.number, one.state, one.closed_ms) for one in record.attempts] == [
        (2, AttemptState.SETTLED, clock.now_ms - 500),
        (3, AttemptState.UNRESOLVED, clock.now_ms),
    ]


async def test_an_attempt_that_is_under_way_is_not_given_back(store, clock, restore):
    running = replace(lost(clock), record=replace(lost(clock).record, attempts=(attempt(),)))
    with pytest.raises(ValueError, match="only what has ended"):
        await restore.restore([], [running], [], operation="a")


async def test_a_key_whose_edit_ended_is_remembered_to_its_time(store, clock, restore):
    key = LostKey(team="growth", key_hash=HASH, fingerprint="f", edit="edit_gone", ends_ms=clock.now_ms + 1_000)
    await restore.restore([], [], [key], operation="a")
    claims = Claims(store, clock=clock)
    assert await claims.claim("growth", "edits", "k", "f", "t") == Joined("edit_gone", ended=True)
    clock.forward(1_000)
    assert isinstance(await claims.claim("growth", "edits", "k", "f", "t"), New)


async def test_only_an_empty_store_is_restored_and_only_once(store, clock, restore):
    await restore.restore([spent(clock, 5)], [lost(clock)], [], operation="a")
    before = await whole_store(store)
    clock.forward(1_000)
    await restore.restore([spent(clock, 5)], [lost(clock)], [], operation="a")
    with pytest.raises(IllegalMove, match="not empty"):
        await restore.restore([], [], [], operation="b")
    assert await whole_store(store) == before


async def test_numbers_that_cannot_be_are_refused(store, clock, restore):
    for bad in (spent(clock, -1), spent(clock, 2**53)):
        with pytest.raises(ValueError, match="cannot have spent"):
            await restore.restore([bad], [], [], operation="a")
    with pytest.raises(ValueError, match="holds 39999 micro-dollars for attempts of 40000"):
        await restore.restore([], [replace(lost(clock), held_micro=39_999)], [], operation="a")
    assert await store.keys("*") == []
