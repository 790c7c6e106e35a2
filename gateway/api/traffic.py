"""What passes the door, counted around the whole application: answers by route, and the bytes that wait for theirs.

The route is its template, so that no path of a caller's becomes a label; what led nowhere is `unmatched`.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.observe import Metrics

# ASGI's own types: a scope and a message are open dictionaries.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UNMATCHED, OTHER = "unmatched", "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Traffic:
    """`app`, watched."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        seen = _Seen(self._metrics, scope, receive, send)
        try:
            await self._app(scope, seen.receive, seen.send)
        finally:
            seen.over()
        return None


class _Seen:
    """One request. Its bytes count until its answer begins: then nobody needs them any more."""

    def __init__(self, metrics: Metrics, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics, self._scope, self._receive, self._send = metrics, scope, receive, send
        self._bytes = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if size := len(message.get("body", b"")):
            self._bytes += size
            self._metrics.body_bytes.inc(size)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._count(message["status"])
            self.over()
        await self._send(message)

    def over(self) -> None:
        if self._bytes:
            self._metrics.body_bytes.dec(self._bytes)
            self._bytes = 0

    def _count(self, status: int) -> None:
        method = self._scope["method"]
        route = self._scope.get("path_template") or UNMATCHED
        self._metrics.requests.labels(route, method if method in METHODS else OTHER, f"{status // 100}xx").inc()
