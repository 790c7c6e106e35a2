"""What can go wrong on the wire, as a table, and a raw socket that does it.

A fault is what is written in the place of a good answer, and how the connection ends; or a place to which the call is
sent instead, where no connection comes about. None of it is made by a library: what is wrong must be wrong byte by byte.
"""

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from adapters.contract import HttpReply

# ruff: noqa: E501 - a table

End = Literal["keep", "fin", "reset", "hang"]
Write = Callable[[HttpReply], Iterable[bytes]]


class Fault(Struct, frozen=True, kw_only=True):
    """`write`: in the place of the answer. `taken`: the request was understood, and what it asks for begun. `whole`: the
    answer's meaning arrives all the same; `ambiguous`: or not, as the bytes fall. `slow`: only a deadline ends it. `pause_s`: between two pieces. `again`: to whatever else the
    call asks for: a GET whose connection broke before an answer is sent once more. `text`: only for answers that are JSON.
    `place`: where the call is sent instead; nothing is written then. `unsent`: what the sender may be sure of."""

    write: Write = lambda _: ()
    end: End = "keep"
    taken: bool = True
    whole: bool = False
    ambiguous: bool = False
    slow: bool = False
    pause_s: float = 0.0
    again: bool = False
    text: bool = False
    place: str = ""

    @property
    def unsent(self) -> bool:
        return bool(self.place) and self.place != "speaks_tls"


# --- answers, byte by byte --------------------------------------------------------------------------------------------


def head(status: str, *lines: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode("latin-1")


def typed(reply: HttpReply) -> str:
    return f"content-type: {reply.headers.get('content-type', 'application/json')}"


def good(reply: HttpReply, *lines: str, status: str = "") -> bytes:
    told = status or f"{reply.status} OK"
    return head(told, typed(reply), *lines, f"content-length: {len(reply.body)}") + reply.body


def saying(status: str, *lines: str, body: bytes = b"") -> Write:
    """An answer of its own, whatever was asked."""
    return lambda _: (head(status, *lines, f"content-length: {len(body)}"), body)


def with_body(change: Callable[[bytes], bytes], *lines: str) -> Write:
    return lambda reply: (good(HttpReply(reply.status, reply.headers, change(reply.body)), *lines),)


def with_lines(*lines: str) -> Write:
    return lambda reply: (good(reply, *lines),)


def framed(*lines: str, body: Callable[[bytes], bytes] = bytes) -> Write:
    """Another frame around the body than its length."""
    return lambda reply: (head(f"{reply.status} OK", typed(reply), *lines), body(reply.body))


def chunked(body: bytes, size: int = 7) -> bytes:
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


CHUNKS = "transfer-encoding: chunked"


def half(text: bytes) -> bytes:
    return text[: len(text) // 2]


def endless(first: bytes, piece: bytes) -> Write:
    def write(_: HttpReply) -> Iterator[bytes]:
        yield first
        while True:
            yield piece

    return write


def bomb(_: bytes) -> bytes:
    """20 kB that are 20 MB."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join((*(squeeze.compress(bytes(1 << 20)) for _ in range(20)), squeeze.flush()))


BOMB = bomb(b"")


def extended(value: bytes) -> Callable[[bytes], bytes]:
    """A document with one more field, first."""

    def change(body: bytes) -> bytes:
        opened = body.index(b"{") + 1
        return body[:opened] + b'"zzz":' + value + b"," + body[opened:]

    return change


def emptied_before(body: bytes) -> bytes:
    """Every name twice, and the second time as it was."""
    document = msgspec.json.decode(body)
    return b"{" + b"".join(b"%s:null," % msgspec.json.encode(name) for name in document) + body[1:]


PAGE = b"<!doctype html><title>Bad gateway</title><p>Sorry.</p>"
UNNAMED = b'{"errors":[{"code":"internalServerError","message":"Something went wrong"}]}'

ANSWERS: dict[str, Fault] = {
    # Nothing at all.
    "reset, nothing taken": Fault(end="reset", taken=False, again=True),
    "closed, nothing taken": Fault(end="fin", taken=False, again=True),
    "reset": Fault(end="reset", again=True),
    "closed": Fault(end="fin", again=True),
    "silence": Fault(end="hang", slow=True),
    # Cut.
    "reset in the head": Fault(write=lambda reply: (good(reply)[:20],), end="reset", again=True),
    "closed in the head": Fault(write=lambda reply: (good(reply)[:20],), end="fin", again=True),
    "silence in the head": Fault(write=lambda reply: (good(reply)[:20],), end="hang", slow=True),
    "reset in the body": Fault(write=lambda reply: (good(reply)[:-5],), end="reset"),
    "closed in the body": Fault(write=lambda reply: (good(reply)[:-5],), end="fin"),
    "silence in the body": Fault(write=lambda reply: (good(reply)[:-5],), end="hang", slow=True),
    "a drip of the head": Fault(write=endless(b"HTTP/1.1 200 OK\r\nx: ", b"a"), slow=True, pause_s=0.02),
    "a drip of the body": Fault(write=endless(head("200 OK", CHUNKS), b"1\r\n{\r\n"), slow=True, pause_s=0.02),
    # Chunks.
    "chunked": Fault(write=framed(CHUNKS, body=lambda body: chunked(body) + b"0\r\n\r\n"), whole=True),
    "chunks with trailers": Fault(
        write=framed(CHUNKS, body=lambda body: chunked(body) + b"0\r\nx-sum: 1\r\n\r\n"), whole=True
    ),
    "a cut chunk": Fault(write=framed(CHUNKS, body=lambda body: chunked(body)[:-4]), end="fin"),
    "no last chunk": Fault(write=framed(CHUNKS, body=chunked), end="fin"),
    "a chunk whose size is no number": Fault(write=framed(CHUNKS, body=lambda body: b"zz\r\n" + body), end="fin"),
    "a chunk of negative size": Fault(write=framed(CHUNKS, body=lambda body: b"-5\r\n" + body), end="fin"),
    "a chunk beyond all sizes": Fault(write=framed(CHUNKS, body=lambda body: b"f" * 40 + b"\r\n" + body), end="fin"),
    "a chunk longer than it says": Fault(
        write=framed(CHUNKS, body=lambda body: b"1\r\n" + body + b"\r\n0\r\n\r\n"), end="fin"
    ),
    "an endless chunk extension": Fault(write=endless(head("200 OK", CHUNKS) + b"1;", b"x" * 65536), slow=True),
    # Lengths.
    "a length that is too large": Fault(
        write=lambda reply: (head("200 OK", f"content-length: {len(reply.body) + 9}"), reply.body), end="fin"
    ),
    "a length that is too small": Fault(
        write=lambda reply: (head("200 OK", f"content-length: {len(reply.body) - 9}"), reply.body)
    ),
    "a length that is no number": Fault(write=framed("content-length: many"), end="fin"),
    "a negative length": Fault(write=framed("content-length: -1"), end="fin"),
    "two lengths": Fault(write=framed("content-length: 3", "content-length: 300"), end="fin"),
    "a length and chunks": Fault(
        write=framed("content-length: 3", CHUNKS, body=lambda body: chunked(body) + b"0\r\n\r\n"), end="fin"
    ),
    "a length beyond all sizes": Fault(write=framed("content-length: " + "9" * 40), end="fin"),
    "a length beyond the cap": Fault(write=framed("content-length: 99000000000"), end="hang"),
    # Status lines.
    "garbage": Fault(write=lambda _: (b"\x00\x01\x02 hello?\r\n\r\n",), end="fin"),
    "a body without a head": Fault(write=lambda reply: (reply.body,), end="fin"),
    "another protocol": Fault(write=lambda _: (b"SSH-2.0-OpenSSH_9.2\r\n",), end="fin"),
    "HTTP/1.0 without a length": Fault(
        write=lambda reply: (b"HTTP/1.0 200 OK\r\n" + typed(reply).encode() + b"\r\n\r\n" + reply.body,),
        end="fin",
        whole=True,
    ),
    "HTTP/1.0 without a length, cut": Fault(
        write=lambda reply: (b"HTTP/1.0 200 OK\r\n\r\n" + half(reply.body),), end="fin"
    ),
    "HTTP/9.9": Fault(write=lambda reply: (good(reply).replace(b"HTTP/1.1", b"HTTP/9.9", 1),), end="fin"),
    "the preface of HTTP/2": Fault(write=lambda _: (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),), end="fin"),
    "a status of two digits": Fault(write=saying("99 What"), end="fin"),
    "a status of four digits": Fault(write=saying("2000 What"), end="fin"),
    "a status that is a word": Fault(write=saying("OK 200"), end="fin"),
    "an endless status line": Fault(write=endless(b"HTTP/1.1 200 ", b"O" * 65536), slow=True),
    # Heads.
    "one header line of 256 kB": Fault(write=with_lines("x-bomb: " + "a" * 262_144)),
    "5,000 header lines": Fault(write=with_lines(*(f"x-{number}: a" for number in range(5000)))),
    "endless header lines": Fault(write=endless(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n" * 4096), slow=True),
    "a NUL in the head": Fault(write=with_lines("x-nul: a\x00b")),
    "a header without a colon": Fault(write=with_lines("nothing here")),
    "a header with a space in its name": Fault(write=with_lines("x y: z")),
    "a folded header": Fault(write=with_lines("x-folded: a\r\n b"), whole=True),
    "line feeds alone": Fault(write=lambda reply: (good(reply).replace(b"\r\n", b"\n", 4),), whole=True),
    # Encodings that nobody asked for.
    "gzip": Fault(write=with_body(gzip.compress, "content-encoding: gzip")),
    "a gzip bomb": Fault(write=with_body(lambda _: BOMB, "content-encoding: gzip")),
    "gzip that is none": Fault(write=with_lines("content-encoding: gzip")),
    "an unknown encoding": Fault(write=with_lines("content-encoding: rot13")),
    "chunks of gzip": Fault(
        write=framed("transfer-encoding: gzip, chunked", body=lambda body: chunked(gzip.compress(body)) + b"0\r\n\r\n"),
        end="fin",
    ),
    # Too much.
    "an endless body": Fault(write=endless(head("200 OK"), b" " * 65536), end="fin"),
    "endless chunks": Fault(write=endless(head("200 OK", CHUNKS), b"10000\r\n" + b" " * 65536 + b"\r\n")),
    "more behind the answer": Fault(write=lambda reply: (good(reply) + b"garbage\r\n\r\n",), ambiguous=True),
    "a second answer behind it": Fault(
        write=lambda reply: (good(reply) + head("200 OK", "content-length: 2") + b"{}",), whole=True
    ),
    # Interim answers.
    "100 first": Fault(write=lambda reply: (head("100 Continue"), good(reply)), whole=True),
    "103 first": Fault(
        write=lambda reply: (head("103 Early Hints", "link: </a>; rel=preload"), good(reply)), whole=True
    ),
    "101": Fault(write=saying("101 Switching Protocols", "upgrade: websocket", "connection: upgrade"), end="fin"),
    "100 without end": Fault(write=endless(b"", head("100 Continue") * 512), slow=True),
    # Redirects.
    "a redirect to a private address": Fault(write=saying("302 Found", "location: http://10.0.0.7/")),
    "a redirect to the metadata service": Fault(
        write=saying("307 Temporary Redirect", "location: http://169.254.169.254/latest/")
    ),
    "a redirect to itself": Fault(write=saying("302 Found", "location: ?again.png"), again=True),
    "a redirect to nowhere": Fault(write=saying("301 Moved")),
    "a redirect to a file": Fault(write=saying("302 Found", "location: file:///etc/passwd")),
    # Other statuses.
    "nothing, with 204": Fault(write=lambda _: (head("204 No Content"),)),
    "nothing, with 304": Fault(write=lambda _: (head("304 Not Modified"),)),
    "nothing, with 200": Fault(write=saying("200 OK")),
    "a page, with 200": Fault(write=saying("200 OK", "content-type: text/html", body=PAGE)),
    "a page, with 500": Fault(write=saying("500 Oops", "content-type: text/html", body=PAGE)),
    "a page, with 502": Fault(write=saying("502 Bad Gateway", "content-type: text/html", body=PAGE)),
    "a page, with 504": Fault(write=saying("504 Gateway Timeout", "content-type: text/html", body=PAGE)),
    "a status that nobody knows": Fault(write=saying("599 Odd", body=b"{}")),
    # Types.
    "a good answer as a page": Fault(
        write=lambda reply: (
            head(f"{reply.status} OK", "content-type: text/html", f"content-length: {len(reply.body)}") + reply.body,
        ),
        whole=True,
    ),
    "a good answer of no type": Fault(
        write=lambda reply: (head(f"{reply.status} OK", f"content-length: {len(reply.body)}") + reply.body,), whole=True
    ),
    # Texts that are none, or say too much.
    "half a document": Fault(write=with_body(half)),
    "zeros": Fault(write=with_body(lambda body: bytes(len(body)))),
    "a document twice": Fault(write=with_body(lambda body: body + body), text=True),
    "200 with errors that name nobody": Fault(
        write=saying("200 OK", "content-type: application/json", body=UNNAMED), text=True
    ),
    "null": Fault(write=with_body(lambda _: b"null"), text=True),
    "a list": Fault(write=with_body(lambda _: b"[]"), text=True),
    "a word": Fault(write=with_body(lambda _: b'"done"'), text=True),
    "an empty object": Fault(write=with_body(lambda _: b"{}"), text=True),
    "100,000 brackets": Fault(write=with_body(lambda _: b"[" * 100_000), text=True),
    "100,000 brackets, closed, in a field": Fault(
        write=with_body(extended(b"[" * 100_000 + b"]" * 100_000)), text=True
    ),
    "a NUL": Fault(write=with_body(lambda body: body[:9] + b"\x00" + body[9:]), text=True),
    "a byte order mark": Fault(write=with_body(lambda body: b"\xef\xbb\xbf" + body), text=True),
    "UTF-16": Fault(write=with_body(lambda body: body.decode().encode("utf-16")), text=True),
    "no UTF-8": Fault(write=with_body(extended(b'"\xff\xfe"')), text=True),
    "half a character": Fault(write=with_body(extended(b'"\\ud800"')), text=True),
    "NaN": Fault(write=with_body(extended(b"NaN")), text=True),
    "a number beyond all sizes": Fault(write=with_body(extended(b"9" * 5000)), text=True),
    "an exponent beyond all sizes": Fault(write=with_body(extended(b"1e999999999999")), text=True),
    "names twice": Fault(write=with_body(emptied_before), text=True),
}

PLACES: dict[str, Fault] = {
    name: Fault(place=place, taken=False, slow=slow)
    for name, place, slow in (
        ("nobody listens", "closed", False),
        ("a connection that hangs", "deaf", True),
        ("no such name", "nameless", False),
        ("a name without an address", "addressless", False),
        ("a name that is never found", "lost", True),
        ("a certificate that nobody signed", "unsigned", False),
        ("plain text where TLS was meant", "plain", False),
        ("TLS that is cut", "cut", False),
        ("TLS that is silent", "silent", True),
        ("TLS where plain text was meant", "speaks_tls", False),
    )
}
"""Where no connection comes about; but for the last one, whose answer is an alert."""

FAULTS = ANSWERS | PLACES


# --- the socket -------------------------------------------------------------------------------------------------------


class Asked(Struct, frozen=True):
    """A request as it came over the socket."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Peer:
    """Answers as `reply` says. The next request is broken by `fault`, once. `sent`: bytes of faults."""

    def __init__(self) -> None:
        self.reply: Callable[[Asked], HttpReply] = lambda _: HttpReply(404, {}, b"")
        self.fault: Fault | None = None
        self.sent, self.port = 0, 0
        self._over = asyncio.Event()
        self._open: dict[asyncio.StreamWriter, asyncio.Task[object] | None] = {}

    def begin(self, reply: Callable[[Asked], HttpReply]) -> None:
        """Another play."""
        self.reply, self.fault, self.sent = reply, None, 0

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = asyncio.current_task()
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                while await self._exchange(await read(reader), writer):
                    pass
        finally:
            writer.transport.abort()
            del self._open[writer]

    async def _exchange(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        fault = self.fault
        self.fault = fault if fault and fault.again else None
        if fault is None:
            writer.write(good(self.reply(asked)))
            await writer.drain()
            return True
        reply = self.reply(asked) if fault.taken else HttpReply(200, {}, b"")
        await self._break(fault, reply, writer)
        return fault.end == "keep"

    async def _break(self, fault: Fault, reply: HttpReply, writer: asyncio.StreamWriter) -> None:
        for piece in fault.write(reply):
            writer.write(piece)
            self.sent += len(piece)
            await writer.drain()
            await asyncio.sleep(fault.pause_s)
        if fault.end == "hang":
            await self._over.wait()
        if fault.end == "reset":
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def end(self) -> None:
        self._over.set()
        tasks = [task for task in self._open.values() if task]
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read(reader: asyncio.StreamReader) -> Asked:
    head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    method, target, _ = head.split(" ")
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body)


@contextlib.asynccontextmanager
async def listening(peer: Peer) -> AsyncGenerator[Peer]:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, limit=1 << 20)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        await peer.end()
        await server.wait_closed()


# --- where no connection comes about ----------------------------------------------------------------------------------


async def no_lookup(host: str, port: int) -> list[str]:
    """The names of the places; every other one is an address."""
    if host == "nameless.test":
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if host == "lost.test":
        await asyncio.Event().wait()
    return [] if host == "addressless.test" else ["127.0.0.1"]


@contextlib.asynccontextmanager
async def places(certificate: tuple[str, str]) -> AsyncGenerator[dict[str, str]]:
    """The base URL of each place, whose path is empty."""
    async with contextlib.AsyncExitStack() as stack:
        closed, deaf = stack.enter_context(socket.socket()), stack.enter_context(socket.socket())
        for bound in (closed, deaf):
            bound.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
        over = asyncio.Event()
        stack.callback(over.set)

        async def greets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.test ESMTP\r\n")
            writer.close()

        async def cuts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"\x16\x03\x03\x00\x7a\x02")
            writer.close()

        async def waits(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        async def port(serve: Callable[..., object], context: ssl.SSLContext | None = None) -> int:
            server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)  # pyright: ignore[reportArgumentType] - either of its two forms
            stack.callback(server.close)
            return server.sockets[0].getsockname()[1]

        secured = await port(waits, tls)
        yield {
            "closed": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "deaf": f"http://127.0.0.1:{deaf.getsockname()[1]}",
            "nameless": "http://nameless.test:8000",
            "addressless": "http://addressless.test:8000",
            "lost": "http://lost.test:8000",
            "unsigned": f"https://127.0.0.1:{secured}",
            "plain": f"https://127.0.0.1:{await port(greets)}",
            "cut": f"https://127.0.0.1:{await port(cuts)}",
            "silent": f"https://127.0.0.1:{await port(waits)}",
            "speaks_tls": f"http://127.0.0.1:{secured}",
        }
        over.set()


def authority(url: str) -> str:
    return urlsplit(url).netloc
