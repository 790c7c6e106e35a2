"""OpenAI's official SDK, pointed at a stage: nothing of it is changed but the address and the key."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import openai

from tests.end_to_end.stage import KEY, Stage

_PROMPTS = itertools.count(1)


def prompt() -> str:
    """One of its own for each edit, since a refusal sticks to what was refused."""
    return f"Make the mug green, take {next(_PROMPTS)}"


@asynccontextmanager
async def client(stage: Stage, url: str | None = None, **settings: Any) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url or stage.url}/v1", api_key=KEY, **settings) as made:
        yield made


class SpoilingProxy:
    """Passes every request on to `target` and spoils the answers to the first `times` of them: `status` in the place
    of what came back, or the connection cut. What the gateway did with the request is done all the same."""

    def __init__(self, target: str, *, status: int | None, times: int = 1) -> None:
        self._host, self._port = target.removeprefix("http://").split(":")
        self._status, self._times = status, times
        self.requests = 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:"))
        body = await reader.readexactly(length)
        self.requests += 1
        answer = await self._passed_on(head, body)
        if self.requests > self._times:
            writer.write(answer)
        elif self._status is not None:
            writer.write(f"HTTP/1.1 {self._status} Spoilt\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _passed_on(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, int(self._port))
        first, _, rest = head.partition(b"\r\n")
        writer.write(first + b"\r\nconnection: close\r\n" + rest.replace(b"Connection: keep-alive\r\n", b"") + body)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer
