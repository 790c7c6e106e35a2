"""`/metrics` on a port of its own, without a key: for a network that only the scraper reaches."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.observe import Metrics

# ASGI's own types: a scope and a message are open dictionaries.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Exposition:
    """One page, and nothing else."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        is_here = scope["path"] == "/metrics" and scope["method"] in ("GET", "HEAD")
        status, body, content_type = 404, b"the metrics are at /metrics\n", "text/plain"
        if is_here:
            status, (body, content_type) = 200, self._metrics.render(accept.decode("latin-1"))
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
