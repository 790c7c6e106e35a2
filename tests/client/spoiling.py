"""A proxy on a socket that spoils answers as it was told, one by one, and passes everything else on."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

from msgspec import Struct


class Instead(Struct, frozen=True):
    """An answer in the place of the gateway's, which never sees the request."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Cut(Struct, frozen=True):
    """The gateway does its work, and the connection is cut once its answer has come as far as `at`."""

    at: bytes = b""


class Spoiling:
    """`targets`: gateways that take turns, one a request; `script`: what happens to the first answers, None for
    nothing."""

    def __init__(self, targets: tuple[str, ...], script: tuple[Instead | Cut | None, ...] = ()) -> None:
        self._targets, self._script = list(targets), iter(script)
        self.heads: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def sent(self, name: str) -> list[str]:
        """A header's values, request by request; '' where it was not sent."""
        return [next(_values(head, name), "") for head in self.heads]

    def move(self, targets: tuple[str, ...]) -> None:
        self._targets = list(targets)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        body = await reader.readexactly(int(next(_values(head, "content-length"), "0")))
        self.heads.append(head)
        spoil = next(self._script, None)
        if isinstance(spoil, Instead):
            writer.write(_written(spoil))
        else:
            await self._passed_on(head, body, writer, spoil)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _passed_on(self, head: str, body: bytes, writer: asyncio.StreamWriter, cut: Cut | None) -> None:
        target = self._targets[(len(self.heads) - 1) % len(self._targets)]
        host, port = target.removeprefix("http://").split(":")
        reader, onward = await asyncio.open_connection(host, int(port))
        first, _, rest = head.partition("\r\n")
        rest = "".join(line for line in rest.splitlines(keepends=True) if not line.lower().startswith("connection:"))
        onward.write(f"{first}\r\nconnection: close\r\n{rest}".encode("latin-1") + body)
        passed = b""
        while chunk := await reader.read(65536):
            passed += chunk
            if cut is not None and cut.at in passed:
                writer.write(chunk[: len(chunk) - len(passed) + passed.index(cut.at) + len(cut.at)] if cut.at else b"")
                break
            writer.write(chunk)
        onward.close()
        await onward.wait_closed()


def _values(head: str, name: str) -> Iterator[str]:
    for line in head.splitlines()[1:]:
        key, _, value = line.partition(":")
        if key.strip().lower() == name:
            yield value.strip()


def _written(answer: Instead) -> bytes:
    fields = [*answer.headers, ("content-length", str(len(answer.body))), ("connection", "close")]
    lines = [f"HTTP/1.1 {answer.status} Spoilt", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body
