"""The one way out. `Egress.send` makes one call under a profile's rules and gives the whole answer, or one of three
errors: not sent, may have been sent, or refused by our own rules.

A lane is what one profile has to itself: its rule, its connections, its look-up threads. Strangers' hosts never share
a connection pool with a provider.
"""

import asyncio
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AsyncExitStack, suppress
from io import BytesIO
from typing import Any, cast
from urllib.parse import urljoin

import httpx
from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import HttpReply
from gateway.egress.engine_errors import AddressRefused, was_sent
from gateway.egress.errors import AnswerRefused, EgressError, MaybeSent, NotSent, Reason, Refused
from gateway.egress.profiles import Profile, Rule, named_hosts
from gateway.egress.proxy import ForwardProxy
from gateway.egress.resolver import CheckedResolver, Lookup
from gateway.egress.targets import Target, literal
from gateway.egress.transport import AiohttpTransport, Stage

Body = bytes | AsyncIterable[bytes] | None
Message = MutableMapping[str, Any]  # ASGI's own types: the messages are open dictionaries by specification
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAMES_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PLAIN = frozenset({"", "identity"})
_CUT_S = 1.0  # for a body that nobody wants
# One sentence for every way a host can fail, so that a caller who names hosts learns nothing about their ports.
_NO_ANSWER = "the host gave no usable answer"


class Call(Struct, frozen=True):
    """What stays the same from hop to hop."""

    method: str
    headers: Mapping[str, str]
    body: Body
    stage: Stage
    fresh: bool

    def request(self, url: str) -> httpx.Request:
        extensions = {"stage": self.stage}
        return httpx.Request(self.method, url, headers=self.headers, content=self.body, extensions=extensions)

    def without_credentials(self) -> "Call":
        kept = {name: value for name, value in self.headers.items() if name.lower() == "accept"}
        return replace(self, headers=kept)


class Lane:
    """One profile's rule and connections."""

    def __init__(
        self, profile: Profile, allowed: frozenset[str], lookup: Lookup | None, proxy: ForwardProxy | None
    ) -> None:
        self.rule, self._proxy = Rule.of(profile, allowed), proxy
        # The proxy's own address is a private one, and only the connector asks for it: no rule lets a URL name it.
        self._resolver = CheckedResolver(self.rule.named | ({proxy.authority} if proxy else set[str]()), lookup)
        self._pooled = AiohttpTransport(self._resolver, connect_s=profile.connect_s, proxy=proxy)
        self._fresh = AiohttpTransport(self._resolver, connect_s=profile.connect_s, proxy=proxy, reuse=False)

    def transport(self, *, fresh: bool) -> httpx.AsyncBaseTransport:
        return self._fresh if fresh else self._pooled

    async def look_up(self, target: Target) -> None:
        """Raises `AddressRefused` or `OSError` where a connection would not even be tried."""
        if literal(target.host) is not None:
            self._resolver.check(target.host, target.port, (target.host,))
        elif self._proxy is None or not self._proxy.carries(target.authority):
            await self._resolver.resolve(target.host, target.port)

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._resolver.close)
            stack.push_async_callback(self._pooled.aclose)
            stack.push_async_callback(self._fresh.aclose)


class Mount(httpx.AsyncBaseTransport):
    """An app of this process, reached as if it were a provider. `prefix` is where its API begins, like `/v1`."""

    def __init__(self, app: AsgiApp, prefix: str) -> None:
        self._inner = httpx.ASGITransport(app)
        self.prefix = prefix

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["stage"].connected = True
        return await self._inner.handle_async_request(request)


class Egress:
    """Made once per process, in its event loop; `aclose` when all calls have ended."""

    def __init__(self, allowed: frozenset[str], lookup: Lookup | None, proxy: ForwardProxy | None) -> None:
        self._allowed = allowed
        self._lookup = lookup
        self._proxy = proxy
        self._lanes: dict[Profile, Lane] = {}
        self._mounts: dict[str, Mount] = {}
        self._closed = False

    @classmethod
    def open(
        cls, *, allow_hosts: Iterable[str] = (), lookup: Lookup | None = None, proxy: str | None = None
    ) -> "Egress":
        """`allow_hosts`: `host:port`s that may have private addresses. `lookup` resolves names, in place of the
        system. `proxy`: the URL of a forward proxy, for all but `allow_hosts`. Raises `ValueError` for an entry that is
        not a host and a port, and for a proxy that is not one."""
        allowed = named_hosts(allow_hosts)
        return cls(allowed, lookup, ForwardProxy.parse(proxy, allowed) if proxy else None)

    def mount(self, base: str, app: AsgiApp, *, prefix: str = "") -> None:
        """Calls under `base` (like `embedded:preview`) go to `app`, for profiles whose own base that is; no other
        profile reaches it, whatever URL it is given."""
        self._mounts[base] = Mount(app, prefix)

    async def send(
        self,
        profile: Profile,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        *,
        timeout_s: float | None = None,
        fresh: bool = False,
    ) -> HttpReply:
        """One call and its whole answer, any status. `timeout_s` replaces the profile's outer deadline. `fresh` uses
        a connection of its own: for a submit whose arrival nobody could look up, since a reused connection may break
        in a way that does not tell.

        Raises `NotSent`, `MaybeSent`, or of these `Refused` and `AnswerRefused` where our own rules said no.
        """
        call = Call(method, headers or {}, body, Stage(), fresh)
        try:
            async with asyncio.timeout(profile.total_s if timeout_s is None else timeout_s):
                return await self._follow(profile, call, url)
        except Exception as error:  # noqa: BLE001 - whatever it is, it was sent or it was not
            raise _judged(error, connected=call.stage.connected) from None

    async def check(self, profile: Profile, url: str) -> str:
        """The URL in the form that was judged, if it may be called and its host has addresses that may be talked to.
        Raises `Refused`; `send` judges again each time, for a name may lead elsewhere tomorrow."""
        lane = self._lane(profile)
        target = lane.rule.judge(url)
        try:
            async with asyncio.timeout(profile.connect_s):
                await lane.look_up(target)
        except (AddressRefused, OSError, TimeoutError):
            raise Refused(Reason.ADDRESS, "the URL's host is not on the public internet") from None
        return target.url

    async def _follow(self, profile: Profile, call: Call, url: str) -> HttpReply:
        """Redirects only of a GET, only as far as the profile goes, each through all checks and without anything
        that the caller of `send` put into the headers but what it accepts."""
        transport, here = self._route(profile, call, url)
        reply = await _exchange(transport, call.request(here), profile)
        if call.method != "GET" or not profile.redirects:
            return reply
        call = call.without_credentials()
        for _ in range(profile.redirects):
            if reply.status not in _REDIRECTS:
                return reply
            transport, here = self._route(profile, call, _next_url(here, reply))
            reply = await _exchange(transport, call.request(here), profile)
        if reply.status in _REDIRECTS:
            raise AnswerRefused(Reason.REDIRECTS, f"the URL redirects more than {profile.redirects} times")
        return reply

    def _route(self, profile: Profile, call: Call, url: str) -> tuple[httpx.AsyncBaseTransport, str]:
        """What carries this call, and its URL in the form that was judged."""
        mount = self._mounts.get(profile.base or "")
        if mount is not None and url.startswith(f"{profile.base}/"):
            return mount, f"http://mounted{mount.prefix}{url.removeprefix(profile.base or '')}"
        lane = self._lane(profile)
        return lane.transport(fresh=call.fresh), lane.rule.judge(url).url

    def _lane(self, profile: Profile) -> Lane:
        lane = self._lanes.get(profile)
        if lane is None:
            if self._closed:
                raise RuntimeError("the egress is closed")
            lane = self._lanes[profile] = Lane(profile, self._allowed, self._lookup, self._proxy)
        return lane

    async def aclose(self) -> None:
        self._closed = True
        async with AsyncExitStack() as stack:
            for lane in self._lanes.values():
                stack.push_async_callback(lane.aclose)
        self._lanes.clear()


async def _exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request, profile: Profile) -> HttpReply:
    response = await transport.handle_async_request(request)
    stream = cast("httpx.AsyncByteStream", response.stream)
    try:
        headers, cap = dict(response.headers.items()), profile.answer_bytes
        if profile.cuts:
            return HttpReply(response.status_code, headers, await _read_some(stream, cap))
        if headers.get("content-encoding", "").strip().lower() not in _PLAIN:
            raise AnswerRefused(Reason.ENCODING, "the answer is compressed, though identity was asked for")
        return HttpReply(response.status_code, headers, await _read(stream, headers.get("content-length", ""), cap))
    finally:
        await stream.aclose()


async def _read(stream: httpx.AsyncByteStream, announced: str, cap: int) -> bytes:
    """The body in one copy: `BytesIO` hands its own buffer out, where joining a list would hold everything twice."""
    if announced.isdecimal() and int(announced) > cap:
        raise _too_large(cap)
    buffer = BytesIO()
    async for piece in stream:
        if buffer.tell() + len(piece) > cap:
            raise _too_large(cap)
        buffer.write(piece)
    return buffer.getvalue()


async def _read_some(stream: httpx.AsyncByteStream, cap: int) -> bytes:
    """What comes up to the cap, and soon: the status is the answer. A connection with more on it is not used again."""
    found = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CUT_S):
            async for piece in stream:
                found += piece[: cap - len(found)]
                if len(found) == cap:
                    break
    return found


def _too_large(cap: int) -> AnswerRefused:
    return AnswerRefused(Reason.SIZE, f"the answer is larger than {cap} bytes")


def _next_url(here: str, reply: HttpReply) -> str:
    """Where a redirect leads. Not judged yet."""
    location = reply.headers.get("location")
    if location is None:
        raise AnswerRefused(Reason.REDIRECTS, "the URL redirects without saying where")
    there = _absolute(here, location)
    if here.startswith("https://") and not there.lower().startswith("https://"):
        raise AnswerRefused(Reason.DOWNGRADE, "the URL redirects from https to something else")
    return there


def _absolute(here: str, location: str) -> str:
    """Only a place on the same host is joined: what names a host is left to our own parser, for `urljoin` reads
    `http:///inside/` as a path."""
    if _NAMES_SCHEME.match(location):
        return location
    if location.startswith("//"):
        return f"{here.partition(':')[0]}:{location}"
    return urljoin(here, location)


def _judged(error: Exception, *, connected: bool) -> EgressError:
    """What a failed call means. A refusal of a place that an answer redirected to is a refusal of that answer."""
    if isinstance(error, Refused) and connected:
        return AnswerRefused(error.reason, str(error))
    if isinstance(error, EgressError):
        return error
    if isinstance(error, AddressRefused):
        return (AnswerRefused if connected else Refused)(Reason.ADDRESS, "the URL's host is not on the public internet")
    sent = was_sent(error) if isinstance(error, httpx.TransportError) else connected
    detail = str(error) if isinstance(error, httpx.TransportError) else type(error).__name__
    return (MaybeSent if sent else NotSent)(_NO_ANSWER, detail)
