"""The duty of forgetting: what nobody needs any more is deleted when its time is over.

One replica does it at a time. As with the reconciler, its lease spares work; what makes it safe is in the steps.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from gateway.clock import Clock
from gateway.engine.eraser import Eraser
from gateway.engine.reconcile import Lease
from gateway.engine.timing import Timing
from gateway.keeper import HOUR_MS, Keeper
from gateway.observe import Metrics, log
from gateway.results import ResultsUnavailable
from gateway.state.connection import StoreUnavailable
from gateway.state.contents import Contents
from gateway.state.edits import Edits
from gateway.task import end

SWEEP, ADOPT, COMPACT = "{kontext}:duty:sweep", "{kontext}:duty:adopt", "{kontext}:duty:compact"
AT_ONCE = 64


class Duties(Struct, frozen=True, kw_only=True):
    """`adopt` and `compact` are never renewed: once a day, and at most once an hour. `compact` None: the engine is not
    ours, and writes its files by its own rules."""

    sweep: Lease
    adopt: Lease
    compact: Lease | None


class Retention:
    def __init__(
        self,
        duties: Duties,
        edits: Edits,
        contents: Contents,
        keeper: Keeper,
        eraser: Eraser,
        metrics: Metrics,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._duties, self._edits, self._contents = duties, edits, contents
        self._keeper, self._eraser = keeper, eraser
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
                metrics = self._metrics
                away = metrics.store_errors if isinstance(error, StoreUnavailable) else metrics.results_errors
                away.labels("retention").inc()
                log.warning("retention_waits", error=str(error))
            except Exception as error:  # noqa: BLE001 - a defect must not end the duty: the next round tries again
                log.error("retention_failed", error=type(error).__name__, exc_info=error)

    async def round(self) -> bool:
        """One round, and whether it was this replica's to do. When the last whole one was, every replica tells."""
        await self._tell()
        if not await self._duties.sweep.hold():
            return False
        if await self._duties.adopt.take():
            await self._adopt()
        await self._empty()
        await self._sweep()
        await self._compact()
        await self._contents.tell_whole(self._clock.now_ms())
        await self._tell()
        return True

    async def _adopt(self) -> None:
        """The store of pictures outlives a lost state, and was there before it: what lies in it without a reference is
        given one, as long as that of a result. So with edits that another release accepted."""
        await self._contents.adopt(self._clock.now_ms())
        count = await self._keeper.adopt()
        if count:
            log.info("pictures_adopted", pictures=count)

    async def _empty(self) -> None:
        """Prompts whose time is over, and what was asked for and broke off."""
        while await self._duties.sweep.hold():
            looked, found = await self._contents.lapsed(AT_ONCE)
            for edit_id in found:
                await self._emptied(edit_id)
            if looked < AT_ONCE:
                break

    async def _emptied(self, edit_id: str) -> None:
        """One that cannot be read holds up no other: it is looked at again in a minute."""
        try:
            record = await self._edits.get(edit_id)
            if record is not None and record.erase_ms:
                await self._eraser.erase(record)
            else:
                await self._eraser.emptied(edit_id)
        except (msgspec.DecodeError, ValueError) as error:
            log.error("edit_unreadable", edit=edit_id, error=str(error))

    async def _sweep(self) -> None:
        """Until nothing is due. The lease is renewed on the way: there may be much."""
        while await self._duties.sweep.hold():
            swept = await self._keeper.sweep(AT_ONCE)
            self._metrics.pictures_deleted.labels("over").inc(swept.deleted)
            self._metrics.picture_bytes_deleted.labels("over").inc(swept.bytes)
            if swept.deleted:
                log.info("pictures_swept", pictures=swept.deleted, bytes=swept.bytes)
            if swept.looked < AT_ONCE:
                break

    async def _compact(self) -> None:
        if self._duties.compact and await self._contents.has_holes() and await self._duties.compact.take():
            await self._contents.compact()

    async def _tell(self) -> None:
        """Counted from the first look, where there never was a whole round."""
        now_ms = self._clock.now_ms()
        self._metrics.sweep_age.set(max(0, now_ms - await self._contents.whole_ms(now_ms)) / 1000)


def duties_of(store: Redis, replica: str, timing: Timing, *, compacts: bool) -> Duties:
    """Three rounds of silence, and another replica sweeps."""
    return Duties(
        sweep=Lease(store, SWEEP, replica, round(3000 * timing.sweep_s)),
        adopt=Lease(store, ADOPT, replica, 24 * HOUR_MS),
        compact=Lease(store, COMPACT, replica, HOUR_MS) if compacts else None,
    )
