"""The way out against real sockets on loopback: every way a peer can break, where a call may lead, and what it costs.

Nothing here waits for time to pass but the deadlines under test (50–200 ms, against peers that never answer).
"""

import asyncio
import contextlib
import socket
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence

import pytest

from adapters.contract import HttpReply
from gateway.egress import (
    INPUT,
    PROVIDER,
    RESULT,
    AnswerRefused,
    Egress,
    EgressError,
    MaybeSent,
    NotSent,
    Profile,
    Reason,
    Refused,
)
from gateway.egress.egress import _next_url

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


# --- a peer that does as it is told -----------------------------------------------------------------------------------


class Peer:
    """A loopback server that runs one script per request. `over` is set when the test is done with it."""

    def __init__(self, script: "Script") -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.server: asyncio.Server | None = None
        self.over = asyncio.Event()
        self.open: dict[asyncio.StreamWriter, asyncio.Future[None]] = {}

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        ended = self.open[writer] = asyncio.get_running_loop().create_future()
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    self.requests.append(await read_request(reader))
                    await self.script(self, writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        finally:
            ended.set_result(None)

    async def end(self) -> None:
        self.over.set()
        for writer in self.open:
            writer.transport.abort()
        await asyncio.gather(*self.open.values())

    @property
    def head(self) -> bytes:
        return self.requests[-1].partition(b"\r\n\r\n")[0].lower() + b"\r\n"


Script = Callable[[Peer, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    if lines.get(b"transfer-encoding") == b"chunked":
        return head + await reader.readuntil(b"0\r\n\r\n")
    return head + await reader.readexactly(int(lines.get(b"content-length", b"0")))


@contextlib.asynccontextmanager
async def peer(script: Script, host: str = "127.0.0.1") -> AsyncGenerator[Peer]:
    it = Peer(script)
    server = it.server = await asyncio.start_server(it.serve, host, 0)
    it.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield it
        finally:
            await it.end()


def says(answer: bytes, then: str = "keep") -> Script:
    """Writes `answer`, then keeps the connection, closes it (`fin`), resets it, or goes silent (`hang`)."""

    async def script(it: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if then == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            await writer.drain()
            writer.transport.abort()
        if then == "fin":
            writer.close()
        if then == "hang":
            await it.over.wait()

    return script


def redirects(to: str, status: int = 302) -> Script:
    return says(f"HTTP/1.1 {status} Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n".encode())


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    it = Egress.open()
    yield it
    await it.aclose()


@contextlib.asynccontextmanager
async def opened(
    *, allow: Sequence[str] = (), names: dict[str, list[str]] | None = None
) -> AsyncGenerator[tuple[Egress, list[str]]]:
    """An egress whose names resolve as `names` says; the list collects each look-up."""
    asked: list[str] = []

    async def lookup(host: str, port: int) -> Sequence[str]:
        asked.append(f"{host}:{port}")
        if host not in (names or {}):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return (names or {})[host]

    it = Egress.open(allow_hosts=allow, lookup=lookup)
    try:
        yield it, asked
    finally:
        await it.aclose()


async def post(egress: Egress, base: str, profile: Profile = PROVIDER, timeout_s: float | None = None) -> int:
    reply = await egress.send(profile.at(base), "POST", f"{base}/v1?key=hunter2", {}, b"{}", timeout_s=timeout_s)
    return reply.status


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound and not listened on, so that nobody else takes it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A listening port whose backlog is full: connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


# --- a call that works ------------------------------------------------------------------------------------------------


async def test_a_call_and_its_answer(egress: Egress) -> None:
    answer = b"HTTP/1.1 418 Teapot\r\nX-Two: a\r\nX-Two: b\r\nset-cookie: a=b\r\ncontent-length: 3\r\n\r\n\x00\xff!"
    async with peer(says(answer)) as it:
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        for _ in range(2):
            reply = await egress.send(PROVIDER.at(it.base), "POST", f"{it.base}/v1/x?a=%2F", headers, b'{"a": 1}')
            assert (reply.status, reply.body, reply.headers["x-two"]) == (418, b"\x00\xff!", "a, b")
            assert it.requests[-1].startswith(b"POST /v1/x?a=%2F HTTP/1.1\r\n")
            assert it.requests[-1].endswith(b'\r\n\r\n{"a": 1}')
            assert f"host: 127.0.0.1:{it.port}\r\n".encode() in it.head
            assert b"accept-encoding: identity\r\n" in it.head
            assert b"authorization: bearer k\r\n" in it.head
            assert b"content-type: application/json\r\n" in it.head
            assert b"content-length: 8\r\n" in it.head
            assert b"cookie" not in it.head


@pytest.mark.parametrize("size", [0, 1_000, 3_000_000])
async def test_bytes_of_any_size_are_sent_with_their_length(egress: Egress, size: int) -> None:
    async with peer(says(OK)) as it:
        body = bytes(range(250)) * (size // 250)
        await egress.send(PROVIDER.at(it.base), "POST", it.base, None, body)
        assert f"content-length: {size}\r\n".encode() in it.head
        assert b"transfer-encoding" not in it.head
        assert it.requests[-1].partition(b"\r\n\r\n")[2] == body


async def test_a_streamed_body(egress: Egress) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async with peer(says(OK)) as it:
        await egress.send(PROVIDER.at(it.base), "POST", it.base, {}, pieces())
        assert b"3\r\none\r\n" in it.requests[-1]
        assert b"3\r\ntwo\r\n" in it.requests[-1]
        await egress.send(PROVIDER.at(it.base), "PUT", it.base, {"Content-Length": "6"}, pieces())
        assert it.requests[-1].endswith(b"\r\n\r\nonetwo")


async def test_a_provider_connection_is_reused_and_fresh_is_not(egress: Egress) -> None:
    async with peer(says(OK)) as it:
        for _ in range(3):
            await post(egress, it.base)
        assert it.connections == 1
        for made in (2, 3):
            await egress.send(PROVIDER.at(it.base), "POST", it.base, {}, b"{}", fresh=True)
            assert it.connections == made
        await post(egress, it.base)
        assert it.connections == 3


async def test_the_environment_is_not_asked(egress: Egress, monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    async with peer(says(OK)) as it:
        assert await post(egress, it.base) == 200


async def test_a_large_answer_costs_its_own_size(egress: Egress) -> None:
    size, piece = 8_000_000, bytes(50_000)

    async def script(_: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode())
        for _piece in range(size // len(piece)):
            writer.write(piece)
            await writer.drain()

    async with peer(script) as it:
        tracemalloc.start()
        try:
            reply = await egress.send(PROVIDER.at(it.base), "GET", it.base)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(reply.body) == size
        assert peak < 1.5 * size, "a second copy"


# --- not sent ---------------------------------------------------------------------------------------------------------


async def test_a_refused_connection_was_not_sent(egress: Egress, closed_port: int) -> None:
    with pytest.raises(NotSent) as error:
        await post(egress, f"http://127.0.0.1:{closed_port}")
    assert error.value.detail == "ClientConnectorError ECONNREFUSED"


async def test_a_connect_timeout_was_not_sent(egress: Egress, deaf_port: int) -> None:
    profile = Profile(name="hasty", connect_s=0.1)
    with pytest.raises(NotSent) as error:
        await post(egress, f"http://127.0.0.1:{deaf_port}", profile)
    assert error.value.detail == "ConnectionTimeoutError"


async def test_the_deadline_while_connecting_was_not_sent(egress: Egress, deaf_port: int) -> None:
    with pytest.raises(NotSent):
        await post(egress, f"http://127.0.0.1:{deaf_port}", timeout_s=0.1)


async def test_an_unknown_name_was_not_sent() -> None:
    async with opened() as (egress, _):
        with pytest.raises(NotSent):
            await post(egress, "http://nowhere.example:80")


async def test_a_name_that_never_resolves_was_not_sent() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    egress = Egress.open(lookup=never)
    with pytest.raises(NotSent):
        await post(egress, "http://slow.example:80", timeout_s=0.05)
    await egress.aclose()


async def test_a_name_without_addresses_was_not_sent() -> None:
    async with opened(names={"empty.example": []}) as (egress, _):
        with pytest.raises(NotSent) as error:
            await post(egress, "http://empty.example:80")
        assert error.value.detail == "ClientConnectorDNSError"


@pytest.mark.parametrize("then", ["keep", "fin", "reset", "hang"])
async def test_a_failed_handshake_was_not_sent(egress: Egress, then: str) -> None:
    async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if then == "keep":
            writer.write(OK)
        if then == "reset":
            writer.transport.abort()
        if then == "hang":
            await over.wait()
        writer.close()

    over = asyncio.Event()
    async with await asyncio.start_server(not_tls, "127.0.0.1", 0) as server:
        base = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(NotSent):
            await post(egress, base, timeout_s=0.2)
        over.set()


async def test_after_closing_nothing_is_sent(egress: Egress) -> None:
    async with peer(says(OK)) as it:
        await egress.aclose()
        with pytest.raises(NotSent):
            await post(egress, it.base)
        assert it.connections == 0


# --- may have been sent -----------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"

FAULTS: dict[str, Script] = {
    "reset before an answer": says(b"", "reset"),
    "closed without an answer": says(b"", "fin"),
    "closed within the head": says(b"HTTP/1.1 200 OK\r\nconte", "fin"),
    "reset after the head": says(HEAD, "reset"),
    "cut body": says(HEAD + b"half", "fin"),
    "cut chunks": says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhalf", "fin"),
    "bad chunk": says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n\r\n", "fin"),
    "not HTTP": says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "fin"),
    "two lengths": says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!", "fin"),
    "many header lines": says(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500 + b"content-length: 0\r\n\r\n", "fin"),
    "a long header line": says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 40_000 + b"\r\n\r\n", "fin"),
    "a long status line": says(b"HTTP/1.1 200 " + b"y" * 40_000 + b"\r\n\r\n", "fin"),
    "silence": says(b"", "hang"),
    "silence after the head": says(HEAD, "hang"),
    "silence within the body": says(HEAD + b"half", "hang"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("reused", [False, True])
async def test_whatever_breaks_on_a_connection_may_have_been_sent(egress: Egress, fault: str, reused: bool) -> None:
    async with peer(says(OK)) as it:
        if reused:
            await post(egress, it.base)
        it.script = FAULTS[fault]
        with pytest.raises(MaybeSent) as error:
            await post(egress, it.base, timeout_s=0.1 if "silence" in fault else None)
        assert not isinstance(error.value, NotSent)
        assert it.connections == 1, "a POST is never repeated behind our back"
        it.script = says(OK)
        assert await post(egress, it.base) == 200, "the next call has a clean connection"


async def test_a_repeated_get_stays_maybe_sent_when_the_repeat_cannot_connect(egress: Egress) -> None:
    """aiohttp repeats a GET once when a reused connection breaks; that the repeat finds the port closed must not make
    the first one unsent."""
    async with peer(says(OK)) as it:

        async def last_words(it: Peer, writer: asyncio.StreamWriter) -> None:
            assert it.server is not None
            it.server.close()
            writer.transport.abort()

        await egress.send(PROVIDER.at(it.base), "GET", it.base)
        it.script = last_words
        with pytest.raises(MaybeSent):
            await egress.send(PROVIDER.at(it.base), "GET", it.base)
        assert it.connections == 1


async def test_a_dripping_body_ends_at_the_deadline(egress: Egress) -> None:
    async def drip(it: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while not it.over.is_set():
            writer.write(b".")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(it.over.wait(), 0.01)

    async with peer(drip) as it:
        began = asyncio.get_running_loop().time()
        with pytest.raises(MaybeSent):
            await post(egress, it.base, timeout_s=0.15)
        assert asyncio.get_running_loop().time() - began < 2


async def test_a_body_that_we_fail_to_produce_may_have_been_sent(egress: Egress) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise LookupError("no such picture")

    async with peer(says(OK)) as it:
        with pytest.raises(MaybeSent):
            await egress.send(PROVIDER.at(it.base), "POST", it.base, {}, broken(), timeout_s=1)


async def test_a_cancelled_call_stays_cancelled(egress: Egress) -> None:
    arrived = asyncio.Event()

    async def hang(it: Peer, _: asyncio.StreamWriter) -> None:
        arrived.set()
        await it.over.wait()

    async with peer(hang) as it:
        call = asyncio.create_task(post(egress, it.base))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


# --- refused answers --------------------------------------------------------------------------------------------------

SMALL = Profile(name="small", answer_bytes=10)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n", Reason.SIZE),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n01234567890\r\n", Reason.SIZE),
        (b"HTTP/1.1 200 OK\r\n\r\n01234567890", Reason.SIZE),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b", Reason.ENCODING),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 0\r\n\r\n", Reason.ENCODING),
    ],
)
async def test_an_answer_over_the_cap_or_compressed_is_refused(
    egress: Egress, answer: bytes, reason: Reason | None
) -> None:
    async with peer(says(answer, "hang")) as it:
        with pytest.raises(MaybeSent) as error:
            await post(egress, it.base, SMALL, timeout_s=5)
        assert reason is None or (isinstance(error.value, AnswerRefused) and error.value.reason is reason)


async def test_an_answer_at_the_cap_is_taken(egress: Egress) -> None:
    async with peer(says(b"HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\n\r\n0123456789", "fin")) as it:
        assert await post(egress, it.base, SMALL) == 200


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [INPUT, RESULT, PROVIDER], ids=lambda profile: profile.name)
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "[fd00:ec2::254]"])
async def test_a_literal_that_is_not_public_is_refused(egress: Egress, profile: Profile, host: str) -> None:
    with pytest.raises(Refused) as error:
        await egress.send(profile, "GET", f"https://{host}/")
    assert error.value.reason is Reason.ADDRESS


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["2606:4700::1111", "::1"]])
async def test_a_name_with_one_bad_address_is_refused(addresses: list[str]) -> None:
    async with opened(names={"mixed.example": addresses}) as (egress, _):
        with pytest.raises(Refused) as error:
            await egress.send(INPUT, "GET", "http://mixed.example/")
        assert error.value.reason is Reason.ADDRESS


async def test_check_and_connect_use_the_same_address() -> None:
    """A name that would resolve differently the second time is connected to where it was checked."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"], ["127.0.0.3"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    async with peer(says(OK)) as it:
        egress = Egress.open(allow_hosts=[f"pinned.example:{it.port}"], lookup=rebinding)
        reply = await egress.send(INPUT, "GET", f"http://pinned.example:{it.port}/")
        assert reply.body == b"ok"
        assert f"host: pinned.example:{it.port}\r\n".encode() in it.head
        assert next(answers) == ["127.0.0.2"], "looked up once"
        await egress.aclose()


async def test_the_handshake_names_the_host_and_not_the_address() -> None:
    hello: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.set_result(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(names={"pinned.example": ["127.0.0.1"]}) as (egress, _):
            with pytest.raises(NotSent):
                await post(egress, f"https://pinned.example:{port}")
    assert b"pinned.example" in await hello


async def test_allow_hosts_lets_exactly_that_host_and_port_through(closed_port: int) -> None:
    names = {"gpu-box": ["127.0.0.1"], "other-box": ["127.0.0.1"]}
    async with peer(says(OK)) as it, opened(allow=[f"GPU-box:{it.port}"], names=names) as (egress, asked):
        assert (await egress.send(INPUT, "GET", f"http://gpu-box:{it.port}/")).body == b"ok"
        for url in (f"http://gpu-box:{closed_port}/", f"http://other-box:{it.port}/", f"{it.base}/"):
            with pytest.raises(Refused) as refused:
                await egress.send(INPUT, "GET", url)
            assert refused.value.reason is Reason.PORT
        with pytest.raises(Refused) as refused:
            await egress.send(INPUT, "GET", "http://gpu-box/")
        assert refused.value.reason is Reason.ADDRESS
        assert asked == [f"gpu-box:{it.port}", "gpu-box:80"]


async def test_no_cookie_is_kept() -> None:
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: session=1; path=/\r\ncontent-length: 0\r\n\r\n"
    async with peer(says(answer)) as it, opened(allow=[f"box:{it.port}"], names={"box": ["127.0.0.1"]}) as (egress, _):
        for _ in range(2):
            await egress.send(INPUT, "GET", f"http://box:{it.port}/")
        assert b"cookie" not in it.head


async def test_a_base_is_private_only_for_its_own_profile() -> None:
    async with peer(says(OK)) as it, opened() as (egress, _):
        assert await post(egress, it.base) == 200
        assert (await egress.send(RESULT.at(it.base), "GET", f"{it.base}/a.png")).status == 200
        for profile in (PROVIDER, RESULT, INPUT, PROVIDER.at("https://api.example")):
            with pytest.raises(Refused):
                await egress.send(profile, "GET", it.base)


async def test_ipv6_loopback_base() -> None:
    async with peer(says(OK), "::1") as it, opened() as (egress, _):
        base = f"http://[::1]:{it.port}"
        assert await post(egress, base) == 200
        assert f"host: [::1]:{it.port}\r\n".encode() in it.head


async def test_a_host_that_fails_tells_nothing_about_its_port(closed_port: int, deaf_port: int) -> None:
    names = {"box": ["127.0.0.1"]}
    texts: set[str] = set()
    async with peer(says(b"SSH-2.0-secret\r\n\r\n", "fin")) as it:
        ports = (closed_port, deaf_port, it.port)
        async with opened(allow=[f"box:{port}" for port in ports], names=names) as (egress, _):
            for url in (*(f"http://box:{port}/?token=hunter2" for port in ports), "http://unknown.example/"):
                with pytest.raises(EgressError) as error:
                    await egress.send(INPUT, "GET", url, {"Authorization": "hunter2"}, timeout_s=0.2)
                texts.add(str(error.value))
                assert error.value.__cause__ is None
                assert "hunter2" not in repr(error.value) + error.value.detail
    assert len(texts) == 1


# --- redirects --------------------------------------------------------------------------------------------------------


async def test_a_provider_redirect_is_an_answer(egress: Egress) -> None:
    async with peer(redirects("/elsewhere")) as it:
        for method in ("GET", "POST"):
            reply = await egress.send(PROVIDER.at(it.base), method, it.base)
            assert (reply.status, reply.headers["location"]) == (302, "/elsewhere")
        assert len(it.requests) == 2


async def test_an_input_follows_three_redirects_without_credentials() -> None:
    async def hops(it: Peer, writer: asyncio.StreamWriter) -> None:
        left = 3 - len(it.requests)
        await (redirects(f"hop{left}?x=%2F#frag") if left >= 0 else says(OK))(it, writer)

    async with peer(hops) as it, opened(allow=[f"box:{it.port}"], names={"box": ["127.0.0.1"]}) as (egress, _):
        headers = {"Authorization": "hunter2", "X-Api-Key": "hunter2", "Cookie": "hunter2", "Accept": "image/*"}
        reply = await egress.send(INPUT, "GET", f"http://box:{it.port}/a/b", headers)
        assert reply.body == b"ok"
        assert [request.split()[1] for request in it.requests] == [
            b"/a/b",
            b"/a/hop2?x=%2F",
            b"/a/hop1?x=%2F",
            b"/a/hop0?x=%2F",
        ]
        assert all(b"hunter2" not in request for request in it.requests[1:])
        assert all(b"image/*" in request for request in it.requests)


HOPS = {
    "http://127.0.0.1/": Reason.ADDRESS,
    "http://[::1]/": Reason.ADDRESS,
    "http://inside.example/": Reason.ADDRESS,
    "http://box:22/": Reason.PORT,
    "//127.1/": Reason.HOST,
    "http://user:pass@box/": Reason.USERINFO,
    "file:///etc/passwd": Reason.SCHEME,
    "embedded:preview/v1": Reason.URL,
    "http://box\\@127.0.0.1/": Reason.URL,
    "http:///127.0.0.1/": Reason.HOST,  # `urljoin` reads a path on our own host here, browsers another host
    "http:127.0.0.1/": Reason.URL,
    "http://[127.0.0.1]/": Reason.HOST,
}


@pytest.mark.parametrize(("to", "reason"), HOPS.items())
async def test_every_hop_goes_through_all_checks(to: str, reason: Reason) -> None:
    names = {"box": ["127.0.0.1"], "inside.example": ["10.0.0.1"]}
    async with peer(redirects(to)) as it, opened(allow=[f"box:{it.port}"], names=names) as (egress, _):
        with pytest.raises(AnswerRefused) as error:
            await egress.send(INPUT, "GET", f"http://box:{it.port}/")
        assert error.value.reason is reason


@pytest.mark.parametrize("script", [redirects("/again"), says(b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n")])
async def test_redirects_end(script: Script) -> None:
    async with peer(script) as it, opened(allow=[f"box:{it.port}"], names={"box": ["127.0.0.1"]}) as (egress, _):
        with pytest.raises(AnswerRefused) as error:
            await egress.send(INPUT, "GET", f"http://box:{it.port}/")
        assert error.value.reason is Reason.REDIRECTS
        assert len(it.requests) <= 4


async def test_no_redirect_from_https_to_http() -> None:
    """Asked of the rule itself: loopback has no certificate to redirect from."""
    for to in ("http://files.example/a", "ftp://files.example/a"):
        with pytest.raises(AnswerRefused) as error:
            _next_url("https://files.example/", HttpReply(302, {"location": to}, b""))
        assert error.value.reason is Reason.DOWNGRADE
    reply = HttpReply(302, {"location": "//cdn.example/a"}, b"")
    assert _next_url("https://files.example/", reply) == "https://cdn.example/a"


# --- mounted apps -----------------------------------------------------------------------------------------------------

EMBEDDED = PROVIDER.at("embedded:preview")


async def echo(scope, receive, send) -> None:
    message = await receive()
    text = f"{scope['method']} {scope['path']} ".encode() + message["body"]
    await send({"type": "http.response.start", "status": 201, "headers": [(b"X-App", b"yes")]})
    await send({"type": "http.response.body", "body": text})


async def test_a_mounted_app_answers_under_its_base(egress: Egress) -> None:
    egress.mount("embedded:preview", echo, prefix="/v1")
    reply = await egress.send(EMBEDDED, "POST", "embedded:preview/images/edits", {}, b"body")
    assert (reply.status, reply.headers["x-app"], reply.body) == (201, "yes", b"POST /v1/images/edits body")


@pytest.mark.parametrize("profile", [INPUT, RESULT, PROVIDER, PROVIDER.at("https://api.example")])
async def test_no_other_profile_reaches_a_mounted_app(egress: Egress, profile: Profile) -> None:
    egress.mount("embedded:preview", echo)
    with pytest.raises(Refused):
        await egress.send(profile, "GET", "embedded:preview/images/edits")


async def test_a_mounted_base_covers_only_what_is_under_it(egress: Egress) -> None:
    egress.mount("embedded:preview", echo)
    for url in ("embedded:preview2/x", "embedded:other/x", "http://127.0.0.1/x"):
        with pytest.raises(Refused):
            await egress.send(EMBEDDED, "POST", url)


async def test_a_mounted_app_is_bound_by_the_deadline_and_the_cap(egress: Egress) -> None:
    async def hang(scope, receive, send) -> None:
        await asyncio.Event().wait()

    egress.mount("embedded:preview", hang)
    with pytest.raises(MaybeSent):
        await egress.send(EMBEDDED, "POST", "embedded:preview/x", timeout_s=0.05)
    egress.mount("embedded:preview", echo)
    with pytest.raises(AnswerRefused):
        await egress.send(SMALL.at("embedded:preview"), "POST", "embedded:preview/x", {}, bytes(20))


async def test_a_mounted_app_that_raises_may_have_run(egress: Egress) -> None:
    async def broken(scope, receive, send) -> None:
        raise ValueError("secret prompt")

    egress.mount("embedded:preview", broken)
    with pytest.raises(MaybeSent) as error:
        await egress.send(EMBEDDED, "POST", "embedded:preview/x")
    assert "secret" not in str(error.value) + error.value.detail
