"""Is the caller still there? Work for one who is gone is dropped while that costs nobody anything.

The rule. Until an edit is accepted, whoever is gone wants nothing: no picture is checked and nothing begins; a repeat
makes the edit. An accepted edit is durable, and may be asked for by its Idempotency-Key, by an SDK's repeat, or by the
id that a 202 told. So one is dropped only where its caller sent neither, waited for it and left before its first
attempt was opened. From there on money may have moved, and it goes on to its end.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest
from gateway.observe import Metrics
from gateway.task import end

T = TypeVar("T")


class Gone(ProblemError):  # noqa: N818 - the name is the fact
    """Nobody reads the answer; it is there for the log of whoever stands between."""

    def __init__(self) -> None:
        super().__init__("gone", "the connection was closed before the answer")


class Caller:
    """Who sent a request. Heard of only once its body was read: what comes then can only be its end."""

    def __init__(self, request: AnyRequest, metrics: Metrics) -> None:
        self._request, self._metrics = request, metrics
        self._gone = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Caller({'gone' if self._gone.is_set() else 'there'})"

    def listen(self) -> None:
        self._listening = asyncio.create_task(self._listen(), name="caller")

    async def _listen(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    def check(self) -> None:
        """Before work that nobody may want. Raises `Gone`."""
        if self._gone.is_set():
            self.left("unaccepted")
            raise Gone

    async def until(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work gives. Raises `Gone` where the caller is gone before that."""
        tasks = asyncio.ensure_future(work), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                raise Gone
            return tasks[0].result()
        finally:
            await end(*tasks)

    def left(self, at: str) -> None:
        self._metrics.callers_gone.labels(at).inc()

    async def aclose(self) -> None:
        if self._listening is not None:
            await end(self._listening)


@asynccontextmanager
async def attended(request: AnyRequest, metrics: Metrics) -> AsyncGenerator[Caller]:
    """The request's caller, while the block runs."""
    caller = Caller(request, metrics)
    try:
        yield caller
    finally:
        await caller.aclose()
