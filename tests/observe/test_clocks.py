"""A replica whose clock has jumped says so; what is dated by the store's clock is not measured by another one."""

import asyncio

import pytest

from gateway.app import opened
from gateway.clock import SystemClock
from tests.end_to_end.stage import eventually
from tests.reconcile.test_restore_and_audit import Books, books

__all__ = ["books"]


class Jumped(SystemClock):
    def __init__(self, by_s: int) -> None:
        self._by_ms = 1000 * by_s

    def now_ms(self) -> int:
        return super().now_ms() + self._by_ms


@pytest.mark.parametrize("by_s", [0, 600, -600])
async def test_a_clock_that_is_not_the_stores_shows(books: Books, by_s: int) -> None:
    async with opened(books.settings(), Jumped(by_s)) as context:
        value = context.metrics.registry.get_sample_value
        await eventually(lambda: asyncio.sleep(0, value("kontext_store_round_trip_seconds_count")))
        ahead_s = value("kontext_clock_ahead_seconds")
        assert ahead_s is not None
        assert abs(ahead_s - by_s) < 2
