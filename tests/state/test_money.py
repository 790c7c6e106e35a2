"""The money of edits on the real engine: what is held, charged, kept and given back, and what the books are told."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from adapters.contract import Step
from gateway.ledger.rows import Mark, Row, RowKind
from gateway.state.budgets import Balance, Budgets, Cap, Caps, OverBudget, Scope, Window
from gateway.state.corrections import Corrections
from gateway.state.edits import Edits, IllegalMove, NoPermit, Permit
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, Status
from gateway.state.terms import RefusedBefore, Terms, TooMany
from tests.state.samples import HandClock, attempt, edit_record, end, whole_store

A, U = AttemptState, Status
DAY_MS = 24 * 3600 * 1000
PERMIT = Permit("runware", 10)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(at("2027-02-27T12:00:00"))


@pytest.fixture
def edits(store: Redis, clock: HandClock) -> Edits:
    return Edits(store, "one", clock=clock)


@pytest.fixture
def corrections(store: Redis, clock: HandClock) -> Corrections:
    return Corrections(store, clock=clock)


class Books:
    """What the accounts say now, and what the outbox was told."""

    def __init__(self, store: Redis, clock: HandClock) -> None:
        self.store, self.clock = store, clock

    async def total(self) -> tuple[int, int]:
        """Spent and held of the gateway in total; every account of the edit's nine agrees."""
        found = set((await Budgets(self.store).balances("growth", "ci", self.clock.now_ms)).values())
        assert len(found) == 1
        (balance,) = found
        return balance.spent_micro, balance.held_micro

    async def rows(self) -> list[Row]:
        entries: Any = await self.store.xrange("{kontext}:ledger")
        rows = [
            replace(msgspec.json.decode(fields[b"row"], type=Row), at_ms=int(fields[b"at"])) for _, fields in entries
        ]
        assert len({row.id for row in rows}) == len(rows)
        return rows


@pytest.fixture
async def books(store: Redis, clock: HandClock) -> AsyncGenerator[Books]:
    yield Books(store, clock)


def priced(price_micro: int, number: int = 1) -> AttemptRecord:
    return replace(attempt(number), price_micro=price_micro)


def settled(price_micro: int, cost_micro: int, number: int = 1) -> AttemptRecord:
    return replace(priced(price_micro, number), state=A.SETTLED, cost_micro=cost_micro, cost_source="provider")


async def begin(edits: Edits, price: int = 40_000, hold: int = 80_000, **given) -> EditRecord:
    record, begun = await edits.accept(
        replace(edit_record(given.pop("number", 1))), priced(price), PERMIT, terms=Terms(hold_micro=hold, **given)
    )
    assert begun is not None
    return record


async def leave(edits: Edits, price: int = 40_000) -> EditRecord:
    """An edit that ended unresolved, after one attempt."""
    record = await begin(edits, price)
    return await edits.finish(record, end(U.UNRESOLVED), replace(priced(price), state=A.UNRESOLVED))


class TestHold:
    async def test_the_hold_of_an_acceptance_lies_in_all_nine_accounts(self, edits, books, store):
        await begin(edits, hold=80_000)
        assert await books.total() == (0, 80_000)
        assert sorted(await Budgets(store).everything()) == [
            f"{{kontext}}:budget:{scope}:{window}"
            for scope in ("gateway", "key:growth/ci", "team:growth")
            for window in ("day:2027-02-27", "month:2027-02", "total")
        ]

    async def test_at_least_the_price_of_the_attempt_is_held(self, edits, books):
        await begin(edits, price=50_000, hold=0)
        assert await books.total() == (0, 50_000)

    async def test_a_queued_edit_holds_too(self, edits, books):
        await edits.accept(edit_record(), priced(40_000), Permit("runware", 0), terms=Terms(hold_micro=80_000))
        assert await books.total() == (0, 80_000)

    async def test_settled_below_its_price_the_rest_waits_for_the_end(self, edits, books):
        record = await begin(edits, 40_000, 80_000)
        await edits.close(record, settled(40_000, 30_000))
        assert await books.total() == (30_000, 50_000)
        await edits.finish(record, end(U.FAILED), None)
        assert await books.total() == (30_000, 0)

    async def test_the_end_settles_and_gives_back_in_one_step(self, edits, books):
        record = await begin(edits)
        await edits.finish(record, end(U.SUCCEEDED), settled(40_000, 40_000))
        assert await books.total() == (40_000, 0)

    async def test_a_settlement_that_names_no_cost_costs_its_price(self, edits, books):
        record = await begin(edits)
        await edits.finish(record, end(U.SUCCEEDED), replace(priced(40_000), state=A.SETTLED))
        assert await books.total() == (40_000, 0)

    async def test_an_overrun_eats_first_what_the_edit_still_holds(self, edits, books):
        record = await begin(edits, 40_000, 60_000)
        closed = await edits.close(record, settled(40_000, 70_000))
        assert closed.overrun_micro == 30_000
        assert await books.total() == (70_000, 0)
        assert (await books.rows())[-1].overrun_micro == 30_000

    async def test_a_released_attempt_pays_for_the_next(self, edits, books):
        record = await begin(edits, 40_000, 80_000)
        await edits.close(record, replace(priced(40_000), state=A.RELEASED))
        await edits.open(record, priced(80_000, 2), PERMIT, caps=total(80_000))
        assert await books.total() == (0, 80_000)

    async def test_what_is_unresolved_stays_held_beside_the_next_attempt_and_after_the_end(self, edits, books):
        record = await begin(edits, 40_000, 80_000)
        await edits.close(record, replace(priced(40_000), state=A.UNRESOLVED))
        await edits.open(record, priced(60_000, 2), PERMIT)
        assert await books.total() == (0, 100_000)
        await edits.finish(record, end(U.SUCCEEDED), settled(60_000, 60_000, 2))
        assert await books.total() == (60_000, 40_000)

    async def test_an_amount_beyond_a_million_dollars_is_a_mistake(self, edits, store):
        with pytest.raises(ValueError, match="an amount is from 0"):
            await edits.accept(edit_record(), priced(10**12 + 1), PERMIT)
        with pytest.raises(ValueError, match="an amount is from 0"):
            Terms(hold_micro=-1)
        with pytest.raises(ValueError, match="a cap is from 0"):
            Cap(day_micro=2**53)
        assert await store.keys("*") == []


def total(micro: int) -> Caps:
    return Caps(team=Cap(total_micro=micro))


CAPS = {
    (Scope.GATEWAY, Window.DAY): Caps(gateway=Cap(day_micro=100_000)),
    (Scope.GATEWAY, Window.MONTH): Caps(gateway=Cap(month_micro=100_000)),
    (Scope.GATEWAY, Window.TOTAL): Caps(gateway=Cap(total_micro=100_000)),
    (Scope.TEAM, Window.DAY): Caps(team=Cap(day_micro=100_000)),
    (Scope.TEAM, Window.MONTH): Caps(team=Cap(month_micro=100_000)),
    (Scope.TEAM, Window.TOTAL): Caps(team=Cap(total_micro=100_000)),
    (Scope.KEY, Window.DAY): Caps(key=Cap(day_micro=100_000)),
    (Scope.KEY, Window.MONTH): Caps(key=Cap(month_micro=100_000)),
    (Scope.KEY, Window.TOTAL): Caps(key=Cap(total_micro=100_000)),
}
TURNS_S = {Window.DAY: 12 * 3600.0, Window.MONTH: 36 * 3600.0, Window.TOTAL: None}


class TestWall:
    @pytest.mark.parametrize(("place", "caps"), CAPS.items())
    async def test_each_cap_refuses_what_would_pass_it_and_writes_nothing(self, edits, store, place, caps):
        await begin(edits, hold=60_000)
        before = await whole_store(store)
        with pytest.raises(OverBudget) as over:
            await begin(edits, hold=40_001, number=2, caps=caps)
        told = over.value
        assert (told.scope, told.window, told.cap_micro, told.left_micro) == (*place, 100_000, 40_000)
        assert told.turns_s == TURNS_S[told.window]
        assert await whole_store(store) == before
        await begin(edits, hold=40_000, number=2, caps=caps)

    async def test_of_several_caps_the_one_that_turns_last_is_told(self, edits):
        caps = Caps(gateway=Cap(total_micro=10), team=Cap(day_micro=10), key=Cap(day_micro=10, month_micro=10))
        with pytest.raises(OverBudget) as over:
            await begin(edits, caps=caps)
        assert (over.value.scope, over.value.window) == (Scope.GATEWAY, Window.TOTAL)

    @pytest.mark.parametrize(("team", "key_id"), [("growth", "other"), ("other", "ci")])
    async def test_another_keys_money_is_not_ours(self, edits, team, key_id):
        await begin(edits, hold=100_000)
        other = replace(edit_record(2), team=team, key_id=key_id)
        caps = Caps(key=Cap(total_micro=100_000), team=Cap(total_micro=200_000))
        await edits.accept(other, priced(40_000), PERMIT, terms=Terms(hold_micro=100_000, caps=caps))

    async def test_a_cap_lowered_below_what_is_booked_refuses_and_has_nothing_left(self, edits):
        await begin(edits, hold=60_000)
        with pytest.raises(OverBudget) as over:
            await begin(edits, price=0, hold=1, number=2, caps=total(50_000))
        assert over.value.left_micro == 0

    async def test_an_edit_that_is_free_passes_every_wall(self, edits):
        await begin(edits, price=0, hold=0, caps=total(0))

    async def test_a_top_up_meets_the_same_wall(self, edits, books, store):
        record = await begin(edits, 40_000, 40_000)
        await edits.close(record, settled(40_000, 40_000))
        before = await whole_store(store)
        with pytest.raises(OverBudget) as over:
            await edits.open(record, priced(40_000, 2), PERMIT, caps=total(79_999))
        assert over.value.left_micro == 39_999
        assert await whole_store(store) == before
        await edits.open(record, priced(40_000, 2), PERMIT, caps=total(80_000))
        assert await books.total() == (40_000, 40_000)

    async def test_no_permit_tops_nothing_up(self, edits, books):
        record = await begin(edits, 40_000, 40_000)
        await edits.close(record, replace(priced(40_000), state=A.UNRESOLVED))
        assert await edits.open(record, priced(40_000, 2), Permit("runware", 0)) == NoPermit()
        assert await books.total() == (0, 40_000)

    @pytest.mark.parametrize("ended", [settled(40_000, 40_000), replace(priced(40_000), state=A.UNRESOLVED)])
    async def test_all_attempts_together_stay_within_what_the_edit_may_cost(self, edits, store, ended):
        wish = replace(edit_record().wish, max_cost_micro=100_000)
        record, _ = await edits.accept(
            replace(edit_record(), wish=wish), priced(40_000), PERMIT, terms=Terms(hold_micro=100_000)
        )
        await edits.close(record, ended)
        before = await whole_store(store)
        with pytest.raises(OverBudget) as over:
            await edits.open(record, priced(60_001, 2), PERMIT)
        assert (over.value.scope, over.value.left_micro, over.value.turns_s) == (Scope.EDIT, 60_000, None)
        assert await whole_store(store) == before
        await edits.open(record, priced(60_000, 2), PERMIT)

    async def test_a_hold_beyond_what_the_edit_may_cost_is_refused(self, edits, store):
        wish = replace(edit_record().wish, max_cost_micro=100_000)
        with pytest.raises(OverBudget) as over:
            await edits.accept(replace(edit_record(), wish=wish), None, None, terms=Terms(hold_micro=100_001))
        assert over.value.scope is Scope.EDIT
        assert await store.keys("*") == []


class TestWindows:
    @pytest.mark.parametrize(
        ("before", "after", "window"),
        [
            ("2027-02-28T23:59:59", "2027-03-01T00:00:00", Window.MONTH),
            ("2028-02-28T23:59:59", "2028-02-29T00:00:00", Window.DAY),
            ("2028-02-29T23:59:59", "2028-03-01T00:00:00", Window.MONTH),
            ("2027-12-31T23:59:59", "2028-01-01T00:00:00", Window.MONTH),
            ("2100-02-28T23:59:59", "2100-03-01T00:00:00", Window.MONTH),
            ("2027-10-31T00:59:59", "2027-11-01T00:00:00", Window.MONTH),
        ],
    )
    async def test_a_new_window_has_its_whole_budget(self, edits, clock, before, after, window):
        caps = Caps(team=Cap(day_micro=80_000) if window is Window.DAY else Cap(month_micro=80_000))
        clock.now_ms = at(before)
        await begin(edits, caps=caps)
        with pytest.raises(OverBudget) as over:
            await begin(edits, number=2, caps=caps)
        assert over.value.turns_s == (at(after) - at(before)) / 1000
        clock.now_ms = at(after)
        await begin(edits, number=2, caps=caps)

    async def test_a_hold_settles_in_its_own_day_however_late(self, edits, clock, store):
        clock.now_ms = accepted = at("2027-01-31T23:59:59")
        record = await begin(edits, 40_000, 40_000)
        late = clock.forward(DAY_MS)
        await edits.close(record, settled(40_000, 40_000))
        await edits.open(record, priced(50_000, 2), PERMIT)
        balances = await Budgets(store).balances("growth", "ci", accepted)
        assert set(balances.values()) == {Balance(spent_micro=40_000, held_micro=50_000)}
        today = await Budgets(store).balances("growth", "ci", late)
        assert today[Scope.TEAM, Window.DAY] == today[Scope.TEAM, Window.MONTH] == Balance()

    async def test_a_top_up_in_a_window_that_is_over_says_that_it_is(self, edits, clock):
        clock.now_ms = at("2027-01-31T23:59:59")
        record = await begin(edits, 40_000, 40_000)
        clock.forward(5_000)
        await edits.close(record, settled(40_000, 40_000))
        with pytest.raises(OverBudget) as over:
            await edits.open(record, priced(1, 2), PERMIT, caps=Caps(key=Cap(day_micro=40_000)))
        assert (over.value.window, over.value.turns_s) == (Window.DAY, 0.0)

    async def test_the_scripts_and_python_keep_one_calendar(self, edits, clock, store):
        """Days all over the centuries that a clock may show; the script computes its dates itself."""
        for number, day in enumerate(range(0, 80_000, 997)):
            clock.now_ms = day * DAY_MS + 12_345
            await edits.accept(edit_record(number), None, None)
            name = f"{{kontext}}:budget:gateway:day:{datetime.fromtimestamp(clock.now_ms / 1000, UTC).date()}"
            assert await store.exists(name)


class TestResolve:
    @pytest.mark.parametrize(("cost", "after"), [(30_000, 30_000), (40_000, 40_000), (90_000, 90_000)])
    async def test_settled_money_moves_from_held_to_spent_and_the_edit_ends(
        self, edits, corrections, books, cost, after
    ):
        record = await leave(edits)
        resolved = await corrections.resolve(
            record, settled(40_000, cost), end(U.SUCCEEDED), operation="op1", note="seen on the bill"
        )
        assert (resolved.status, resolved.end, resolved.attempts[0].state) == (U.SUCCEEDED, end(U.SUCCEEDED), A.SETTLED)
        assert await books.total() == (after, 0)

    async def test_released_money_returns(self, edits, corrections, books):
        record = await leave(edits)
        released = replace(priced(40_000), state=A.RELEASED)
        resolved = await corrections.resolve(record, released, end(U.FAILED), operation="op1", note="")
        assert resolved.status is U.FAILED
        assert await books.total() == (0, 0)

    async def test_an_edit_ends_with_the_last_of_its_unresolved_attempts(self, edits, corrections, books):
        record = await begin(edits, 40_000, 40_000)
        await edits.close(record, replace(priced(40_000), state=A.UNRESOLVED))
        await edits.open(record, priced(50_000, 2), PERMIT)
        record = await edits.finish(record, end(U.UNRESOLVED), replace(priced(50_000, 2), state=A.UNRESOLVED))
        first = await corrections.resolve(record, settled(40_000, 40_000), end(U.FAILED), operation="a", note="")
        assert (first.status, await books.total()) == (U.UNRESOLVED, (40_000, 50_000))
        assert [each.id for each in await corrections.unresolved(10)] == [record.id]
        last = await corrections.resolve(
            record, replace(priced(50_000, 2), state=A.RELEASED), end(U.SUCCEEDED), operation="b", note=""
        )
        assert (last.status, await books.total()) == (U.SUCCEEDED, (40_000, 0))
        assert await corrections.unresolved(10) == ()

    async def test_an_edit_that_succeeded_beside_it_keeps_its_end(self, edits, corrections, books, store):
        record = await begin(edits, 40_000, 40_000)
        await edits.close(record, replace(priced(40_000), state=A.UNRESOLVED))
        await edits.open(record, priced(50_000, 2), PERMIT)
        record = await edits.finish(record, end(U.SUCCEEDED), settled(50_000, 50_000, 2))
        name = "{kontext}:edit:" + record.id
        assert (await corrections.unresolved_count(), await store.pttl(name)) == (1, -1)
        resolved = await corrections.resolve(record, settled(40_000, 40_000), end(U.FAILED), operation="a", note="")
        assert (resolved.status, await books.total()) == (U.SUCCEEDED, (90_000, 0))
        assert await corrections.unresolved_count() == 0
        assert await store.pttl(name) > 0

    async def test_what_is_still_worked_on_or_not_unresolved_is_refused(self, edits, corrections, store):
        record = await begin(edits)
        await edits.close(record, replace(priced(40_000), state=A.UNRESOLVED))
        release = replace(priced(40_000), state=A.RELEASED)
        with pytest.raises(IllegalMove, match="its replica decides"):
            await corrections.resolve(record, release, end(U.FAILED), operation="a", note="")
        record = await edits.finish(record, end(U.UNRESOLVED), None)
        before = await whole_store(store)
        for wrong, ended in [(priced(40_000), U.FAILED), (release, U.CANCELLED), (release, U.UNRESOLVED)]:
            with pytest.raises(IllegalMove):
                await corrections.resolve(record, wrong, end(ended), operation="a", note="")
        assert await whole_store(store) == before
        await corrections.resolve(record, release, end(U.FAILED), operation="a", note="")
        with pytest.raises(IllegalMove, match="is released, not unresolved"):
            await corrections.resolve(record, settled(40_000, 1), end(U.FAILED), operation="b", note="")

    async def test_a_late_repeat_of_the_end_before_is_still_a_repeat(self, edits, corrections, store):
        record = await begin(edits)
        left = replace(priced(40_000), state=A.UNRESOLVED)
        first = await edits.finish(record, end(U.UNRESOLVED), left)
        await corrections.resolve(first, settled(40_000, 1), end(U.SUCCEEDED), operation="a", note="")
        before = await whole_store(store)
        await edits.finish(record, end(U.UNRESOLVED), left)
        assert await whole_store(store) == before

    async def test_an_unresolved_end_needs_an_unresolved_attempt(self, edits):
        record = await begin(edits)
        with pytest.raises(IllegalMove, match="no attempt of it is"):
            await edits.finish(record, end(U.UNRESOLVED), settled(40_000, 40_000))


class TestCorrect:
    @pytest.mark.parametrize("difference", [10_000, -40_000])
    async def test_a_difference_moves_what_was_spent_and_nothing_else(self, edits, corrections, books, difference):
        record = await begin(edits)
        await edits.finish(record, end(U.SUCCEEDED), settled(40_000, 40_000))
        before = await edits.get(record.id)
        await corrections.correct(record, 1, difference, operation="a", source="provider", note="bill")
        assert await books.total() == (40_000 + difference, 0)
        assert await edits.get(record.id) == before

    async def test_a_charge_for_a_released_attempt_is_booked_while_the_next_is_under_way(
        self, edits, corrections, books
    ):
        record = await begin(edits, 40_000, 40_000)
        closed = await edits.close(record, replace(priced(40_000), state=A.RELEASED))
        await edits.open(record, priced(40_000, 2), PERMIT)
        record = replace(record, attempts=(closed,))
        await corrections.correct(record, 1, 40_000, operation="a", source="provider", note="")
        assert await books.total() == (40_000, 40_000)

    async def test_nothing_costs_less_than_nothing(self, edits, corrections, store):
        record = await begin(edits)
        record = await edits.finish(record, end(U.SUCCEEDED), settled(40_000, 40_000))
        await corrections.correct(record, 1, -30_000, operation="a", source="provider", note="")
        before = await whole_store(store)
        with pytest.raises(IllegalMove, match="less than nothing"):
            await corrections.correct(record, 1, -10_001, operation="b", source="provider", note="")
        assert await whole_store(store) == before

    @pytest.mark.parametrize("state", [A.INTENT, A.UNRESOLVED])
    async def test_only_what_is_closed_is_corrected(self, edits, corrections, state):
        record = await begin(edits)
        if state is A.UNRESOLVED:
            await edits.close(record, replace(priced(40_000), state=state))
        with pytest.raises(IllegalMove, match="only what is closed"):
            await corrections.correct(record, 1, 1, operation="a", source="provider", note="")


class TestRepeats:
    """The same act once more, however late, changes nothing; the model says so of every step, in every order."""

    async def test_resolve_and_correct_know_their_operation(self, edits, corrections, store, clock):
        record = await leave(edits)

        async def resolve() -> EditRecord:
            paid = settled(40_000, 30_000)
            return await corrections.resolve(record, paid, end(U.SUCCEEDED), operation="a", note="")

        async def correct(operation: str) -> None:
            await corrections.correct(record, 1, 5, operation=operation, source="provider", note="")

        first = await resolve()
        await correct("b")
        before = await whole_store(store)
        clock.forward(1_000)
        assert await resolve() == first
        await correct("b")
        assert await whole_store(store) == before
        await correct("c")
        assert await whole_store(store) != before


class TestUnresolved:
    async def test_they_are_listed_longest_first_from_the_close_on(self, edits, corrections, clock):
        for number in (3, 1, 2):
            clock.forward(1_000)
            record = await begin(edits, number=number)
            await edits.close(record, replace(priced(40_000), state=A.UNRESOLVED))
        found = await corrections.unresolved(2)
        assert [record.id for record in found] == [edit_record(3).id, edit_record(1).id]
        assert await corrections.unresolved_count() == 3


class TestBooks:
    async def test_one_row_for_each_step_in_its_order(self, edits, corrections, books, clock):
        record = await begin(edits, 40_000, 80_000)
        clock.forward(1_000)
        first = await edits.close(record, replace(priced(40_000), state=A.RELEASED))
        await edits.open(record, priced(60_000, 2), PERMIT)
        record = replace(record, attempts=(first, priced(60_000, 2)))
        record = await edits.finish(record, end(U.UNRESOLVED), replace(priced(60_000, 2), state=A.UNRESOLVED))
        clock.forward(1_000)
        record = await corrections.resolve(
            record, settled(60_000, 70_000, 2), end(U.SUCCEEDED), operation="op", note="ann: on the bill"
        )
        await corrections.correct(record, 1, 5, operation="op2", source="provider", note="")
        told = [
            (row.id.partition("/")[2], row.held_micro, row.settled_micro, row.outcome) for row in await books.rows()
        ]
        assert told == [
            ("accept", 80_000, None, None),
            ("1/open", 80_000, None, None),
            ("1/close", 80_000, None, "released"),
            ("2/open", 80_000, None, None),
            ("2/close", 80_000, None, "unresolved"),
            ("finish/unresolved", 60_000, 0, "unresolved"),
            ("correct/op", 0, 70_000, "done"),
            ("finish/succeeded", 0, 70_000, "succeeded"),
            ("correct/op2", 0, 5, None),
        ]
        assert [row.at_ms - record.created_ms for row in await books.rows()] == [0, 0, *[1_000] * 4, *[2_000] * 3]

    async def test_the_row_of_an_acceptance_says_all_that_a_rebuild_needs(self, edits, books, clock):
        await begin(edits)
        accepted, opened = await books.rows()
        assert accepted == Row(
            id=f"{edit_record().id}/accept",
            kind=RowKind.ACCEPT,
            edit=edit_record().id,
            team="growth",
            key_id="ci",
            at_ms=clock.now_ms,
            tier="standard",
            policy="production",
            held_micro=80_000,
            pictures=1,
            origin="00" * 16,
            tags={"campaign": "spring"},
        )
        assert (opened.attempt, opened.attempt_id, opened.quoted_micro) == (1, attempt().id, 40_000)

    async def test_a_second_purchase_and_a_second_charge_are_marked(self, edits, corrections, books):
        record = await begin(edits)
        first = await edits.close(record, replace(priced(40_000), state=A.UNRESOLVED))
        record = replace(record, attempts=(first,))
        await edits.open(record, priced(40_000, 2), PERMIT)
        record = await edits.finish(record, end(U.SUCCEEDED), settled(40_000, 40_000, 2))
        await corrections.correct(record, 2, 7, operation="a", source="provider", note="", mark=Mark.DUPLICATE_CHARGE)
        marked = {row.id.partition("/")[2]: row.mark for row in await books.rows() if row.mark}
        assert marked == {"2/open": Mark.ACCEPT_RISK, "correct/a": Mark.DUPLICATE_CHARGE}

    async def test_no_row_holds_a_prompt_or_a_providers_words(self, edits, store):
        record = await begin(edits)
        failed = replace(priced(40_000), state=A.RELEASED, message="their raw text")
        await edits.finish(record, end(U.FAILED), failed)
        for _, fields in await store.xrange("{kontext}:ledger"):
            assert b"Tasse" not in fields[b"row"]
            assert b"raw text" not in fields[b"row"]


class TestRefusals:
    """The same content for the same team is answered from a provider's refusal, for a day."""

    async def refuse(self, edits: Edits) -> None:
        record = await begin(edits, content="c0ffee")
        await edits.finish(record, end(U.REFUSED), replace(priced(40_000), state=A.RELEASED))

    async def test_it_sticks_for_a_day(self, edits, store, clock):
        await self.refuse(edits)
        until = clock.now_ms + DAY_MS
        clock.now_ms = until - 1
        before = await whole_store(store)
        with pytest.raises(RefusedBefore) as refused:
            await begin(edits, number=2, content="c0ffee")
        assert refused.value.until_ms == until
        assert await whole_store(store) == before
        clock.now_ms = until
        await begin(edits, number=2, content="c0ffee")

    async def test_other_content_and_other_teams_are_free(self, edits):
        await self.refuse(edits)
        await begin(edits, number=2, content="other")
        await begin(edits, number=3)
        other = replace(edit_record(4), team="other")
        await edits.accept(other, priced(40_000), PERMIT, terms=Terms(content="c0ffee"))

    @pytest.mark.parametrize("status", [U.SUCCEEDED, U.FAILED])
    async def test_no_other_end_sticks(self, edits, status):
        record = await begin(edits, content="c0ffee")
        await edits.finish(record, end(status), settled(40_000, 40_000))
        await begin(edits, number=2, content="c0ffee")

    async def test_a_refusal_that_comes_to_light_later_sticks_too(self, edits, corrections):
        record = await begin(edits, content="c0ffee")
        record = await edits.finish(record, end(U.UNRESOLVED), replace(priced(40_000), state=A.UNRESOLVED))
        released = replace(priced(40_000), state=A.RELEASED)
        await corrections.resolve(record, released, end(U.REFUSED), operation="a", note="")
        with pytest.raises(RefusedBefore):
            await begin(edits, number=2, content="c0ffee")


class TestConcurrency:
    async def test_a_key_has_only_so_many_edits_open(self, edits, store):
        first = await begin(edits, number=1, most_open=2)
        await begin(edits, number=2, most_open=2)
        before = await whole_store(store)
        with pytest.raises(TooMany, match="has 2 edits open"):
            await begin(edits, number=3, most_open=2)
        assert await whole_store(store) == before
        await edits.finish(first, end(U.UNRESOLVED), replace(priced(40_000), state=A.UNRESOLVED))
        await begin(edits, number=3, most_open=2)

    async def test_other_keys_do_not_count(self, edits):
        await begin(edits, number=1)
        other = replace(edit_record(2), key_id="other")
        await edits.accept(other, priced(40_000), PERMIT, terms=Terms(most_open=1))


# --- two at once ------------------------------------------------------------------------------------------------------


async def accepted(edits: Edits, hold_micro: int = 80_000, **wish: Any) -> EditRecord:
    """An edit whose first attempt its provider works on."""
    record = edit_record()
    record = replace(record, wish=replace(record.wish, **wish))
    record, first = await edits.accept(record, attempt(), None, terms=Terms(hold_micro=hold_micro))
    assert first is not None
    poll = attempt(state=A.ACCEPTED, step=Step.POLL)
    return replace(record, attempts=(await edits.store(record, poll),))


async def test_beside_an_accepted_attempt_another_one_opens_out_of_what_was_held_for_both(edits: Edits, books: Books):
    record = await accepted(edits)
    opened = await edits.open(record, replace(attempt(2), beside=1), None)
    assert isinstance(opened, AttemptRecord)
    assert await books.total() == (0, 80_000)
    assert [row.mark for row in await books.rows()] == [None, None, Mark.HEDGE]


async def test_beside_two_nobody_opens_and_none_beside_one_that_may_not_run(edits: Edits):
    record = edit_record()
    record, _ = await edits.accept(record, attempt(), None, terms=Terms(hold_micro=120_000))
    for state in (A.INTENT, A.UNKNOWN):
        await edits.store(record, attempt(state=state))
        with pytest.raises(IllegalMove, match=f"the first of them {state}"):
            await edits.open(record, replace(attempt(2), beside=1), None)
    await edits.store(record, attempt(state=A.ACCEPTED, step=Step.POLL))
    with pytest.raises(IllegalMove, match="while attempt 1 is accepted"):
        await edits.open(record, attempt(2), None)
    await edits.open(record, replace(attempt(2), beside=1), None)
    with pytest.raises(IllegalMove, match="here 2 are open"):
        await edits.open(record, replace(attempt(3), beside=1), None)
    with pytest.raises(IllegalMove, match="close it first"):
        await edits.finish(record, end(U.SUCCEEDED), attempt(2, A.SETTLED))


async def test_the_edits_own_cap_counts_the_one_that_runs(edits: Edits):
    record = await accepted(edits, 70_000, max_cost_micro=70_000)
    with pytest.raises(OverBudget):
        await edits.open(record, replace(attempt(2), beside=1), None)


async def test_an_overrun_of_one_does_not_eat_what_is_held_for_the_other(edits: Edits, books: Books):
    record = await accepted(edits)
    await edits.open(record, replace(attempt(2), beside=1), None)
    await edits.close(record, replace(attempt(state=A.SETTLED), cost_micro=60_000, cost_source="provider"))
    assert await books.total() == (60_000, 40_000)
    await edits.close(record, attempt(2, A.UNRESOLVED))
    assert await books.total() == (60_000, 40_000)
