"""A server of one's own that tells how far its model is: an edit's events tell it to whoever waits."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from datetime import date
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from gateway.configuration import load
from gateway.secret import key_hash
from gateway.server import serving
from tests.end_to_end.listening import listening
from tests.engine import state_folder

pytestmark = pytest.mark.asyncio(loop_scope="session")
KEY = "kx_steps"
CONFIGURATION = """\
[providers.local]
base_url = "http://127.0.0.1:{port}/v1"
[policies.ours]
tier = "draft"
offers = ["local/kontext-dev"]
[teams.steps]
policy = "ours"
keys = ["{key}"]
[state]
dir = "."
"""
Message = MutableMapping[str, Any]


def png() -> str:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (10, 90, 200)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


class Model:
    """`kontext local` with a model that is at step 3 of 28 until it is let go: an ASGI app."""

    def __init__(self) -> None:
        self.go, self.edits = asyncio.Event(), list[str]()

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        while (await receive()).get("more_body"):
            pass
        if scope["path"] == "/health":
            told = {edit: {"state": "running", "step": 3, "steps": 28} for edit in self.edits}
            body = {"status": "ready", "engine": "kontext-dev", "queue": {"running": len(told)}, "edits": told}
        else:
            self.edits.append(dict(scope["headers"])[b"x-edit-id"].decode())
            await self.go.wait()
            body = {"created": 1, "data": [{"b64_json": png()}]}
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@pytest_asyncio.fixture(loop_scope="session")
async def model() -> Model:
    return Model()


@pytest_asyncio.fixture(loop_scope="session")
async def http(model: Model) -> AsyncGenerator[httpx.AsyncClient]:
    async with state_folder() as folder, listening(model) as port:
        file = folder / "kontext.toml"
        file.write_text(CONFIGURATION.format(port=port, key=key_hash(KEY)))
        headers = {"authorization": f"Bearer {KEY}"}
        settings = load(file, {}, date(2026, 11, 25))
        async with serving(settings) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
            yield client


async def test_progress_tells_the_steps_of_the_attempt_that_runs(http: httpx.AsyncClient, model: Model) -> None:
    document = {"prompt": "Paint it red", "images": [f"data:image/png;base64,{png()}"]}
    begun = (await http.post("/v1/edits", json=document, headers={"prefer": "respond-async"})).json()
    async with http.stream("GET", f"/v1/edits/{begun['id']}/events") as events:
        lines = (line.removeprefix("data: ") async for line in events.aiter_lines() if line.startswith("data: {"))
        found = (json.loads(line) async for line in lines)
        try:
            async with asyncio.timeout(20):
                told = await anext(event async for event in found if "steps" in event)
        finally:
            model.go.set()
        assert (told["offer"], told["step"], told["steps"]) == ("local/kontext-dev", 3, 28)
        final = [event async for event in found][-1]
    assert (final["status"], len(model.edits)) == ("succeeded", 1)
