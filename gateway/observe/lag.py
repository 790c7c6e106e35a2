"""How late the event loop wakes who sleeps: the one figure that says whether something blocks it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gateway.observe.metrics import Metrics
from gateway.task import running

TICK_S = 0.05


@asynccontextmanager
async def lag_measured(metrics: Metrics) -> AsyncGenerator[None]:
    """A sleeper of our own measures while the block runs. By the loop's own clock: one that tests wind by hand is never
    late."""
    async with running(_measure(metrics), "lag"):
        yield


async def _measure(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        metrics.loop_lag.observe(max(0.0, loop.time() - due_s))
