"""How often a key may ask, on the real engine."""

import asyncio
import itertools

import pytest
from redis.asyncio import Redis

from gateway.state.rates import Rate, Rates
from tests.state.samples import HandClock, whole_store

_count = itertools.count()


def token() -> str:
    """Of a request of its own."""
    return str(next(_count))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def rates(store: Redis, clock: HandClock) -> Rates:
    return Rates(store, clock=clock)


def rate(admitted: bool, remaining: int, reset_s: int) -> Rate:
    return Rate(admitted=admitted, limit=2, window_s=60, remaining=remaining, reset_s=reset_s)


async def test_the_window_slides_and_says_when_one_more_is_admitted(rates, clock):
    assert await rates.admit("growth", "ci", 2, token()) == rate(True, 1, 60)
    clock.forward(30_000)
    assert await rates.admit("growth", "ci", 2, token()) == rate(True, 0, 30)
    clock.forward(29_500)
    assert await rates.admit("growth", "ci", 2, token()) == rate(False, 0, 1)
    clock.forward(500)
    assert await rates.admit("growth", "ci", 2, token()) == rate(True, 0, 30)


async def test_a_hundred_at_once_never_pass_the_limit(rates):
    answers = await asyncio.gather(*(rates.admit("growth", "ci", 7, token()) for _ in range(100)))
    assert sum(answer.admitted for answer in answers) == 7


async def test_keys_do_not_share(rates):
    assert (await rates.admit("growth", "ci", 1, token())).admitted
    assert (await rates.admit("growth", "other", 1, token())).admitted
    assert (await rates.admit("other", "ci", 1, token())).admitted


async def test_a_repeat_of_the_command_is_counted_once(rates, store, clock):
    assert await rates.admit("growth", "ci", 2, "the same") == rate(True, 1, 60)
    before = await whole_store(store)
    clock.forward(1_000)
    assert await rates.admit("growth", "ci", 2, "the same") == rate(True, 1, 59)
    assert await whole_store(store) == before


async def test_a_clock_set_back_does_not_shut_the_door(rates, clock):
    await rates.admit("growth", "ci", 1, token())
    clock.forward(-3_600_000)
    assert (await rates.admit("growth", "ci", 1, token())).admitted


async def test_a_limit_of_none_at_all(rates):
    assert not (await rates.admit("growth", "ci", 0, token())).admitted
