"""A caller who waits for its edit keeps no body in memory: two thousand of them wait at once."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import httpx
import msgspec
from litestar import Litestar, post

from gateway.api.requests import AnyRequest, read_body
from tests.copies import Copies
from tests.end_to_end.stage import data_uri

NOISE = random.Random(2).randbytes(100_000)
HALF = 60_000
DOCUMENT = msgspec.json.encode({"prompt": "Make it blue", "images": [data_uri(NOISE)]})


async def left_by(read: Callable[[AnyRequest], Awaitable[object]], **sent: Any) -> int:
    """How many copies more are alive once a handler has read the body of a request and let go of what it read."""
    left, copies = list[int](), Copies(NOISE)

    @post("/")
    async def handler(request: AnyRequest) -> None:
        before = copies.count()
        await read(request)
        left.append(copies.count() - before)

    transport = httpx.ASGITransport(cast("Any", Litestar([handler])))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        await http.post("/", **sent)
    return left[0]


async def in_two_pieces() -> AsyncGenerator[bytes]:
    yield DOCUMENT[:HALF]
    yield DOCUMENT[HALF:]


async def test_nothing_refers_to_a_json_body_once_it_is_read() -> None:
    json = {"content-type": "application/json"}
    assert await left_by(AnyRequest.body, content=in_two_pieces(), headers=json), "the scan sees what is kept"
    assert await left_by(read_body, content=in_two_pieces(), headers=json) == 0


async def test_nothing_refers_to_a_file_of_a_form_once_it_is_read() -> None:
    sent = {"data": {"prompt": "Make it blue"}, "files": {"image": ("a.png", NOISE)}}
    assert await left_by(AnyRequest.body, **sent), "the scan sees what is kept"
    assert await left_by(read_body, **sent) == 0
