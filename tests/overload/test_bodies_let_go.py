"""A caller who waits for its edit keeps no body in memory: two thousand of them wait at once."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import httpx
import msgspec
from litestar import Litestar, post

from gateway.api.requests import AnyRequest, read_body
from tests.end_to_end.stage import data_uri
from tests.engine_path.test_waiting_memory import LARGE, large_values

NOISE = random.Random(1).randbytes(2 * LARGE)
DOCUMENT = msgspec.json.encode({"prompt": "Make it blue", "images": [data_uri(NOISE)]})


async def left_by(read: Callable[[AnyRequest], Awaitable[object]], **sent: Any) -> set[int]:
    """What large values more are alive once a handler has read the body of a request and let go of what it read."""
    left: list[set[int]] = []

    @post("/")
    async def handler(request: AnyRequest) -> None:
        before = large_values().keys()
        await read(request)
        left.append(large_values().keys() - before)

    transport = httpx.ASGITransport(cast("Any", Litestar([handler])))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        await http.post("/", **sent)
    return left[0]


async def in_two_pieces() -> AsyncGenerator[bytes]:
    yield DOCUMENT[:LARGE]
    yield DOCUMENT[LARGE:]


async def test_nothing_refers_to_a_json_body_once_it_is_read() -> None:
    json = {"content-type": "application/json"}
    assert await left_by(AnyRequest.body, content=in_two_pieces(), headers=json), "the scan sees what is kept"
    assert await left_by(read_body, content=in_two_pieces(), headers=json) == set()


async def test_nothing_refers_to_a_file_of_a_form_once_it_is_read() -> None:
    sent = {"data": {"prompt": "Make it blue"}, "files": {"image": ("a.png", NOISE)}}
    assert await left_by(AnyRequest.body, **sent), "the scan sees what is kept"
    assert await left_by(read_body, **sent) == set()
