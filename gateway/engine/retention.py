"""The duty of forgetting: what nobody needs any more is deleted when its time is over.

One replica does it at a time. As with the reconciler, its lease spares work; what makes it safe is in the steps.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from gateway.clock import Clock
from gateway.engine.reconcile import Lease
from gateway.engine.timing import Timing
from gateway.keeper import Keeper
from gateway.observe import Metrics, log
from gateway.results import ResultsUnavailable
from gateway.state.connection import StoreUnavailable
from gateway.task import end

SWEEP, ADOPT = "{kontext}:duty:sweep", "{kontext}:duty:adopt"
DAY_MS = 86_400_000
AT_ONCE = 64


class Retention:
    """`daily` is a lease that nobody renews: who gets it looks for pictures without a reference."""

    def __init__(
        self, lease: Lease, daily: Lease, keeper: Keeper, metrics: Metrics, clock: Clock, timing: Timing
    ) -> None:
        self._lease, self._daily, self._keeper = lease, daily, keeper
        self._metrics, self._clock, self._timing = metrics, clock, timing

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Rounds go on while the block runs."""
        task = asyncio.create_task(self._run(), name="retention")
        try:
            yield
        finally:
            await end(task)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._timing.sweep_s * (0.9 + self._clock.chance() / 5))
            try:
                await self.round()
            except (StoreUnavailable, ResultsUnavailable) as error:
                if isinstance(error, StoreUnavailable):
                    self._metrics.store_errors.labels("retention").inc()
                log.warning("retention_waits", error=str(error))
            except Exception as error:  # noqa: BLE001 - a defect must not end the duty: the next round tries again
                log.error("retention_failed", error=type(error).__name__, exc_info=error)

    async def round(self) -> bool:
        """One round, and whether it was this replica's to do. How late the sweeps are, every replica tells."""
        await self._tell()
        if not await self._lease.hold():
            return False
        if await self._daily.take():
            await self._adopt()
        await self._sweep()
        await self._tell()
        return True

    async def _adopt(self) -> None:
        """The store of pictures outlives a lost state, and was there before it: what lies in it without a reference is
        given one, as long as that of a result."""
        count = await self._keeper.adopt()
        if count:
            log.info("pictures_adopted", pictures=count)

    async def _sweep(self) -> None:
        """Until nothing is due. The lease is renewed on the way: there may be much."""
        while await self._lease.hold():
            swept = await self._keeper.sweep(AT_ONCE)
            self._metrics.pictures_deleted.labels("over").inc(swept.deleted)
            self._metrics.picture_bytes_deleted.labels("over").inc(swept.bytes)
            if swept.deleted:
                log.info("pictures_swept", pictures=swept.deleted, bytes=swept.bytes)
            if swept.looked < AT_ONCE:
                break

    async def _tell(self) -> None:
        due_ms = await self._keeper.oldest_due_ms()
        now_ms = self._clock.now_ms()
        self._metrics.sweep_age.set(0 if due_ms is None else max(0, now_ms - due_ms) / 1000)


def leases_of(store: Redis, replica: str, timing: Timing) -> tuple[Lease, Lease]:
    """Three rounds of silence, and another replica sweeps; adopting is once a day, whoever does it."""
    return Lease(store, SWEEP, replica, round(3000 * timing.sweep_s)), Lease(store, ADOPT, replica, DAY_MS)
