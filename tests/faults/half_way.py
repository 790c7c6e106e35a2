"""A wire that breaks off: it passes on what comes, but of the first submit only half, and then stands still."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class HalfWay:
    """`reached` is set when half of a submit has passed; connections made later are passed on whole."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname and parts.port
        self._host, self._port = parts.hostname, parts.port
        self.reached = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, onward]
        back = asyncio.create_task(_pump(there, writer))
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            onward.write(head)
            if head.startswith(b"POST") and not self.reached.is_set():
                onward.write(await reader.readexactly(_length(head) // 2))
                await onward.drain()
                self.reached.set()
                await reader.read()  # the rest, which goes nowhere, until the caller is gone
            else:
                await _pump(reader, onward)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            onward.close()
            await back
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
    except ConnectionError:
        writer.close()


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return int(next(line for line in lines if line.startswith(b"content-length:")).split(b":")[1])


@asynccontextmanager
async def half_way(target: str) -> AsyncGenerator[tuple[HalfWay, str]]:
    wire = HalfWay(target)
    server = await asyncio.start_server(wire.handle, "127.0.0.1", 0)
    async with server:
        yield wire, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
