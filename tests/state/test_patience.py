"""How long requests are kept while the store is away."""

import pytest

from gateway.state.connection import StoreFull, StoreUnavailable
from gateway.state.patience import PAUSE_S, Patience


class Clock:
    """Time passes only where somebody sleeps, or by hand."""

    def __init__(self) -> None:
        self.now_s, self.slept = 100.0, 0

    def now_ms(self) -> int:
        return round(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s

    def chance(self) -> float:
        return 0.5

    def random_bytes(self, count: int) -> bytes:
        return bytes(count)

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept += 1


class Store:
    """Away for so many steps."""

    def __init__(self, away: int, error: type[StoreUnavailable] = StoreUnavailable) -> None:
        self.away, self.asked, self._error = away, 0, error

    async def step(self) -> str:
        self.asked += 1
        if self.asked <= self.away:
            raise self._error("away")
        return "done"


async def test_a_step_is_tried_until_the_store_is_back() -> None:
    clock, store = Clock(), Store(away=3)
    assert await Patience(clock, 10).keep(store.step) == "done"
    assert (store.asked, clock.slept) == (4, 3)


async def test_a_long_outage_is_waited_out_once_and_not_by_everybody() -> None:
    clock, store = Clock(), Store(away=1000)
    patience = Patience(clock, 2)
    with pytest.raises(StoreUnavailable):
        await patience.keep(store.step)
    assert clock.slept == 2 / PAUSE_S
    asked = store.asked
    with pytest.raises(StoreUnavailable):
        await patience.keep(store.step)
    assert store.asked == asked + 1, "who comes later is told at once"


@pytest.mark.parametrize("by_a_step", [True, False], ids=["by a step", "by the heartbeat"])
async def test_the_next_outage_is_a_new_one(by_a_step: bool) -> None:
    clock = Clock()
    patience = Patience(clock, 2)
    with pytest.raises(StoreUnavailable):
        await patience.keep(Store(away=1000).step)
    await patience.keep(Store(away=0).step) if by_a_step else patience.well()
    clock.now_s += 3600
    assert await patience.keep(Store(away=2).step) == "done"


async def test_no_patience_and_a_full_store_are_told_at_once() -> None:
    for seconds, error in ((0, StoreUnavailable), (10, StoreFull)):
        clock, store = Clock(), Store(away=1, error=error)
        with pytest.raises(error):
            await Patience(clock, seconds).keep(store.step)
        assert clock.slept == 0
