"""httpx's transport interface over aiohttp's connections.

httpx's words, not its engine: its default transport polls every pooled connection on every call, so that a call
costs several times more with 256 in flight than with one, and it has no place for pinned addresses. This one is used
below httpx's client layer (cookies, redirects, auth: none of which we want) and costs the same at any load.

It has no deadline but the one for connecting; whoever calls it holds the outer one (`asyncio.timeout`), since only a
deadline around everything stops a body that drips a byte at a time.
"""

from collections.abc import AsyncIterable, AsyncIterator
from types import SimpleNamespace
from typing import cast

import aiohttp
import httpx
from yarl import URL

from gateway.egress.engine_errors import AddressRefused, translate
from gateway.egress.proxy import ForwardProxy
from gateway.egress.resolver import CheckedResolver
from gateway.egress.targets import authority, literal

_HEADER_BYTES = 16_384  # of one header line, and of the status line
_HEADER_COUNT = 128
_CHUNK = 65_536
_ENGINES_OWN = frozenset({"host", "transfer-encoding", "accept-encoding"})
_WHOLE_BODY = 1 << 20  # bytes; aiohttp warns about larger ones in one piece, since writing them blocks the loop


class Stage:
    """How far a call got, for whoever has to know when it breaks off: it travels in `request.extensions["stage"]`."""

    __slots__ = ("connected",)

    def __init__(self) -> None:
        self.connected = False

    def __repr__(self) -> str:
        return f"<Stage {'connected' if self.connected else 'not connected'}>"


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One pool of connections. `reuse=False` makes a connection per call. What `proxy` carries goes through it."""

    def __init__(
        self, resolver: CheckedResolver, *, connect_s: float, reuse: bool = True, proxy: ForwardProxy | None = None
    ) -> None:
        self._resolver, self._proxy = resolver, proxy
        self._session = _session(resolver, connect_s, reuse=reuse)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        stage = request.extensions.get("stage") or Stage()
        try:
            answer = await self._exchange(request, stage)
        except AddressRefused:
            raise  # already httpx's word, and ours to say
        except Exception as error:
            raise translate(error, connected=stage.connected) from error
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer))

    async def _exchange(self, request: httpx.Request, stage: Stage) -> aiohttp.ClientResponse:
        # Already in normal form: yarl must not touch the escapes of a signed link again.
        url = URL(str(request.url), encoded=True)
        host, port = url.raw_host or "", url.port or 0
        if literal(host) is not None:  # aiohttp asks no resolver about these
            self._resolver.check(host, port, (host,))
        proxy = self._proxy if self._proxy and self._proxy.carries(authority(host, port)) else None
        return await self._session.request(
            request.method,
            url,
            headers=[*_headers(request), *(proxy.headers.items() if proxy and url.scheme == "http" else ())],
            data=_data(request),
            allow_redirects=False,
            proxy=proxy.url if proxy else None,
            proxy_headers=proxy.headers if proxy else None,
            trace_request_ctx=stage,
        )

    async def aclose(self) -> None:
        await self._session.close()


def _session(resolver: CheckedResolver, connect_s: float, *, reuse: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        resolver=resolver,
        limit=0,  # permits bound the calls to a provider, `in_flight` all others: waiting here would cost connect time
        force_close=not reuse,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
        headers={"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "kontext-gateway"},
        skip_auto_headers=("Content-Type",),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # 0.3 MB of gzip can be 300 MB of answer
        trust_env=False,  # no proxy and no netrc that we did not configure
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
        max_headers=_HEADER_COUNT,
        trace_configs=[_trace()],
    )


def _trace() -> aiohttp.TraceConfig:
    """Marks the stage once a connection exists, made or reused, and so before the first byte can leave."""

    async def connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.connected = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    """aiohttp writes Host and Transfer-Encoding itself, from the URL and the body it is given, and Accept-Encoding is
    the session's."""
    return [(name, value) for name, value in request.headers.multi_items() if name not in _ENGINES_OWN]


def _data(request: httpx.Request) -> bytes | AsyncIterable[bytes | memoryview] | None:
    try:
        body = request.content
    except httpx.RequestNotRead:
        return cast("AsyncIterable[bytes]", request.stream)
    return (body or None) if len(body) <= _WHOLE_BODY else _pieces(body)


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    view = memoryview(body)
    for start in range(0, len(view), _CHUNK):
        yield view[start : start + _CHUNK]


class _Body(httpx.AsyncByteStream):
    """The answer's body as it arrives, each piece once and uncopied."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._answer.content.readany()
        except Exception as error:
            raise translate(error, connected=True) from error
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """A connection whose answer was read to its end is reused; any other is closed."""
        if self._answer.content.at_eof():
            self._answer.release()
        else:
            self._answer.close()
