"""Clients that are slow, many, or no clients at all, over real sockets against the server with short deadlines.

What must not be cut off is held against something that is: a connection whose time is over tells that the time passed.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from gateway.connections import HEAD_BYTES, HEAD_FIELDS, Clients
from gateway.sections import ClientsSection
from gateway.server import bound, listening

SHORT_S = 0.1
QUICK = ClientsSection(head_s=SHORT_S, body_s=SHORT_S, read_s=SHORT_S)
Message = MutableMapping[str, Any]


class App:
    """Reads the body and says how long it was and whose it is; `/early` answers first, `/patient` waits before it
    reads, `/large` has more to say than fits into sockets. `gone`: somebody went away in the middle."""

    def __init__(self) -> None:
        self.go_on, self.gone = asyncio.Event(), asyncio.Event()
        self.waiting = asyncio.Event()

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["path"] == "/patient":
            self.waiting.set()
            await self.go_on.wait()
        size, more = 0, scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                return
            size, more = size + len(message["body"]), message["more_body"]
        text = f"{size} of {scope['client'][0]} by {scope['scheme']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400 if scope["path"] == "/large" else 0):
            await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
        await send({"type": "http.response.body", "body": text})
        if scope["path"] == "/large" and (await receive())["type"] == "http.disconnect":
            self.gone.set()


class Caller:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if b"chunked" in head:
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        else:
            length = re.search(rb"content-length: (\d+)", head)
            assert length
            body = await self.reader.readexactly(int(length[1]))
        return int(head.split(b" ")[1]), body

    async def ended(self) -> bytes:
        """What is still said until the connection is over."""
        said = b""
        with contextlib.suppress(ConnectionError):
            while piece := await self.reader.read(1 << 16):
                said += piece
        return said

    async def refused(self, status: int, kind: str) -> None:
        said, body = await self.answer()
        problem = msgspec.json.decode(body)
        assert (said, problem["type"], problem["status"]) == (status, f"urn:kontext:problem:{kind}", status)
        assert await self.ended() == b""


class Place:
    def __init__(self, app: App, port: int) -> None:
        self.app, self.port = app, port
        self._open: list[asyncio.StreamWriter] = []

    async def caller(self, first: bytes = b"", source: str = "127.0.0.1") -> Caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        self._open.append(writer)
        caller = Caller(reader, writer)
        caller.say(first)
        return caller

    async def a_deadline_passes(self) -> None:
        """For everything that began before this: of deadlines that begin one after another, each ends by the second."""
        for _ in range(2):
            await (await self.caller(b"GET / HTTP/1.1\r\n")).refused(408, "slow")

    async def aclose(self) -> None:
        self.app.go_on.set()
        for writer in self._open:
            writer.transport.abort()


@asynccontextmanager
async def place(limits: ClientsSection = QUICK) -> AsyncGenerator[Place]:
    app = App()
    with contextlib.closing(bound("127.0.0.1", 0)) as sock:
        async with listening(app, sock, limits):
            here = Place(app, sock.getsockname()[1])
            try:
                yield here
            finally:
                await here.aclose()


GET, POST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n"


# --- heads ------------------------------------------------------------------------------------------------------------


async def test_whoever_says_nothing_is_let_go() -> None:
    async with place() as here:
        assert await (await here.caller()).ended() == b""


@pytest.mark.parametrize(
    "first", [b"G", b"GET / HTTP/1.1\r\n", GET[:-2], b"\r\n\r\n"], ids=["a letter", "a line", "no end", "nothing"]
)
async def test_a_head_that_does_not_end_in_time_is_refused(first: bytes) -> None:
    async with place() as here:
        await (await here.caller(first)).refused(408, "slow")


async def test_a_drip_does_not_put_the_end_off() -> None:
    async with place() as here:
        caller = await here.caller(b"GET / HTTP/1.1\r\nx: ")
        refused = asyncio.ensure_future(caller.refused(408, "slow"))
        while not refused.done():
            caller.say(b"a")
            await asyncio.wait([refused], timeout=0.01)
        await refused


async def test_empty_lines_behind_an_answer_are_a_head_that_does_not_end() -> None:
    async with place() as here:
        caller = await here.caller(GET)
        assert (await caller.answer())[0] == 200
        caller.say(b"\r\n")
        await caller.refused(408, "slow")


async def test_a_connection_that_rests_between_requests_is_kept() -> None:
    async with place() as here:
        caller = await here.caller(GET)
        await caller.answer()
        await here.a_deadline_passes()
        caller.say(GET)
        assert (await caller.answer())[0] == 200


@pytest.mark.parametrize(
    "lines",
    [b"x: " + b"a" * HEAD_BYTES, b"\r\n".join([b"x: a"] * (HEAD_FIELDS + 1))],
    ids=["one long line", "many lines"],
)
async def test_a_head_that_is_too_large_is_refused(lines: bytes) -> None:
    async with place() as here:
        caller = await here.caller(b"GET / HTTP/1.1\r\n" + lines + b"\r\n\r\n")
        status, body = await caller.answer()
        assert (status, msgspec.json.decode(body)["type"]) == (431, "urn:kontext:problem:head_too_large")


async def test_an_endless_line_ends() -> None:
    async with place(ClientsSection()) as here:
        caller, sent = await here.caller(b"GET /"), 0
        with contextlib.suppress(ConnectionError):
            while sent < 64_000_000:
                caller.say(b"a" * 65_536)
                await caller.writer.drain()
                sent += 65_536
        assert sent < 32_000_000, "what two sockets hold, and no more"


async def test_garbage_behind_a_request_is_not_answered_in_its_place() -> None:
    async with place() as here:
        caller = await here.caller(GET.replace(b"/ ", b"/patient ") + b"garbage")
        assert await caller.ended() == b""


async def test_what_is_no_http_is_a_problem_too() -> None:
    async with place() as here:
        await (await here.caller(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")).refused(400, "malformed")
        status, body = await (await here.caller(b"GET / HTTP/1.1\r\na b: c\r\n\r\n")).answer()
        assert (status, msgspec.json.decode(body)["type"]) == (400, "urn:kontext:problem:malformed")


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [b"", b"half of it"], ids=["nothing", "half"])
async def test_a_body_that_does_not_come_is_refused(part: bytes) -> None:
    async with place() as here:
        await (await here.caller(POST + part)).refused(408, "slow")
        await here.app.gone.wait()


async def test_a_body_has_more_time_the_more_of_it_came() -> None:
    async with place(ClientsSection(head_s=SHORT_S, body_s=SHORT_S, body_bytes_per_s=1)) as here:
        caller = await here.caller(POST + b"ten bytes.")
        await here.a_deadline_passes()
        caller.say(b"and ten...")
        assert (await caller.answer())[0] == 200


async def test_a_body_that_nobody_reads_yet_is_not_late() -> None:
    async with place() as here:
        size = 3_000_000
        caller = await here.caller(
            b"POST /patient HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size + bytes(size)
        )
        await here.app.waiting.wait()
        for _ in range(2):
            await here.a_deadline_passes()
        here.app.go_on.set()
        assert (await caller.answer())[1].startswith(b"%d of" % size)


async def test_a_client_that_waits_for_100_is_not_late() -> None:
    async with place() as here:
        head = b"POST /patient HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        caller = await here.caller(head)
        for _ in range(2):
            await here.a_deadline_passes()
        here.app.go_on.set()
        assert b"100" in await caller.reader.readuntil(b"\r\n\r\n")
        caller.say(b"ok")
        assert (await caller.answer())[0] == 200


async def test_a_body_that_comes_after_its_refusal_ends_the_connection() -> None:
    async with place() as here:
        caller = await here.caller(POST.replace(b"/ ", b"/early "))
        assert (await caller.answer())[0] == 200
        assert await caller.ended() == b""


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_an_answer_that_nobody_reads_is_broken_off() -> None:
    async with place() as here:
        await here.caller(GET.replace(b"/ ", b"/large "))
        await here.app.gone.wait()


async def test_a_long_wait_for_an_answer_is_no_slowness() -> None:
    async with place() as here:
        caller = await here.caller(GET.replace(b"/ ", b"/patient ") + b"\r\n")
        for _ in range(2):
            await here.a_deadline_passes()
        here.app.go_on.set()
        assert (await caller.answer())[0] == 200


# --- many -------------------------------------------------------------------------------------------------------------


async def test_an_address_holds_so_many_connections_and_others_are_let_in() -> None:
    async with place(ClientsSection(connections_per_client=2)) as here:
        first, second = await here.caller(GET), await here.caller(GET)
        assert [(await one.answer())[0] for one in (first, second)] == [200, 200]
        await (await here.caller()).refused(429, "too_many_connections")
        other = await here.caller(GET, source="127.0.0.2")
        assert (await other.answer())[0] == 200
        first.writer.write_eof()
        assert await first.ended() == b""
        assert (await (await here.caller(GET)).answer())[0] == 200


def told(*lines: bytes, path: bytes = b"/") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + b"\r\n".join((b"host: a", *lines)) + b"\r\n\r\n"


async def test_nobody_speaks_for_others_unless_named() -> None:
    async with place() as here:
        caller = await here.caller(told(b"x-forwarded-for: 192.0.2.7", b"x-forwarded-proto: https"))
        assert await caller.answer() == (200, b"0 of 127.0.0.1 by http")


async def test_a_named_proxy_is_many_clients_and_each_is_counted() -> None:
    limits = ClientsSection(connections_per_client=1, trusted_proxies=("127.0.0.0/31",))
    async with place(limits) as here:
        speaking = [b"x-forwarded-for: 10.9.9.9, 192.0.2.7", b"x-forwarded-proto: https"]
        waiting = await here.caller(told(*speaking, path=b"/patient"))
        await here.app.waiting.wait()
        again = await here.caller(told(*speaking))
        status, body = await again.answer()
        assert (status, msgspec.json.decode(body)["type"]) == (429, "urn:kontext:problem:too_many_connections")
        other = await here.caller(told(b"x-forwarded-for: 192.0.2.8"))
        assert await other.answer() == (200, b"0 of 192.0.2.8 by http")
        here.app.go_on.set()
        assert await waiting.answer() == (200, b"0 of 192.0.2.7 by https")
        again.say(told(*speaking))
        assert (await again.answer())[0] == 200


async def test_a_stranger_in_the_name_of_a_proxy_is_itself() -> None:
    async with place(ClientsSection(trusted_proxies=("127.0.0.1",))) as here:
        caller = await here.caller(told(b"x-forwarded-for: 192.0.2.7"), source="127.0.0.2")
        assert await caller.answer() == (200, b"0 of 127.0.0.2 by http")


def test_an_ipv6_client_is_its_network() -> None:
    clients = Clients(ClientsSection(connections_per_client=1))
    assert clients.enter("2001:db8::1") is not None
    assert clients.enter("2001:db8::2") is None
    assert clients.enter("2001:db8:0:1::1") is not None
    assert clients.enter("::ffff:192.0.2.1") is not None
    assert clients.enter("192.0.2.1") is None
