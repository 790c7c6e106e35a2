"""The reconciler: what is not known, and what was booked, is held against what providers can tell, round after round.

One replica does it at a time. Its lease keeps others from asking the same; it is not what makes a round safe. Each act
is a step with an operation id of its own, so that two who do it at once do it once.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from gateway.clock import Clock
from gateway.engine.charges import Charges
from gateway.engine.late import Resolver, unresolved
from gateway.engine.timing import Timing
from gateway.ledger.connection import LedgerUnavailable
from gateway.money import MICRO
from gateway.observe import Metrics, log
from gateway.state.connection import StoreUnavailable, unavailable
from gateway.state.corrections import Corrections
from gateway.state.records import EditRecord
from gateway.task import end

DUTY = "{kontext}:duty:reconcile"
MOST_UNRESOLVED = 1_000


class Lease:
    """A duty that one replica has until it has been silent for `life_ms`, by the store's clock."""

    def __init__(self, store: Redis, name: str, replica: str, life_ms: int) -> None:
        self._store, self._name, self._replica, self._life_ms = store, name, replica.encode(), life_ms

    async def take(self) -> bool:
        """Takes it where nobody has it, not even this replica. Raises `StoreUnavailable`."""
        with unavailable():
            return bool(await self._store.set(self._name, self._replica, nx=True, px=self._life_ms))

    async def hold(self) -> bool:
        """Takes or renews it; False where another replica has it. Raises `StoreUnavailable`."""
        if await self.take():
            return True
        with unavailable():
            if await self._store.get(self._name) != self._replica:
                return False
            return bool(await self._store.pexpire(self._name, self._life_ms))


class Reconciler:
    def __init__(
        self,
        lease: Lease,
        corrections: Corrections,
        resolver: Resolver,
        charges: Charges,
        metrics: Metrics,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._lease, self._corrections, self._resolver, self._charges = lease, corrections, resolver, charges
        self._metrics, self._clock, self._timing = metrics, clock, timing

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Rounds go on while the block runs."""
        task = asyncio.create_task(self._run(), name="reconcile")
        try:
            yield
        finally:
            await end(task)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._timing.reconcile_s * (0.9 + self._clock.chance() / 5))
            try:
                await self.round()
            except (StoreUnavailable, LedgerUnavailable) as error:
                if isinstance(error, StoreUnavailable):
                    self._metrics.store_errors.labels("reconcile").inc()
                log.warning("reconcile_waits", error=str(error))
            except Exception as error:  # noqa: BLE001 - a defect must not end the duty: the next round tries again
                log.error("reconcile_failed", error=type(error).__name__, exc_info=error)

    async def round(self) -> bool:
        """One round, and whether it was this replica's to do. What is unresolved, every replica tells its metrics."""
        waiting = await self._waiting()
        if not await self._lease.hold():
            return False
        await self._resolver.resolve(waiting)
        await self._charges.compare()
        await self._waiting()
        return True

    async def _waiting(self) -> Sequence[EditRecord]:
        records = await self._corrections.unresolved(MOST_UNRESOLVED)
        attempts = [attempt for record in records for attempt in unresolved(record)]
        self._metrics.unresolved_attempts.set(len(attempts))
        beside = [await self._corrections.held_micro(record.id) for record in records if not unresolved(record)]
        held_micro = sum(attempt.price_micro for attempt in attempts) + sum(beside)
        self._metrics.unresolved_usd.set(held_micro / MICRO)
        now_ms = self._clock.now_ms()
        since_ms = [attempt.opened_ms or now_ms for attempt in attempts]
        since_ms += [record.created_ms or now_ms for record in records if not unresolved(record)]
        self._metrics.unresolved_age.set(max(0, now_ms - min(since_ms, default=now_ms)) / 1000)
        return records


def lease_of(store: Redis, replica: str, timing: Timing) -> Lease:
    """Three rounds of silence, and another replica does it."""
    return Lease(store, DUTY, replica, round(3000 * timing.reconcile_s))
