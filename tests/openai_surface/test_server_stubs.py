"""OpenAI's own SDK, and its Azure client, against our stand-ins of the servers: what they send and read agrees with
what the stand-ins want and say."""

import io

import httpx2
import openai
import pytest
from PIL import Image

from tests.openai_servers.stubs import STUBS, Azure, OpenAI, Street, painted

pytestmark = pytest.mark.asyncio(loop_scope="session")


def png(mode: str, colour: tuple[int, ...], size: tuple[int, int] = (64, 48)) -> io.BytesIO:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG")
    out.name = "picture.png"
    out.seek(0)
    return out


def client(name: str, street: Street) -> openai.AsyncOpenAI:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=street))
    if name == "azure":
        return openai.AsyncAzureOpenAI(
            azure_endpoint="http://street/azure", api_version="2025-04-01-preview", api_key="stub-key",
            max_retries=0, http_client=http,
        )  # fmt: skip
    return openai.AsyncOpenAI(base_url=f"http://street/{name}/v1", api_key="stub-key", max_retries=0, http_client=http)


@pytest.mark.parametrize("name", STUBS)
async def test_the_official_client_gets_its_picture(name: str) -> None:
    street = Street()
    fields = {"response_format": "b64_json"} if name in ("sglang", "vllm_omni") else {}
    answer = await client(name, street).images.edit(
        model="my-image", image=[png("RGB", (1, 2, 3))], prompt="Paint it red", extra_body=fields
    )
    assert answer.data
    assert answer.data[0].b64_json == painted(Image.new("RGB", (64, 48), (1, 2, 3)), None)


@pytest.mark.parametrize("name", ["openai", "azure"])
async def test_the_official_clients_mask_is_read(name: str) -> None:
    answer = await client(name, Street()).images.edit(
        model="my-image",
        image=png("RGB", (1, 2, 3)),
        mask=png("RGBA", (0, 0, 0, 0)),
        prompt="Paint it red",
        size="1024x1024",
        quality="low",
    )
    assert answer.data
    assert answer.data[0].b64_json == painted(Image.new("RGB", (1024, 1024), (255, 0, 0)), None)


@pytest.mark.parametrize("stub", [OpenAI, Azure])
async def test_its_refusals_are_the_clients_typed_errors(stub: type[OpenAI]) -> None:
    edit = client("azure" if stub is Azure else "openai", Street()).images.edit
    with pytest.raises(openai.BadRequestError) as moderated:
        await edit(model="my-image", image=png("RGB", (1, 2, 3)), prompt="forbidden")
    with pytest.raises(openai.RateLimitError) as broke:
        await edit(model="my-image", image=png("RGB", (1, 2, 3)), prompt="penniless")
    with pytest.raises(openai.BadRequestError) as bare:
        await edit(model="my-image", image=b"no name and no type", prompt="Paint it red")
    codes = [moderated.value.code, broke.value.code, bare.value.code]
    assert codes == ["moderation_blocked", "insufficient_quota", "unsupported_file_mimetype"]
