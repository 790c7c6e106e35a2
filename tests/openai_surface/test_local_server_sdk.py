"""OpenAI's own Python SDK against the local server, without the gateway between them."""

import base64
import io
from asyncio import create_task, to_thread
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from threading import Event
from typing import Any

import openai
import pytest
from PIL import Image

from gateway.local.app import Config, create_app
from gateway.local.engine import Ask, Engine, Rendered
from gateway.local.preview import Preview
from tests.end_to_end.listening import listening
from tests.end_to_end.stage import PHOTO

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def sdk(engine: Engine | None = None, config: Config | None = None) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with (
        listening(create_app(engine, config)) as port,
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as made,
    ):
        yield made


@pytest.mark.parametrize("image", [PHOTO, [PHOTO]], ids=["one", "list of one"])
async def test_a_photograph_is_edited(image: Any) -> None:
    async with sdk() as client:
        answer = await client.images.edit(model="preview", image=image, prompt="Make it grayscale", size="512x512")
    assert answer.data
    with Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json or ""))) as made:
        assert (made.format, made.size, answer.size) == ("PNG", (512, 512), "512x512")
        colour, grey = made.convert("RGB").crop((200, 200, 300, 300)), made.convert("L").crop((200, 200, 300, 300))
        assert colour.tobytes() == grey.convert("RGB").tobytes(), "grey away from the stamp"


async def test_refusals_come_as_the_typed_errors_that_its_users_catch() -> None:
    async with sdk() as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.images.edit(model="gpt-image-1", image=PHOTO, prompt="Make it grayscale")
        with pytest.raises(openai.BadRequestError) as two:
            await client.images.edit(model="preview", image=[PHOTO, PHOTO], prompt="Make it grayscale")
    assert (unknown.value.param, unknown.value.code, two.value.param) == ("model", "model_not_found", "image")


class Held(Preview):
    """Works on its first picture until it is let go."""

    def __init__(self) -> None:
        self.began, self.go_on = Event(), Event()

    def render(self, ask: Ask) -> Rendered:
        self.began.set()
        assert self.go_on.wait(20)
        return super().render(ask)


async def test_a_full_server_says_when_to_come_back() -> None:
    engine = Held()
    async with sdk(engine, Config(workers=1, waiting=0)) as client:
        first = create_task(client.images.edit(model="preview", image=PHOTO, prompt="Make it grayscale"))
        try:
            assert await to_thread(engine.began.wait, 20)
            with pytest.raises(openai.RateLimitError) as busy:
                await client.images.edit(model="preview", image=PHOTO, prompt="Make it grayscale")
        finally:
            engine.go_on.set()
        assert (await first).data, "the one inside is not disturbed"
    assert (busy.value.code, busy.value.response.headers["retry-after"]) == ("busy", "1")
