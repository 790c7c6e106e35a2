import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import FailureKind
from policies.circuit import (
    CLOSED,
    CONSECUTIVE,
    CREDIT_S,
    EVENTS,
    FORGET_S,
    LAST_RESORT_S,
    LONGEST_OPEN_S,
    OPEN_S,
    PROBE_S,
    TRANSITIONS,
    Circuit,
    Event,
    Scope,
    State,
    admits,
    due,
    open_s,
    sick_s,
    step,
)
from policies.react import VERDICTS


def after(*events: Event, circuit: Circuit = CLOSED, at_s: float = 0.0) -> Circuit:
    for event in events:
        circuit = step(circuit, event, at_s)
    return circuit


OPENED = after(*[Event.FAILED] * CONSECUTIVE)


def test_the_table_is_complete():
    assert set(TRANSITIONS) == set(State)
    assert all(set(row) == set(Event) for row in TRANSITIONS.values())


@pytest.mark.parametrize("state", State)
def test_an_account_without_key_or_credit_is_known_from_every_state(state):
    circuit = Circuit(state=state, until_s=1000)
    assert step(circuit, Event.CREDENTIAL, 0).state is State.NO_CREDENTIAL
    assert step(circuit, Event.CREDIT, 0).state is State.NO_CREDIT
    assert step(circuit, Event.RESTORED, 0).state is State.CLOSED


def test_every_failure_kind_says_whose_circuit_hears_of_it():
    assert set(EVENTS) == set(FailureKind)
    for kind, said in EVENTS.items():
        assert (said is not None) == VERDICTS[kind].sick, kind
        assert (said is not None and said[0] is Scope.ACCOUNT) or not VERDICTS[kind].leaves_account, kind


def test_five_in_a_row_open_it_and_four_do_not():
    assert after(*[Event.FAILED] * 4).state is State.CLOSED
    assert OPENED.state is State.OPEN
    assert after(*[Event.FAILED] * 4, Event.SUCCEEDED, *[Event.FAILED] * 4).state is State.CLOSED


def test_more_than_half_of_twenty_in_ten_seconds_open_it():
    mixed = [Event.FAILED, Event.FAILED, Event.SUCCEEDED] * 6
    assert after(*mixed).state is State.CLOSED  # 18 seen
    assert after(*mixed, Event.SUCCEEDED, Event.FAILED).state is State.OPEN  # 13 of 20
    assert after(*mixed[:-3], circuit=after(*mixed), at_s=10).state is State.CLOSED  # the first have left the window
    half = [Event.SUCCEEDED, Event.FAILED] * 30
    assert after(*half).state is State.CLOSED


def test_it_is_tried_again_by_one_edit_and_closes_when_that_delivers():
    assert not admits(OPENED, OPEN_S - 0.01)
    assert admits(OPENED, OPEN_S)
    probing = step(OPENED, Event.PROBE, OPEN_S)
    assert probing.state is State.PROBING
    assert not admits(probing, OPEN_S)
    assert step(probing, Event.SUCCEEDED, OPEN_S + 10).state is State.CLOSED


def test_a_probe_that_never_comes_back_gives_its_permit_back():
    probing = step(OPENED, Event.PROBE, OPEN_S)
    assert admits(probing, OPEN_S + PROBE_S)


def test_ejections_grow_with_repeats_up_to_a_cap():
    circuit, at_s, waits = OPENED, 0.0, [OPENED.until_s]
    for _ in range(11):
        at_s = circuit.until_s
        circuit = step(step(circuit, Event.PROBE, at_s), Event.FAILED, at_s)
        waits.append(circuit.until_s - at_s)
    assert waits == [pytest.approx(min(LONGEST_OPEN_S, OPEN_S * n)) for n in range(1, 13)]


def test_ejections_are_forgotten_after_a_while_in_health():
    back = step(step(OPENED, Event.PROBE, 30), Event.SUCCEEDED, 40)
    soon = after(*[Event.FAILED] * 5, circuit=back, at_s=40 + FORGET_S)
    late = after(*[Event.FAILED] * 5, circuit=back, at_s=40 + FORGET_S + 1)
    assert (soon.ejections, late.ejections) == (2, 1)


def test_stragglers_change_nothing_while_it_is_out():
    assert step(OPENED, Event.SUCCEEDED, 5) == OPENED
    assert step(OPENED, Event.FAILED, 5) == OPENED
    half_open = due(OPENED, OPEN_S)
    assert step(half_open, Event.FAILED, OPEN_S) == half_open


def test_the_last_resort_is_looked_at_by_one_edit_every_five_seconds():
    assert not admits(OPENED, 6)
    assert admits(OPENED, 6, last=True)
    probing = step(OPENED, Event.PROBE, 6)
    assert not admits(probing, 6.5, last=True)
    again = step(probing, Event.FAILED, 6.5)
    assert not admits(again, 6 + LAST_RESORT_S - 0.1, last=True)
    assert admits(again, 6 + LAST_RESORT_S, last=True)


def test_an_empty_account_is_looked_at_by_a_waiting_edit_and_heals_when_it_is_paid():
    empty = step(CLOSED, Event.CREDIT, 0)
    assert not admits(empty, CREDIT_S - 1)
    probing = step(empty, Event.PROBE, CREDIT_S)
    assert step(probing, Event.CREDIT, CREDIT_S).state is State.NO_CREDIT
    assert step(probing, Event.SUCCEEDED, CREDIT_S).state is State.CLOSED


def test_the_least_sick_comes_back_first():
    assert sick_s(CLOSED, 0) == 0
    assert sick_s(OPENED, 10) == OPEN_S - 10
    assert sick_s(OPENED, OPEN_S) == 0
    assert sick_s(step(CLOSED, Event.CREDENTIAL, 0), 0) > sick_s(step(CLOSED, Event.CREDIT, 0), 0) > sick_s(OPENED, 0)


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_ejections_scatter_by_a_tenth(ejections, chance):
    nominal = min(LONGEST_OPEN_S, OPEN_S * ejections)
    assert 0.9 * nominal - 1e-9 <= open_s(ejections, chance) <= 1.1 * nominal


@given(st.lists(st.tuples(st.sampled_from(Event), st.floats(0, 100)), max_size=60), st.floats(0, 1, exclude_max=True))
def test_no_story_shuts_an_offer_for_good(story, chance):
    circuit, at_s = CLOSED, 0.0
    for event, pause in story:
        at_s += pause
        circuit = step(circuit, event, at_s, chance)
        assert len(circuit.window.slots) <= 10
        assert admits(circuit, at_s + 331)  # the longest ejection and its jitter
