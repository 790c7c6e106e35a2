from hypothesis import given
from hypothesis import strategies as st

from policies.rhythm import MOST_POLLS, next_poll_s

chances = st.floats(0, 1, exclude_max=True)


def found_after(provider_s: float, usual_s: float, chance_of) -> float:
    """When a poll first meets work that was done after `provider_s`."""
    elapsed, polls = 0.0, 0
    while True:
        wait = next_poll_s(elapsed, usual_s, polls, chance_of(polls))
        assert wait is not None
        elapsed, polls = elapsed + wait, polls + 1
        if elapsed >= provider_s:
            return elapsed


def evenly(polls: int, offset: float) -> float:
    """Chances spread evenly over [0, 1), without chance: the golden ratio's multiples."""
    return (offset + polls * 0.618033988749895) % 1


@given(st.floats(5, 15))
def test_polling_adds_less_than_a_tenth_on_average(provider_s):
    found = [found_after(provider_s, 10, lambda polls, run=run: evenly(polls, run / 200)) for run in range(200)]
    assert sum(found) / len(found) < provider_s * 1.1


@given(st.floats(5, 15), st.lists(chances, min_size=MOST_POLLS, max_size=MOST_POLLS))
def test_polling_never_adds_more_than_a_fifth(provider_s, drawn):
    assert found_after(provider_s, 10, drawn.__getitem__) < provider_s * 1.2


@given(st.floats(0.5, 1), st.floats(0.1, 60))
def test_the_polls_last_for_ten_minutes(_, usual_s):
    elapsed = 0.0
    for polls in range(MOST_POLLS):
        elapsed += next_poll_s(elapsed, usual_s, polls, 0.0) or 0.0
    assert elapsed > 600
    assert next_poll_s(elapsed, usual_s, MOST_POLLS, 0.0) is None


def test_the_first_poll_waits_for_half_the_usual_time():
    assert next_poll_s(0, 10, 0, 0.5) == 5
    assert next_poll_s(0, 0.2, 0, 0.5) == 0.5
    assert next_poll_s(2, 10, 0, 0.5) == 3
    assert next_poll_s(60, 10, 0, 0.5) == 0  # taken over after a crash: long overdue


@given(st.floats(0, 900), chances)
def test_later_polls_grow_with_the_age_and_scatter_by_a_tenth(elapsed_s, chance):
    wait = next_poll_s(elapsed_s, 10, 1, chance)
    nominal = max(0.5, 0.12 * elapsed_s)
    assert wait is not None
    assert 0.9 * nominal <= wait < 1.1 * nominal + 1e-9
