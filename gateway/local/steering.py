"""Routes for an engine whose edits can be watched and stopped."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from litestar import Response, delete, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import ServerSentEvent, ServerSentEventMessage

from gateway.local.engine import Engine, Progress, Steered
from gateway.local.problem import Problem

LOOK_S = 0.1  # how often a watched edit is looked at; the model's steps take longer
UNKNOWN = "no edit of this id is in the server"


def handlers(engine: Engine) -> list[HTTPRouteHandler]:
    """None for an engine that is done at once."""
    if not isinstance(engine, Steered):
        return []
    steered = engine

    @get("/v1/images/edits/{edit:str}/progress")
    async def progress(edit: str) -> ServerSentEvent:
        if steered.progress(edit) is None:
            raise Problem(404, UNKNOWN, code="unknown_edit")
        return ServerSentEvent(_events(steered, edit))

    @delete("/v1/images/edits/{edit:str}", status_code=202)
    async def cancel(edit: str) -> Progress:
        progress = steered.cancel(edit)
        if progress is None:
            raise Problem(404, UNKNOWN, code="unknown_edit")
        return progress

    @get("/metrics")
    async def metrics() -> Response[bytes]:
        return Response(steered.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [progress, cancel, metrics]


async def _events(engine: Steered, edit: str) -> AsyncIterator[ServerSentEventMessage]:
    """Each change once, and the end; a sender who comes late hears the present state first."""
    told: Progress | None = None
    while (now := engine.progress(edit)) is not None:
        if now != told:
            yield ServerSentEventMessage(event="progress", data=msgspec.json.encode(now).decode())
            told = now
        if now.ended:
            return
        await asyncio.sleep(LOOK_S)
