"""Edits through the whole gateway to a stand-in of each server, and to our own: a mask that arrives means what was
meant, and nothing of the server comes back."""

import base64
import io
from collections.abc import AsyncGenerator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from gateway.configuration import load
from gateway.local.app import create_app
from gateway.secret import key_hash
from gateway.server import serving
from tests.end_to_end.listening import listening
from tests.end_to_end.stage import eventually
from tests.engine import state_folder
from tests.openai_servers.stubs import RED, STUBS, Street

pytestmark = pytest.mark.asyncio(loop_scope="session")
KEY, SIZE = "kx_street", (64, 48)
PATHS = dict.fromkeys(STUBS, "/v1") | {"azure": ""}
PROVIDER = """\
[providers.{name}]
adapter = "openai_images"
profile = "{name}"
api_key = "file:stub.key"
base_url = "http://127.0.0.1:{port}/{name}{path}"
[providers.{name}.models.image]
id = "my-image"
tier = "standard"
price_usd = "0.05"
"""
REST = """\
[policies.street]
offers = [{offers}]
[teams.street]
policy = "street"
keys = [{{ hash = "{key}", scopes = ["edit", "read", "admin"] }}]
[state]
dir = "."
"""


OWN = """\
[providers.own]
adapter = "openai_images"
base_url = "http://127.0.0.1:{own}/v1"
gpu_second_usd = "0.0008"
gpu_most_usd = "0.01"
"""


class Gateway:
    def __init__(self, http: httpx.AsyncClient, street: Street) -> None:
        self._http, self.street = http, street

    async def quote(self, server: str) -> dict[str, Any]:
        body = {"prompt": "invert it", "images": [uri(PHOTO)], "models": [f"{server}/preview"], "tier": "preview"}
        return (await self._http.post("/v1/quotes", json=body)).json()

    async def spent_usd(self, offer: str) -> float:
        rows = (await self._http.get("/v1/usage", params={"by": "model"})).json()["data"]
        return sum(float(row["spent_usd"]) for row in rows if row["model"] == offer)

    async def servers(self) -> dict[str, Any]:
        listed = (await self._http.get("/admin/providers")).json()
        return {one["name"]: one["server"] for one in listed}

    async def edit(self, server: str, **fields: Any) -> httpx.Response:
        body = {
            "prompt": "Paint it red",
            "images": [uri(PHOTO)],
            "size": "model",
            "models": [f"{server}/image"],
            "output": {"delivery": "base64"},
            **fields,
        }
        return await self._http.post("/v1/edits", json=body)


def configured(folder: Path, port: int, own: int) -> Path:
    providers = [PROVIDER.format(name=name, port=port, path=path) for name, path in PATHS.items()]
    offers = ", ".join(f'"{name}/image"' for name in PATHS)
    file = folder / "kontext.toml"
    file.write_text("\n".join([*providers, OWN.format(own=own), REST.format(offers=offers, key=key_hash(KEY))]))
    (folder / "stub.key").write_text("stub-key")
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway() -> AsyncGenerator[Gateway]:
    street = Street()
    async with state_folder() as folder, listening(street) as port, listening(create_app()) as own:
        settings = load(configured(folder, port, own), {}, date(2026, 11, 25))
        headers = {"authorization": f"Bearer {KEY}", "prefer": "wait=30"}
        async with serving(settings) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
            yield Gateway(http, street)


def png(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


PHOTO = png(Image.new("RGB", SIZE, (10, 90, 200)))
SHAPE = Image.new("L", SIZE)  # what is to be edited, in white: off the middle, so that a turned mask shows
SHAPE.paste(255, (5, 3, 30, 20))


def by_alpha() -> bytes:
    """Transparent is edited; its colours say the opposite."""
    mask = Image.merge("RGB", [SHAPE.point([255 - value for value in range(256)])] * 3)
    mask.putalpha(SHAPE.point([255 - value for value in range(256)]))
    return png(mask)


def by_brightness() -> bytes:
    return png(SHAPE.convert("RGB"))


def by_one_bit() -> bytes:
    return png(SHAPE.convert("1"))


def by_palette() -> bytes:
    """Two colours alike, of which one is transparent."""
    mask = Image.new("P", SIZE)
    mask.putpalette([0, 0, 0, 0, 0, 0])
    mask.paste(1, mask=SHAPE)
    return png(mask, transparency=1)


MASKS = {"alpha": by_alpha(), "brightness": by_brightness(), "one bit": by_one_bit(), "palette": by_palette()}


def delivered(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    data = answer.json()["images"][0]["base64"]
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("server", ["openai", "azure", "vllm_omni", "sd_server"])
async def test_the_mask_means_the_same_at_every_server_pixel_by_pixel(gateway: Gateway, server: str, mask: str) -> None:
    made = delivered(await gateway.edit(server, mask=uri(MASKS[mask]), prompt=f"Paint it red: {mask}"))
    expected = Image.new("RGB", SIZE, (10, 90, 200))
    expected.paste(RED, mask=SHAPE)
    assert made.tobytes() == expected.tobytes()


async def test_a_server_that_ignores_masks_gets_none(gateway: Gateway) -> None:
    answer = await gateway.edit("sglang", mask=uri(MASKS["alpha"]))
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:kontext:problem:no_offer")
    assert not gateway.street.stubs["sglang"].edits


@pytest.mark.parametrize("server", STUBS)
async def test_a_picture_comes_back_and_nothing_of_the_server_with_it(gateway: Gateway, server: str) -> None:
    answer = await gateway.edit(server, size="1024x1024")
    assert delivered(answer).size == (1024, 1024)
    assert "secret" not in answer.text
    assert "LEAK" not in answer.text


@pytest.mark.parametrize("server", STUBS)
async def test_a_picture_in_webp_is_read_by_every_server(gateway: Gateway, server: str) -> None:
    """The one that cannot leaves it out and answers 200 with a picture of the prompt alone."""
    out = io.BytesIO()
    Image.open(io.BytesIO(PHOTO)).save(out, "WEBP", lossless=True)
    sent = f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
    size = "1024x768" if server in ("openai", "azure") else "model"
    made = delivered(await gateway.edit(server, images=[sent], size=size, prompt="Paint it in webp"))
    assert made.getpixel((5, 5)) == (10, 90, 200)


@pytest.mark.parametrize("server", ["openai", "azure"])
async def test_a_moderated_edit_is_refused(gateway: Gateway, server: str) -> None:
    refused = await gateway.edit(server, prompt=f"forbidden at {server}")
    assert (refused.status_code, refused.json()["edit"]["status"]) == (422, "refused")


async def test_a_prompt_that_would_set_the_engine_reaches_no_server_that_reads_it(gateway: Gateway) -> None:
    tag = '<sd_cpp_extra_args>{"steps": 1}</sd_cpp_extra_args>'
    answer = await gateway.edit("sd_server", prompt=f"Paint it red {tag}")
    assert answer.status_code == 422
    assert "leave the tag out" in answer.text


async def test_our_own_server_says_that_it_is_the_preview_and_is_sold_as_nothing_else(gateway: Gateway) -> None:
    tier = {"tier": "preview", "size": "auto", "prompt": "invert it"}
    assert delivered(await gateway.edit("own", models=["own/preview"], **tier)).size == SIZE
    refused = await gateway.edit("own", models=["own/kontext-dev"], **tier)
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:kontext:problem:no_offer_now")
    assert "its server runs the preview engine" in refused.text


async def test_an_operator_is_told_what_each_server_says(gateway: Gateway) -> None:
    servers = await gateway.servers()
    states = {name: said and said["state"] for name, said in servers.items()}
    own = dict.fromkeys(("vllm_omni", "sglang", "sd_server", "own"), "ready")
    assert states == {**own, "openai": None, "azure": None}, "whoever bills is not asked"
    assert servers["own"]["engine"] == "preview"


@pytest.mark.parametrize("server", ["openai", "azure"])
async def test_behind_a_bill_an_answer_that_proves_nothing_stays_unresolved_and_is_not_bought_again(
    gateway: Gateway, server: str
) -> None:
    other = next(name for name in ("openai", "azure") if name != server)
    before = len(gateway.street.stubs[other].edits)
    answer = await gateway.edit(server, prompt=f"vanish at {server}", models=[f"{server}/image", f"{other}/image"])
    assert (answer.status_code, answer.json()["edit"]["status"]) == (202, "unresolved")
    assert len(gateway.street.stubs[other].edits) == before


async def test_seconds_of_an_own_machine_are_quoted_booked_and_counted(gateway: Gateway) -> None:
    quoted = await gateway.quote("own")
    assert (quoted["candidates"][0]["price_usd"], quoted["worst_case_usd"]) == ("0.000400", "0.010000")
    answer = await gateway.edit("own", models=["own/preview"], tier="preview", size="auto", prompt="invert it again")
    cost = answer.json()["cost"]
    assert (cost["source"], cost["quoted_usd"]) == ("gpu_seconds", "0.000400")
    assert 0 < float(cost["usd"]) <= 0.01

    async def counted() -> bool:
        """In the ledger, which follows a moment later."""
        return await gateway.spent_usd("own/preview") >= float(cost["usd"])

    assert await eventually(counted)


@pytest.mark.parametrize("server", ["openai", "azure"])
async def test_an_empty_account_is_ours_to_mend(gateway: Gateway, server: str) -> None:
    """The last test here: the account is left alone from then on."""
    broke = (await gateway.edit(server, prompt="penniless")).json()["edit"]
    assert [attempt["outcome"] for attempt in broke["routing"]["attempts"]] == ["credit"]
    assert broke["cost"]["usd"] == "0.000000"
