"""Servers that speak OpenAI's protocol with an accent, through the engine: each stand-in has its server's quirks, built
from that server's documents."""

import base64
import re
from collections.abc import Callable

import pytest

from adapters.contract import HttpReply
from gateway.state.records import Status
from tests.engine_path.script import LOCAL, Request, as_json
from tests.engine_path.stage import RESULT, Stage

PICTURE = {"b64_json": base64.b64encode(RESULT).decode()}
_FIELD = re.compile(rb'name="([^"]+)"(?:; filename="[^"]*")?\r\n(?:[^\r\n]+\r\n)*\r\n([^\r]*)')


def fields(request: Request) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in _FIELD.findall(request.body)}


def vllm_omni(request: Request) -> HttpReply:
    """Base64 alone; FastAPI's errors."""
    if fields(request).get("response_format") != "b64_json":
        return as_json(400, {"detail": "only b64_json is supported"})
    return as_json(200, {"created": 1, "data": [PICTURE], "size": "52x36"})


def sglang(request: Request) -> HttpReply:
    """A path on its own disk, the prompt once more, and an address of its own unless base64 is asked for."""
    told = {"file_path": "/srv/outputs/secret.png", "revised_prompt": "LEAK"}
    if fields(request).get("response_format") != "b64_json":
        return as_json(200, {"id": "1", "data": [{"url": "/v1/images/1/content", **told}]})
    return as_json(200, {"id": "1", "data": [{**PICTURE, **told}], "peak_memory_mb": 1.0})


def sd_server(request: Request) -> HttpReply:
    """Skips a picture that it does not find, and refuses any output but two."""
    sent = fields(request)
    if "image[]" not in sent or sent.get("output_format") not in {"png", "jpeg"}:
        return as_json(400, {"error": "invalid request"})
    return as_json(200, {"created": 1, "output_format": "png", "data": [PICTURE]})


@pytest.mark.parametrize("server", [vllm_omni, sglang, sd_server], ids=lambda server: server.__name__)
async def test_a_picture_comes_back_and_nothing_of_the_server_with_it(
    stage: Stage, server: Callable[[Request], HttpReply]
) -> None:
    replica = stage.replica(local=f'profile = "{server.__name__}"')
    stage.script.at(LOCAL, server)
    record = await replica.run("local/kontext-dev")
    assert record.status is Status.SUCCEEDED
    assert record.end is not None
    assert [(image.width, image.height) for image in record.end.images] == [(52, 36)]
    assert "secret" not in repr(record)
    assert "LEAK" not in repr(record)
