"""Money against integers: whatever is accepted, opened, closed, finished, resolved, corrected and repeated, in any
order and over days, every account, every hold and the outbox agree with a few sums kept beside them."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace

from gateway.ledger.rows import Row, RowKind
from gateway.state.budgets import Budgets, Cap, Caps, OverBudget, accounts
from gateway.state.claims import Claims, Joined, New
from gateway.state.connection import connect
from gateway.state.corrections import Corrections
from gateway.state.edits import Edits, IllegalMove
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.terms import LostClaim, Terms
from tests.state.samples import HandClock, attempt, edit_record, end

A, U = AttemptState, Status
CAP = 500
CAPS = Caps(gateway=Cap(total_micro=CAP), team=Cap(day_micro=CAP // 2), key=Cap(month_micro=CAP))
FOR_EVER = 2**63
ENDS = {U.UNRESOLVED, U.SUCCEEDED, U.FAILED, U.REFUSED}
amounts = st.integers(0, 120)


class Model:
    """One edit's money."""

    def __init__(self, record: EditRecord, hold: int) -> None:
        self.record, self.hold, self.spent = record, hold, 0
        self.accounts = accounts(record.team, record.key_id, record.created_ms)
        self.status = U.QUEUED
        self.key_ends_ms = FOR_EVER
        self.is_joined = False
        self.states: list[AttemptState] = []
        self.prices: list[int] = []
        self.costs: list[int] = []

    @property
    def kept(self) -> int:
        return sum(price for price, state in zip(self.prices, self.states, strict=True) if state is A.UNRESOLVED)

    @property
    def is_under_way(self) -> bool:
        return self.status in (U.QUEUED, U.RUNNING)

    @property
    def is_just_accepted(self) -> bool:
        """Nothing of it went on since: its acceptance can be taken back."""
        return self.is_under_way and self.states in ([], [A.INTENT])

    @property
    def is_terminal(self) -> bool:
        return not self.is_under_way and self.status is not U.UNRESOLVED

    @property
    def has_open(self) -> bool:
        return any(state.is_open for state in self.states)

    def open(self, price: int) -> None:
        self.hold = max(self.hold, self.kept + price)
        self.status = U.RUNNING
        self.states.append(A.INTENT)
        self.prices.append(price)
        self.costs.append(0)

    def close(self, index: int, state: AttemptState, cost: int) -> None:
        self.states[index] = state
        if state is A.SETTLED:
            self.costs[index] = cost
            self.spent += cost
            self.hold = max(self.kept, self.hold - cost)

    def finish(self, status: Status, now_ms: int) -> None:
        if status is not U.UNRESOLVED and not self.is_terminal:
            self.key_ends_ms = now_ms + 24 * 3_600_000
        self.status, self.hold = status, self.kept


class Machine(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = HandClock()
        self.store = self.do(connect(self.url, folder=Path()))
        self.do(self.store.flushall())
        self.edits = Edits(self.store, "one", clock=self.clock)
        self.corrections = Corrections(self.store, clock=self.clock)
        self.claims = Claims(self.store, clock=self.clock)
        self.models: list[Model] = []
        self.undone: list[Model] = []
        self.rows = 0
        self.acted_ms = 0
        self.operations = 0

    def do(self, step) -> Any:
        return self.runner.run(step)

    def step(self, make, rows: int) -> Any:
        """The step's answer or refusal; and the same step again gives the same and changes nothing."""
        self.acted_ms = self.clock.forward(1)
        answer = self.once(make)
        if not isinstance(answer, Exception):
            self.rows += rows
            before = self.do(self.dump())
            self.clock.forward(1)
            assert self.once(make) == answer
            assert self.do(self.dump()) == before
        return answer

    def once(self, make) -> Any:
        try:
            return self.do(make())
        except (OverBudget, IllegalMove, LostClaim) as refused:
            return refused

    async def dump(self) -> object:
        return await Budgets(self.store).everything(), await self.store.xlen("{kontext}:ledger")

    def operation(self) -> str:
        self.operations += 1
        return f"op{self.operations}"

    # --- what is done ---

    @rule(
        hold=amounts, price=st.none() | amounts, team=st.sampled_from(["growth", "other"]), key=st.sampled_from("ab?")
    )
    def accept(self, hold, price, team, key):
        record = replace(edit_record(len(self.models) + len(self.undone)), team=team, key_id="ci")
        claim = None
        if key != "?":
            claimed = self.do(self.claims.claim(team, "edits", key, "the same", record.id))
            owners = [model for model in self.models if (model.record.team, model.record.trace_id) == (team, key)]
            if owners and self.clock.now_ms < owners[-1].key_ends_ms:
                assert claimed == Joined(owners[-1].record.id, ended=owners[-1].is_terminal)
                owners[-1].is_joined = True
                return
            assert isinstance(claimed, New)
            claim, record = claimed.claim, replace(record, trace_id=key)
        first = None if price is None else replace(attempt(), price_micro=price)
        terms = Terms(hold_micro=hold, caps=CAPS, claim=claim)
        answer = self.step(lambda: self.edits.accept(record, first, None, terms=terms), 1 if first is None else 2)
        asked = max(hold, price or 0)
        if isinstance(answer, OverBudget):
            assert not self.fits(accounts(team, "ci", self.clock.now_ms), asked)
            if claim:
                self.do(self.claims.drop(claim))
            return
        model = Model(answer[0], asked)
        assert self.fits(model.accounts, asked)
        if price is not None:
            model.open(price)
        self.models.append(model)

    @precondition(lambda self: any(model.is_just_accepted for model in self.models))
    @rule(data=st.data())
    def undo(self, data):
        model = self.chosen(data, lambda model: model.is_just_accepted)
        undone = self.step(lambda: self.edits.undo(model.record), 0 if model.is_joined else 1)
        assert undone is not model.is_joined
        if undone:
            model.hold = 0
            self.models.remove(model)
            self.undone.append(model)

    @precondition(lambda self: any(model.is_under_way and not model.has_open for model in self.models))
    @rule(data=st.data(), price=amounts)
    def open(self, data, price):
        model = self.chosen(data, lambda model: model.is_under_way and not model.has_open)
        number = len(model.states) + 1
        new = replace(attempt(number), price_micro=price)
        answer = self.step(lambda: self.edits.open(model.record, new, None, caps=CAPS), 1)
        more = max(0, price - (model.hold - model.kept))
        fits = more == 0 or self.fits(model.accounts, more)
        assert isinstance(answer, OverBudget) != fits
        if fits:
            model.open(price)

    @precondition(lambda self: any(model.has_open for model in self.models))
    @rule(data=st.data(), state=st.sampled_from([A.SETTLED, A.RELEASED, A.UNRESOLVED]), cost=amounts)
    def close(self, data, state, cost):
        model = self.chosen(data, lambda model: model.has_open)
        ended = self.ended(model, len(model.states) - 1, state, cost)
        assert not isinstance(self.step(lambda: self.edits.close(model.record, ended), 1), Exception)
        model.close(len(model.states) - 1, state, cost)

    @precondition(lambda self: any(model.is_under_way and model.states for model in self.models))
    @rule(
        data=st.data(),
        status=st.sampled_from(sorted(ENDS)),
        state=st.sampled_from([A.SETTLED, A.RELEASED, A.UNRESOLVED]),
        cost=amounts,
    )
    def finish(self, data, status, state, cost):
        model = self.chosen(data, lambda model: model.is_under_way and bool(model.states))
        index = len(model.states) - 1
        closing = self.ended(model, index, state, cost) if model.has_open else None
        after = [*model.states[:-1], state if closing else model.states[-1]]
        answer = self.step(lambda: self.edits.finish(model.record, end(status), closing), 1 if closing is None else 2)
        assert isinstance(answer, IllegalMove) == (status is U.UNRESOLVED and A.UNRESOLVED not in after)
        if not isinstance(answer, IllegalMove):
            if closing:
                model.close(index, state, cost)
            model.finish(status, self.acted_ms)

    @precondition(lambda self: any(A.UNRESOLVED in model.states for model in self.models))
    @rule(
        data=st.data(),
        state=st.sampled_from([A.SETTLED, A.RELEASED]),
        status=st.sampled_from([U.SUCCEEDED, U.FAILED]),
        cost=amounts,
    )
    def resolve(self, data, state, status, cost):
        model = self.chosen(data, lambda model: A.UNRESOLVED in model.states)
        index = model.states.index(A.UNRESOLVED)
        ended, operation = self.ended(model, index, state, cost), self.operation()
        last = model.status is U.UNRESOLVED and model.states.count(A.UNRESOLVED) == 1
        answer = self.step(
            lambda: self.corrections.resolve(model.record, ended, end(status), operation=operation, note=""),
            2 if last else 1,
        )
        assert isinstance(answer, IllegalMove) == model.is_under_way
        if not isinstance(answer, IllegalMove):
            model.close(index, state, cost)
            model.finish(status if last else model.status, self.acted_ms)
            assert answer.status is model.status

    @precondition(lambda self: any(model.states for model in self.models))
    @rule(data=st.data(), difference=st.integers(-120, 120))
    def correct(self, data, difference):
        model = self.chosen(data, lambda model: bool(model.states))
        index = data.draw(st.integers(0, len(model.states) - 1))
        record, operation = self.do(self.edits.get(model.record.id)), self.operation()
        answer = self.step(
            lambda: self.corrections.correct(
                record, index + 1, difference, operation=operation, source="provider", note=""
            ),
            1,
        )
        may = model.states[index] in (A.SETTLED, A.RELEASED) and model.costs[index] + difference >= 0
        assert isinstance(answer, IllegalMove) != may
        if may:
            model.costs[index] += difference
            model.spent += difference

    @rule(ms=st.sampled_from([1_000, 3_600_000, 24 * 3_600_000]))
    def wait(self, ms):
        self.clock.forward(ms)
        self.do(self.edits.beat())

    # --- what must always hold ---

    @invariant()
    def every_account_is_the_sum_of_its_edits(self):
        spent, held = self.sums()
        found = self.do(Budgets(self.store).everything())
        assert {name: (one.spent_micro, one.held_micro) for name, one in found.items()} == {
            name: (spent[name], held[name]) for name in held
        }

    @invariant()
    def every_edit_holds_and_keeps_its_own(self):
        found = {each.edit: each for each in self.do(Budgets(self.store).holdings())}
        for model in self.models:
            own = found[model.record.id]
            assert (own.held_micro, own.kept_micro, own.spent_micro) == (model.hold, model.kept, model.spent)
            assert model.is_under_way or model.hold == model.kept

    @invariant()
    def the_outbox_has_one_row_for_each_step_and_its_sums_are_the_accounts(self):
        entries = self.do(self.store.xrange("{kontext}:ledger"))
        rows = [msgspec.json.decode(fields[b"row"], type=Row) for _, fields in entries]
        assert len(rows) == len({row.id for row in rows}) == self.rows
        charged, holds = Counter(), {}
        for row in rows:
            holds[row.edit] = row.held_micro
            if row.kind in (RowKind.CLOSE, RowKind.CORRECT):
                charged[row.edit] += row.settled_micro or 0
        for model in self.models:
            assert (charged[model.record.id], holds[model.record.id]) == (model.spent, model.hold)

    @invariant()
    def what_is_unresolved_is_listed(self):
        listed = {record.id for record in self.do(self.corrections.unresolved(1_000))}
        assert listed == {model.record.id for model in self.models if A.UNRESOLVED in model.states}

    # --- small words ---

    def sums(self) -> tuple[Counter[str], Counter[str]]:
        spent, held = Counter(), Counter()
        for model in (*self.models, *self.undone):
            for account in model.accounts:
                spent[account] += model.spent
                held[account] += model.hold
        return spent, held

    def fits(self, names: tuple[str, ...], more: int) -> bool:
        """The wall: what a step may hold now, and M3 for every step that holds."""
        spent, held = self.sums()
        caps = [2**53 - 1 if word == "-" else int(word) for word in CAPS.words().split()]
        return all(spent[name] + held[name] + more <= cap for name, cap in zip(names, caps, strict=True))

    def ended(self, model: Model, index: int, state: AttemptState, cost: int):
        ended = replace(attempt(index + 1), state=state, price_micro=model.prices[index], tried=self.operations)
        return replace(ended, cost_micro=cost if state is A.SETTLED else None)

    def chosen(self, data, fits) -> Model:
        return data.draw(st.sampled_from([model for model in self.models if fits(model)]))

    def teardown(self):
        self.do(self.store.aclose())
        self.runner.close()


def test_money_agrees_with_the_model(engine_url):
    machine = type("OnThisEngine", (Machine,), {"url": engine_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
