"""What follows a try to deliver a webhook."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.delivery import JITTER, PAUSES_S, Next, Verdict, after_try

HOUR_S = 3600


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=len(PAUSES_S), max_size=len(PAUSES_S)))
def test_a_receiver_that_never_answers_is_tried_for_about_three_days_and_then_given_up(chances: list[float]) -> None:
    nexts = [after_try(500, number, chance) for number, chance in enumerate(chances, 1)]
    assert {one.verdict for one in nexts} == {Verdict.AGAIN}
    assert 72 * HOUR_S * (1 - JITTER) * 0.99 <= sum(one.pause_s for one in nexts) <= 72 * HOUR_S * (1 + JITTER)
    assert after_try(500, len(PAUSES_S) + 1, 0.5) == Next(Verdict.GIVEN_UP)


def test_pauses_grow_and_chance_spreads_them() -> None:
    assert list(PAUSES_S) == sorted(PAUSES_S)
    for number, pause_s in enumerate(PAUSES_S, 1):
        early, late = after_try(None, number, 0.0).pause_s, after_try(None, number, 1.0).pause_s
        assert (early, late) == (pytest.approx(pause_s * 0.8), pytest.approx(pause_s * 1.2))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_enough(status: int) -> None:
    assert after_try(status, 1, 0.5) == Next(Verdict.DELIVERED)
    assert after_try(status, 99, 0.5) == Next(Verdict.DELIVERED)


@pytest.mark.parametrize("status", [None, 100, 301, 307, 400, 401, 404, 429, 500, 503])
def test_whatever_else_comes_again(status: int | None) -> None:
    assert after_try(status, 1, 0.5).verdict is Verdict.AGAIN


def test_who_says_gone_is_told_nothing_more() -> None:
    assert after_try(410, 1, 0.5) == Next(Verdict.GONE)


@pytest.mark.parametrize(("asked_s", "pause_s"), [(1.0, 5.0), (60.0, 60.0), (1e9, 3600.0)])
def test_a_longer_pause_that_was_asked_for_is_granted_up_to_an_hour(asked_s: float, pause_s: float) -> None:
    for status in (429, 503):
        assert after_try(status, 1, 0.5, asked_s).pause_s == pause_s
    assert after_try(500, 1, 0.5, asked_s).pause_s == 5.0
