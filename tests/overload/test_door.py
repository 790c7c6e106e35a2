"""What has no room is refused before its body is read, and of one team sooner than of the others."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import msgspec
import pytest

from gateway.settings import BODY_BYTES
from tests.end_to_end.stage import KEY, OTHER_KEY, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

OURS = 7
"""Bodies of the largest size of which one team may begin: then 64 of 512 MB are free."""


class Caller:
    """Somebody who announces a body and sends none of it."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def answer(self) -> tuple[int, dict[str, str], dict[str, object]]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self._reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, msgspec.json.decode(body, type=dict[str, object])


@asynccontextmanager
async def announced(
    stage: Stage, *, size: str = f"content-length: {BODY_BYTES}", path: str = "/v1/edits", key: str = KEY
) -> AsyncGenerator[Caller]:
    place = urlsplit(stage.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\n{size}\r\n\r\n".encode()
    )
    await writer.drain()
    try:
        yield Caller(reader)
    finally:
        writer.close()
        await writer.wait_closed()


async def held(stage: Stage, count: int) -> None:
    """Waits until so many of them are inside."""
    while True:
        page = (await stage.get("/metrics")).text
        line = next(line for line in page.splitlines() if line.startswith("kontext_picture_bytes_held "))
        if float(line.split()[1]) == count * BODY_BYTES:
            return


@asynccontextmanager
async def crowd(stage: Stage, count: int) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(announced(stage))
        await held(stage, count)
        yield
    await held(stage, 0)


async def test_a_team_over_its_share_is_told_so_before_its_body_is_read_and_others_are_served(stage: Stage):
    async with crowd(stage, OURS):
        async with announced(stage) as caller:
            status, headers, problem = await caller.answer()
        assert (status, problem["type"], problem["retryable"]) == (429, "urn:kontext:problem:over_share", True)
        assert 1 <= int(headers["retry-after"]) <= 60
        theirs = await stage.post(key=OTHER_KEY)
        assert theirs.status_code == 200, theirs.text
    assert (await stage.post()).status_code == 200, "and whoever was refused may come again"


async def test_a_full_gateway_refuses_everybody(stage: Stage):
    async with crowd(stage, OURS), announced(stage, key=OTHER_KEY):
        await held(stage, OURS + 1)
        refused = await stage.post(key=OTHER_KEY)
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:kontext:problem:overloaded")
        assert refused.headers["retry-after"].isdigit()
        async with announced(stage, path="/v1/images/edits") as caller:
            status, headers, document = await caller.answer()
        assert (status, headers["x-should-retry"]) == (503, "true")
        assert isinstance(document["error"], dict), "in the words of whoever asks there"


async def test_a_body_that_does_not_tell_its_length_counts_as_the_largest(stage: Stage):
    async with announced(stage, size="transfer-encoding: chunked"):
        await held(stage, 1)
    await held(stage, 0)


async def test_a_quote_needs_room_for_its_pictures_too(stage: Stage):
    async with crowd(stage, OURS), announced(stage, path="/v1/quotes") as caller:
        status, _, _ = await caller.answer()
        assert status == 429
