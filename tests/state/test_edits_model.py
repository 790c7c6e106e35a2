"""The steps against a model: whatever two replicas do, in any order and with stale records, the store agrees with a
dictionary and a few rules."""

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace

from gateway.state.connection import connect
from gateway.state.edits import Edits, Fenced, IllegalMove, NoPermit, Permit
from gateway.state.records import AttemptState, EditRecord, Status
from tests.state.moves import ATTEMPT_MOVES, ENDS, STATUS_MOVES
from tests.state.samples import HandClock, attempt, edit_record, end

PERMIT = Permit("runware", 2)
DEAD_MS = 10_000
REPLICAS = ("one", "two")
UNRESOLVED = AttemptState.UNRESOLVED
OPEN = [state for state in AttemptState if state.is_open]
CLOSED = [state for state in AttemptState if not state.is_open]


class Model:
    """One edit as it should be."""

    def __init__(self, owner: str, created_ms: int) -> None:
        self.owner, self.epoch, self.created_ms = owner, 0, created_ms
        self.status = Status.QUEUED
        self.attempts: list[AttemptState] = []

    def is_held_by(self, view: EditRecord) -> bool:
        return (self.owner, self.epoch) == (view.owner, view.epoch)

    @property
    def is_under_way(self) -> bool:
        return self.status in (Status.QUEUED, Status.RUNNING)

    @property
    def has_open_attempt(self) -> bool:
        return any(state.is_open for state in self.attempts)


class Machine(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = HandClock()
        self.store = self.do(connect(self.url, folder=Path()))
        self.do(self.store.flushall())
        self.edits = {name: Edits(self.store, name, dead_ms=DEAD_MS, clock=self.clock) for name in REPLICAS}
        self.beats: dict[str, int] = {}
        self.models: dict[str, Model] = {}
        self.views: list[EditRecord] = []  # every record that anybody was ever given, however stale

    def do(self, step) -> Any:
        return self.runner.run(step)

    def attempt_step(self, step) -> Any:
        """The step's answer, or the class of its refusal."""
        self.clock.forward(1)
        try:
            return self.do(step)
        except (Fenced, IllegalMove) as refused:
            return type(refused)

    def permits(self) -> int:
        return sum(model.has_open_attempt for model in self.models.values())

    # --- what replicas do ---

    @rule(name=st.sampled_from(REPLICAS), at_once=st.booleans())
    def accept(self, name, at_once):
        view, begun = self.attempt_step(
            self.edits[name].accept(edit_record(len(self.models)), attempt() if at_once else None, PERMIT)
        )
        model = Model(name, self.clock.now_ms)
        if at_once and self.permits() < PERMIT.limit:
            model.status, model.attempts = Status.RUNNING, [AttemptState.INTENT]
        assert (begun is not None) == bool(model.attempts)
        self.models[view.id] = model
        self.views.append(view)
        self.beats.setdefault(name, self.clock.now_ms)

    @precondition(lambda self: self.views)
    @rule(data=st.data())
    def open(self, data):
        view, model = self.chosen(data)
        number = len(model.attempts) + 1
        answer = self.attempt_step(self.edits["one"].open(view, attempt(number), PERMIT))
        if not model.is_held_by(view):
            assert answer is Fenced
        elif not model.is_under_way or model.has_open_attempt:
            assert answer is IllegalMove
        elif self.permits() >= PERMIT.limit:
            assert answer == NoPermit()
        else:
            assert answer == replace(
                attempt(number), **dict.fromkeys(("opened_ms", "posted_ms", "first_posted_ms"), self.clock.now_ms)
            )
            model.status, model.attempts = Status.RUNNING, [*model.attempts, AttemptState.INTENT]

    @precondition(lambda self: self.views)
    @rule(data=st.data(), state=st.sampled_from(AttemptState))
    def store_or_close(self, data, state):
        view, model = self.chosen(data)
        number = max(1, len(model.attempts))
        edits, moved = self.edits["one"], replace(attempt(number, state), tried=self.clock.now_ms)
        answer = self.attempt_step(edits.store(view, moved) if state in OPEN else edits.close(view, moved))
        if not model.is_held_by(view):
            assert answer is Fenced
        elif not model.attempts or state not in ATTEMPT_MOVES[model.attempts[-1]]:
            assert answer is IllegalMove
        else:
            assert answer not in (Fenced, IllegalMove)
            model.attempts[-1] = state

    @precondition(lambda self: self.views)
    @rule(data=st.data(), status=st.sampled_from(ENDS), closing=st.none() | st.sampled_from(CLOSED))
    def finish(self, data, status, closing):
        view, model = self.chosen(data)
        number = max(1, len(model.attempts))
        last = None if closing is None else replace(attempt(number, closing), tried=self.clock.now_ms)
        answer = self.attempt_step(self.edits["one"].finish(view, replace(end(status), cost_micro=1), last))
        if not model.is_held_by(view):
            assert answer is Fenced
        elif model.status is status:  # the same end again is a repeat
            assert isinstance(answer, EditRecord)
        elif (
            status not in STATUS_MOVES[model.status]
            or not self.may_close(model, closing)
            or (status is Status.UNRESOLVED and UNRESOLVED not in self.closed(model, closing))
        ):
            assert answer is IllegalMove
        else:
            assert isinstance(answer, EditRecord)
            model.status = status
            if closing:
                model.attempts[-1] = closing

    @rule(name=st.sampled_from(REPLICAS))
    def beat(self, name):
        self.attempt_step(self.edits[name].beat())
        self.beats[name] = self.clock.now_ms

    @rule(ms=st.sampled_from([100, 4_000, DEAD_MS]))
    def wait(self, ms):
        self.clock.forward(ms)

    @rule(name=st.sampled_from(REPLICAS), limit=st.integers(1, 3))
    def claim(self, name, limit):
        claimed = self.attempt_step(self.edits[name].claim(limit))
        now = self.clock.now_ms
        (rival,) = set(REPLICAS) - {name}
        open_ids = [id_ for id_, model in self.models.items() if model.owner == rival and model.is_under_way]
        is_dead = rival in self.beats and self.beats[rival] < now - DEAD_MS
        assert [record.id for record in claimed] == (open_ids[:limit] if is_dead else [])
        for record in claimed:
            self.models[record.id].owner = name
            self.models[record.id].epoch += 1
        self.views.extend(claimed)
        self.beats[name] = now
        if is_dead and len(open_ids) <= limit:
            del self.beats[rival]

    # --- what must always hold ---

    @invariant()
    def the_store_is_as_the_model(self):
        for id_, model in self.models.items():
            record = self.do(self.edits["one"].get(id_))
            found = (record.status, record.owner, record.epoch, record.created_ms, [a.state for a in record.attempts])
            assert found == (model.status, model.owner, model.epoch, model.created_ms, model.attempts)

    @invariant()
    def permits_are_the_open_attempts(self):
        assert self.do(self.store.scard("{kontext}:permits:runware")) == self.permits() <= PERMIT.limit

    @invariant()
    def every_open_edit_is_listed_under_its_owner(self):
        for name in REPLICAS:
            owned = [id_ for id_, model in self.models.items() if model.owner == name and model.is_under_way]
            assert self.do(self.edits[name].owned()) == tuple(owned)

    def closed(self, model: Model, state: AttemptState | None) -> list[AttemptState]:
        return model.attempts if state is None else [*model.attempts[:-1], state]

    def may_close(self, model: Model, state: AttemptState | None) -> bool:
        if state is None:
            return not model.has_open_attempt
        return bool(model.attempts) and state in ATTEMPT_MOVES[model.attempts[-1]]

    def chosen(self, data) -> tuple[EditRecord, Model]:
        view = data.draw(st.sampled_from(self.views))
        return view, self.models[view.id]

    def teardown(self):
        self.do(self.store.aclose())
        self.runner.close()


def test_the_store_agrees_with_the_model(engine_url):
    machine = type("OnThisEngine", (Machine,), {"url": engine_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
