"""A store whose answers get lost on the way."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def losing_replies(engine: str, folder: Path, is_lost: Callable[[bytes], bool]) -> AsyncGenerator[str]:
    """A socket before the engine that cuts the line after the engine did what a request asked for, where `is_lost`."""
    lost: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(engine)
        while request := await reader.read(1 << 20):
            up_writer.write(request)
            reply = await up_reader.read(1 << 20)
            if not reply.startswith(b"-") and is_lost(request):
                lost.append(request)
                break
            writer.write(reply)
        for end_ in (up_writer, writer):
            end_.close()
            await end_.wait_closed()

    server = await asyncio.start_unix_server(serve, folder / "proxy")
    async with server:
        yield str(folder / "proxy")
    assert lost
