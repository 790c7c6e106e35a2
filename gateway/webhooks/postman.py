"""The duty of telling: what is due is collected and posted, and what came of it is written down. Every replica does it,
and none leads."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import StrEnum

from adapters.contract import HttpReply
from gateway.clock import Clock
from gateway.egress import WEBHOOK, Egress, EgressError, Refusal
from gateway.observe import Metrics, log
from gateway.state.connection import StoreUnavailable
from gateway.state.deliveries import Deliveries, Parcel, Try
from gateway.task import end
from gateway.webhooks.signing import signed
from policies.delivery import Next, Verdict, after_try

MOST_AT_ONCE = 64
LOOK_S = 0.5
"""Between two looks for what is due, while nothing ends meanwhile."""

LAST_S = 2.0


class Result(StrEnum):
    """What a try came to, for the metrics."""

    DELIVERED = "delivered"
    ANSWERED = "answered"  # with something else than a 2xx
    NO_ANSWER = "no_answer"
    REFUSED = "refused"  # by our own rules: an address that is not public any more
    GIVEN_UP = "given_up"


class Postman:
    def __init__(self, deliveries: Deliveries, egress: Egress, metrics: Metrics, clock: Clock) -> None:
        self._deliveries, self._egress, self._metrics, self._clock = deliveries, egress, metrics, clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._again = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Goes his rounds while the block runs. What is on its way at the end has a moment left; what is broken off
        then is due again when its loan is over."""
        task = asyncio.create_task(self._go_on(), name="postman")
        try:
            yield
        finally:
            await end(task)
            await self.rest(LAST_S)
            await end(*self._tasks)

    async def _go_on(self) -> None:
        while True:
            self._again.clear()
            try:
                await self.round()
            except StoreUnavailable:
                self._metrics.store_errors.labels("webhooks").inc()
            except Exception as error:  # noqa: BLE001 - a defect must not end the duty
                log.error("webhooks_failed", error=type(error).__name__, exc_info=error)
            await self._pause()

    async def round(self) -> None:
        """Begins what is due, as far as there is room for it."""
        if room := MOST_AT_ONCE - len(self._tasks):
            for parcel in await self._deliveries.collect(room):
                task = asyncio.create_task(self._deliver(parcel), name=parcel.delivery.message)
                self._tasks.add(task)
                task.add_done_callback(self._done)

    async def rest(self, within_s: float) -> None:
        """Returns when nothing is on its way, or after so many seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._again.set()

    async def _pause(self) -> None:
        """Until the next look, or until one that was on its way has left its place."""
        tasks = (asyncio.ensure_future(self._clock.sleep(LOOK_S)), asyncio.ensure_future(self._again.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, parcel: Parcel) -> None:
        try:
            await self._try(parcel)
        except StoreUnavailable:
            self._metrics.store_errors.labels("webhooks").inc()  # it is due again when its loan is over
        except Exception as error:  # noqa: BLE001 - the others go on
            log.error("webhook_failed", delivery=parcel.delivery.message, error=type(error).__name__, exc_info=error)

    async def _try(self, parcel: Parcel) -> None:
        at_ms, began_s = self._clock.now_ms(), self._clock.monotonic()
        reply, result, said = await self.post(parcel, at_ms)
        status = reply.status if reply else None
        tried = Try(at_ms=at_ms, seconds=round(self._clock.monotonic() - began_s, 3), status=status, said=said)
        after = self._after(parcel, reply)
        disabled = await self._deliveries.tried(parcel, after, tried)
        self._metrics.webhooks.labels(result).inc()
        if after.verdict in (Verdict.GIVEN_UP, Verdict.GONE):
            self._metrics.webhooks.labels(Result.GIVEN_UP).inc()
        if disabled:
            endpoint = parcel.endpoint
            log.error("webhook_disabled", endpoint=endpoint.id, team=endpoint.team, reason=after.verdict.value)

    async def post(self, parcel: Parcel, at_ms: int) -> tuple[HttpReply | None, Result, str]:
        """The answer, what it came to, and in words why there is none. Nothing of an answer's body is kept."""
        headers, body = signed(parcel.delivery, parcel.endpoint.live_secrets(at_ms), at_ms)
        url = parcel.delivery.url or parcel.endpoint.url
        try:
            reply = await self._egress.send(WEBHOOK, "POST", url, headers, body)
        except Refusal as refusal:
            return None, Result.REFUSED, str(refusal)
        except EgressError as error:
            return None, Result.NO_ANSWER, str(error)
        return reply, Result.DELIVERED if 200 <= reply.status < 300 else Result.ANSWERED, ""

    def _after(self, parcel: Parcel, reply: HttpReply | None) -> Next:
        tries = len(parcel.delivery.tries) + 1 - parcel.delivery.tries_before
        if reply is None:
            return after_try(None, tries, self._clock.chance())
        asked = reply.headers.get("retry-after", "").strip()
        retry_after_s = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else None
        return after_try(reply.status, tries, self._clock.chance(), retry_after_s)
