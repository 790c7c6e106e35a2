"""Is the process alive, can it take work, and what has it counted?"""

from typing import Any

from litestar import MediaType, Request, Response, get

from gateway.api.context import Given
from gateway.api.problems import ProblemError, leaving
from gateway.state.connection import StoreUnavailable


@get("/healthz", media_type=MediaType.JSON, tags=["health"])
async def healthz() -> dict[str, str]:
    """The process runs and its event loop turns."""
    return {"status": "ok"}


@get("/readyz", media_type=MediaType.JSON, tags=["health"])
async def readyz(context: Given) -> dict[str, str]:
    """It can take edits: its store answers, and pictures can be kept. `configuration` is `refused` where the newest
    file was not taken: the log says why, and `revision` is the one in force."""
    if not context.engine.presence.is_ready:
        raise leaving()
    try:
        await context.edits.beat()
    except StoreUnavailable:
        detail = "the state store does not answer; money fails closed, so nothing is accepted"
        raise ProblemError("store_unavailable", detail, retry_after_s=3) from None
    await context.results.check()
    configuration = "refused" if context.current.refusal else "applied"
    return {"status": "ready", "revision": context.settings.revision, "configuration": configuration}


@get("/metrics", media_type="text/plain", include_in_schema=True, tags=["health"])
async def metrics(request: Request[Any, Any, Any], context: Given) -> Response[bytes]:
    """Prometheus exposition. Behind a key of scope `read`, except in development."""
    if context.settings.development_key is None:
        context.gate.caller(request, "read")
    body, content_type = context.metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"content-type": content_type}, media_type=content_type)
