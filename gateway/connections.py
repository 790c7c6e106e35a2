"""The connections of clients: how slow one may be, how large the head of a request, how many an address may hold.

uvicorn alone waits as long as a client likes: for a head, for a body, for its answer to be read; and a head may grow
without end. Here a deadline hangs over whatever a client owes, and over nothing that it waits for.
"""

from asyncio import BaseTransport, TimerHandle, Transport
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network
from random import random
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.api.problems import ProblemError, answer
from gateway.sections import ClientsSection

Scope = MutableMapping[str, Any]  # ASGI's own types: a scope and a message are open dictionaries
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEAD_BYTES, HEAD_FIELDS = 65_536, 128
_SPREAD = 0.25

_DETAILS = {
    "malformed": "this is not HTTP",
    "slow": "the request came more slowly than this gateway waits; its [clients] say how slow one may be",
    "head_too_large": f"a head has at most {HEAD_BYTES} bytes and {HEAD_FIELDS} fields",
    "too_many_connections": "this address holds as many connections as one may; close some, or use them again",
}


class Clients:
    """Who holds how many connections. An IPv6 client has a whole /64; proxies that are trusted are no client."""

    def __init__(self, limits: ClientsSection) -> None:
        self.limits = limits
        self._trusted = [ip_network(text) for text in limits.trusted_proxies]
        self._held: Counter[str] = Counter()

    def enter(self, address: str) -> str | None:
        """Whose count it came under, to `leave` by; "" is nobody's, and None is one too many."""
        client = self._client(address)
        if client and self._held[client] >= self.limits.connections_per_client:
            return None
        self._held[client] += 1
        return client

    def leave(self, client: str) -> None:
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    def _client(self, address: str) -> str:
        try:
            found = ip_address(address)
        except ValueError:  # a socket without addresses
            return ""
        if isinstance(found, IPv6Address):
            found = found.ipv4_mapped or found
        if any(found in network for network in self._trusted):
            return ""
        return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)


class Connection(HttpToolsProtocol):
    """One connection. Its client owes a head from the first byte on (and after connecting), then a body; a body's time
    grows with what came of it, and stands still while nobody here reads it."""

    def __init__(self, clients: Clients, **rest: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(**rest)
        self._clients, self._limits = clients, clients.limits
        self._client: str | None = None
        self._due: TimerHandle | None = None
        self._unread: TimerHandle | None = None
        self._why = "malformed"
        self._in_head, self._silent = True, True
        self._head_bytes = self._field_bytes = 0
        self._body_began_s, self._body_bytes = 0.0, 0

    def __repr__(self) -> str:
        return f"<Connection of {self._client}, {'head' if self._in_head else 'body or answer'}>"

    @property
    def _last(self) -> RequestResponseCycle | None:
        """The last request; None before the first head has ended, which uvicorn's own types leave out."""
        return self.cycle

    # --- coming and going ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast("Transport", transport))  # uvloop's is none by its class
        self._client = self._clients.enter(self.client[0] if self.client else "")
        if self._client is None:
            self._refuse("too_many_connections")
        else:
            self._expect(self._limits.head_s, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        self.resume_writing()
        if self._client is not None:
            self._clients.leave(self._client)
            self._client = None
        super().connection_lost(exc)

    # --- heads --------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._silent = False
        if self._due is None:  # also for bytes that no request begins with: empty lines could be dripped for ever
            self._expect(self._limits.head_s, self._head_is_late)
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse("head_too_large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._field_bytes = True, 0, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._field_bytes += len(name) + len(value)
        if len(self.headers) > HEAD_FIELDS or self._field_bytes > HEAD_BYTES:
            self._why = "head_too_large"
            raise ValueError(self._why)  # the parser ends, and `send_400_response` is called

    def _head_is_late(self) -> None:
        """An answer that is under way is no fault of the empty lines that came after its request."""
        cycle = self._last
        if cycle is not None and not cycle.response_complete:
            self._expect(self._limits.head_s, self._head_is_late)
        elif self._silent:
            self.transport.close()
        else:
            self._refuse("slow")

    # --- bodies -------------------------------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False
        self._body_began_s, self._body_bytes = self.loop.time(), 0
        self._expect(self._limits.body_s, self._body_is_late)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._expect_nothing()
        self._silent = True
        super().on_message_complete()

    def _body_is_late(self) -> None:
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:  # we keep it waiting
            self._body_began_s, self._body_bytes = self.loop.time(), 0
        allowed_s = self._limits.body_s + self._body_bytes / self._limits.body_bytes_per_s
        left_s = self._body_began_s + allowed_s - self.loop.time()
        if left_s > 0:
            self._expect(left_s, self._body_is_late)
        elif self.cycle.response_complete:  # refused without it, and still it comes
            self.transport.close()
        else:
            self._refuse("slow")

    # --- answers ------------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self._limits.read_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        self._refuse(self._why)

    def _refuse(self, kind: str) -> None:
        """A problem, and the end; only the end while an answer is under way, which this would be taken for."""
        self._expect_nothing()
        cycle = self._last
        if cycle is not None and not cycle.response_complete and (cycle.response_started or not cycle.more_body):
            self.transport.abort()
            return
        self.transport.write(_refusal(kind))
        self.transport.close()

    # --- the one deadline ---------------------------------------------------------------------------------------------

    def _expect(self, seconds: float, late: Callable[[], None]) -> None:
        """A little later, each by another while: thousands that came at once must not be dealt with at once."""
        self._expect_nothing()
        self._due = self.loop.call_later(seconds * (1 + _SPREAD * random()), late)  # noqa: S311 - no secret

    def _expect_nothing(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


@cache
def _refusal(kind: str) -> bytes:
    """The whole answer: a thousand at once cost little more than one."""
    problem = answer(ProblemError(kind, _DETAILS[kind]))
    fields = (
        f"content-type: {problem.media_type}\r\ncontent-length: {len(problem.content)}\r\nconnection: close\r\n\r\n"
    )
    return STATUS_LINE[problem.status_code or 400] + fields.encode() + problem.content


class Forwarded:
    """Behind proxies that speak for their clients: of each of these no more requests at once than it may hold
    connections elsewhere."""

    def __init__(self, app: App, clients: Clients) -> None:
        self._app, self._clients = app, clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address, _ = scope.get("client") or ("", 0)
        client = self._clients.enter(address)
        if client is None:
            problem = answer(ProblemError("too_many_connections", _DETAILS["too_many_connections"]))
            headers = [(b"content-type", b"application/problem+json")]
            await send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": problem.content})
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._clients.leave(client)
