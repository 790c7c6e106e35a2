from hypothesis import given
from hypothesis import strategies as st

from policies.throttle import NO_SUBMITS, may_repeat, submitted
from policies.window import Window, counted, totals


def after(firsts: int, repeats: int, at_s: float = 0.0) -> Window:
    budget = NO_SUBMITS
    for _ in range(firsts):
        budget = submitted(budget, at_s, repeat=False)
    for _ in range(repeats):
        budget = submitted(budget, at_s, repeat=True)
    return budget


def test_three_repeats_are_always_free():
    assert may_repeat(after(0, 2), 0)
    assert not may_repeat(after(0, 3), 0)


def test_then_a_fifth_of_all_submits():
    assert may_repeat(after(81, 19), 0)
    assert not may_repeat(after(80, 20), 0)


def test_the_budget_is_that_of_the_last_ten_seconds():
    assert not may_repeat(after(0, 3), 9.9)
    assert may_repeat(after(0, 3), 10)


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=40), st.floats(100, 120))
def test_a_window_holds_exactly_its_seconds(events, now_s):
    window = Window()
    for at_s, good in sorted(events):
        window = counted(window, at_s, good=1) if good else counted(window, at_s, bad=1)
    inside = [good for at_s, good in events if int(at_s) > int(now_s) - 10]
    assert totals(window, now_s) == (sum(inside), len(inside) - sum(inside))
