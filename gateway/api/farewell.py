"""A gateway that is about to leave says so on every connection: an answer is the last one there, so that no caller
sends its next request over a connection that is being closed."""

from collections.abc import Callable

from gateway.api.traffic import App, Message, Receive, Scope, Send


class Farewell:
    """`app`, whose answers close their connection while `is_ready` says no."""

    def __init__(self, app: App, is_ready: Callable[[], bool]) -> None:
        self._app, self._is_ready = app, is_ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def said(message: Message) -> None:
            if message["type"] == "http.response.start" and not self._is_ready():
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, said if scope["type"] == "http" else send)
