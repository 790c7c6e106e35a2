"""Somebody who is told by webhook: a web server that keeps what it is sent, and answers as it was told to."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec import Struct
from standardwebhooks import Webhook


class Received(Struct, frozen=True):
    """One request. `verified` reads it as its receiver should: with the library of the standard."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        return Webhook(secret).verify(self.body, self.headers)

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Receiver:
    """`answers`: by path, the statuses of the next requests there; 204 when none is left. `says`: by path, the header
    lines and the body of every answer there."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: defaultdict[str, deque[int]] = defaultdict(deque)
        self.says: dict[str, tuple[str, bytes]] = {}
        self.received: list[Received] = []
        self._hanging: set[str] = set()
        self._go_on = asyncio.Event()
        self._news = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def serve(cls) -> AsyncGenerator["Receiver"]:
        receiver = cls()
        server = await asyncio.start_server(receiver._answer, "127.0.0.1", 0)
        receiver.port = server.sockets[0].getsockname()[1]
        async with server:
            yield receiver

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]

    def hang(self, path: str) -> None:
        """Whoever posts there waits, until they are let go."""
        self._hanging.add(path)
        self._go_on.clear()

    def let_go(self) -> None:
        self._hanging.clear()
        self._go_on.set()

    async def told(self, path: str, count: int = 1, within_s: float = 15.0) -> list[Received]:
        """What came to `path`, once there are so many."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: len(self.at(path)) >= count)
        return self.at(path)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = lines[0].split(" ")[1]
        async with self._news:
            self.received.append(Received(path, headers, body))
            self._news.notify_all()
        if path in self._hanging:
            await self._go_on.wait()
        status = self.answers[path].popleft() if self.answers[path] else 204
        lines, said = self.says.get(path, ("", b""))
        head = f"HTTP/1.1 {status} As told\r\n{lines}content-length: {len(said)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + said)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
