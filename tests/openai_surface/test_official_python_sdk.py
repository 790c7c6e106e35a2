"""OpenAI's own Python SDK edits pictures here, unchanged but for its address and its key."""

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from tests.end_to_end.stage import KEY, PHOTO, PHOTO_URI, Stage, picture
from tests.openai_surface.client import SpoilingProxy, client, prompt

pytestmark = pytest.mark.asyncio(loop_scope="session")

MASK = picture(kind="PNG", transparent=True)


def opened(b64: str | None) -> Image.Image:
    assert b64
    with Image.open(io.BytesIO(base64.b64decode(b64))) as image:
        image.load()
        return image


@pytest.mark.parametrize("form", ["bytes", "file", "named", "list of two"])
async def test_a_picture_comes_in_every_form_that_the_sdk_takes(stage: Stage, tmp_path: Path, form: str) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(PHOTO)
    forms: dict[str, Any] = {
        "bytes": PHOTO,
        "file": file,
        "named": ("photo.jpg", PHOTO, "image/jpeg"),
        "list of two": [PHOTO, picture(64, 64)],
    }
    async with client(stage) as sdk:
        answer = await sdk.images.edit(model="gpt-image-1", image=forms[form], prompt=prompt())
    assert answer.data
    made = opened(answer.data[0].b64_json)
    assert (made.format, answer.size, answer.output_format) == ("PNG", f"{made.width}x{made.height}", "png")
    assert stage.billed() == ["runware/kontext-pro"]


async def test_the_answer_says_what_it_cost_and_who_made_it(stage: Stage) -> None:
    async with client(stage) as sdk:
        raw = await sdk.images.with_raw_response.edit(model="standard", image=PHOTO, prompt=prompt())
    ours = (raw.parse().model_extra or {})["kontext"]
    edit = (await stage.get(f"/v1/edits/{ours['edit']}")).json()
    assert (edit["status"], ours["cost_usd"], ours["provider"]) == ("succeeded", "0.040000", "runware")
    assert raw.headers["x-kontext-edit-id"] == ours["edit"]
    assert raw.headers["x-kontext-model"] == "runware/kontext-pro"
    assert raw.headers["x-kontext-cost-usd"] == "0.040000"
    assert raw.headers["x-request-id"]


async def test_a_picture_comes_out_as_an_address(stage: Stage) -> None:
    async with client(stage) as sdk:
        answer = await sdk.images.edit(image=PHOTO, prompt=prompt(), response_format="url", n=2, output_format="webp")
    assert answer.data
    assert len(answer.data) == 2
    for one in answer.data:
        assert one.url
        assert one.b64_json is None
        fetched = await stage.http.get(one.url)
        assert fetched.headers["content-type"] == "image/webp"


async def test_a_mask_is_honoured_where_an_offer_can(stage: Stage) -> None:
    """The preview inverts inside the mask alone: its left half."""
    async with client(stage) as sdk:
        answer = await sdk.images.edit(model="policy:preview", image=picture(kind="PNG"), mask=MASK, prompt="Invert it")
    assert answer.data
    made, before = opened(answer.data[0].b64_json).convert("RGB"), picture(kind="PNG")
    original = Image.open(io.BytesIO(before)).convert("RGB")
    assert made.getpixel((400, 50)) == original.getpixel((400, 50))
    assert made.getpixel((100, 50)) != original.getpixel((100, 50))


async def test_a_mask_that_no_offer_takes_is_a_clear_400(stage: Stage) -> None:
    async with client(stage) as sdk:
        with pytest.raises(openai.BadRequestError) as refused:
            await sdk.images.edit(image=PHOTO, mask=MASK, prompt=prompt())
    assert (refused.value.param, refused.value.code) == ("mask", "no_offer")
    assert stage.rehearsal.log.exchanges == ()


async def test_the_synchronous_sdk_does_the_same(stage: Stage) -> None:
    def edit() -> Any:
        with openai.OpenAI(base_url=f"{stage.url}/v1", api_key=KEY) as sdk:
            return sdk.images.edit(model="flux-kontext-max", image=PHOTO, prompt=prompt(), size="1248x832")

    answer = await asyncio.to_thread(edit)
    assert answer.size == "1248x832"
    assert stage.billed() == ["runware/kontext-max"]


async def test_a_stream_ends_with_completed(stage: Stage) -> None:
    async with client(stage) as sdk:
        stream: Any = await sdk.images.edit(image=PHOTO, prompt=prompt(), n=2, stream=True, partial_images=2)
        events = [event async for event in stream]
    assert [event.type for event in events] == ["image_edit.completed"] * 2
    assert all(opened(event.b64_json).format == "PNG" for event in events)
    assert events[0].kontext["adjustments"][0]["field"] == "partial_images"
    assert len(stage.billed()) == 1


async def test_a_stream_of_a_refused_edit_ends_with_an_error(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "moderated_on_poll", times=1)
    async with client(stage) as sdk:
        stream: Any = await sdk.images.edit(image=PHOTO, prompt=prompt(), stream=True)
        with pytest.raises(openai.APIError) as refused:
            _ = [event async for event in stream]
    assert refused.value.code == "moderation_blocked"


async def test_a_refusal_is_told_as_openai_tells_it_and_not_repeated(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "moderated_on_submit", times=1)
    async with client(stage) as sdk:
        with pytest.raises(openai.BadRequestError) as refused:
            await sdk.images.edit(image=PHOTO, prompt=prompt())
    assert (refused.value.code, refused.value.type) == ("moderation_blocked", "image_generation_user_error")
    assert refused.value.request_id
    assert not stage.contacted("runflow")


async def test_what_is_not_known_at_the_end_is_a_504_that_nobody_repeats(stage: Stage) -> None:
    stage.rehearsal.faults.add("runflow", "reset_before_accept", times=1)
    async with client(stage) as sdk:
        with pytest.raises(openai.InternalServerError) as late:
            await sdk.images.edit(model="policy:runflow", image=PHOTO, prompt=prompt())
    assert (late.value.status_code, late.value.code) == (504, "unresolved")
    assert late.value.response.headers["x-should-retry"] == "false"
    body: Any = late.value.body
    edit = (await stage.get(f"/v1/edits/{body['edit_id']}")).json()
    assert edit["status"] == "unresolved"
    assert stage.submits()["runflow"] == 1


async def test_an_answer_that_comes_too_late_is_a_504_with_the_edits_id(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=2.0, times=1)
    headers = {"x-stainless-read-timeout": "3"}
    async with client(stage) as sdk:
        with pytest.raises(openai.InternalServerError) as late:
            await sdk.images.edit(image=PHOTO, prompt=prompt(), extra_headers=headers)
    body: Any = late.value.body
    assert late.value.status_code == 504
    assert (await stage.ended(body["edit_id"]))["status"] == "succeeded"
    assert len(stage.billed()) == 1


@pytest.mark.parametrize("status", [500, 429, None], ids=["500", "429", "cut"])
async def test_the_sdks_own_repeats_lead_to_one_edit_and_one_charge(stage: Stage, status: int | None) -> None:
    proxy = SpoilingProxy(stage.url, status=status)
    async with proxy.running() as url, client(stage, url) as sdk:
        answer = await sdk.images.with_raw_response.edit(image=PHOTO, prompt=prompt())
    assert answer.headers["idempotency-replayed"] == "true"
    assert proxy.requests == 2
    assert stage.billed() == ["runware/kontext-pro"]
    assert stage.submits()["runware"] == 1


async def test_our_own_fields_come_through_extra_body(stage: Stage) -> None:
    extra = {
        "tier": "draft",
        "policy": "cheapest",
        "max_cost_usd": "0.05",
        "seed": 7,
        "guidance": 2.5,
        "metadata": {"campaign": "spring"},
        "options": {"runware": {"scheduler": "Euler"}},
    }
    async with client(stage) as sdk:
        answer: Any = await sdk.images.edit(image=PHOTO, prompt=prompt(), user="u-1", extra_body=extra)
    edit = (await stage.get(f"/v1/edits/{answer.kontext['edit']}")).json()
    assert (edit["model"], edit["metadata"]) == ("kontext-dev", {"campaign": "spring", "user": "u-1"})
    assert answer.kontext["adjustments"] == []
    assert answer.data[0].seed == 7


async def test_json_says_the_same_as_a_form(stage: Stage) -> None:
    body = {"model": "gpt-image-1", "prompt": prompt(), "images": [{"image_url": PHOTO_URI}], "quality": "medium"}
    async with client(stage) as sdk:
        answer = await sdk.post("/images/edits", body=body, cast_to=openai.types.ImagesResponse)
    assert answer.data
    assert opened(answer.data[0].b64_json).format == "PNG"


async def test_the_sdk_lists_what_can_be_bought(stage: Stage) -> None:
    async with client(stage) as sdk:
        found = {model.id: model async for model in sdk.models.list()}
    pro = found["runware/kontext-pro"]
    assert (pro.object, pro.owned_by, pro.created) == ("model", "runware", 1752192000)


async def test_the_sdk_retrieves_one_of_them_by_its_name(stage: Stage) -> None:
    async with client(stage) as sdk:
        pro = await sdk.models.retrieve("runware/kontext-pro")
        with pytest.raises(openai.NotFoundError) as unknown:
            await sdk.models.retrieve("gpt-5")
    assert (pro.id, pro.object, pro.owned_by, pro.created) == ("runware/kontext-pro", "model", "runware", 1752192000)
    assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")


# model or fields -> the exception, its param and its code
REFUSED: dict[str, tuple[dict[str, Any], type[openai.APIStatusError], str | None, str]] = {
    "an unknown model": ({"model": "gpt-5"}, openai.NotFoundError, "model", "model_not_found"),
    "an unknown field": ({"extra_body": {"style": "x"}}, openai.BadRequestError, "style", "invalid"),
    "a transparent background": ({"background": "transparent"}, openai.BadRequestError, "background", "invalid"),
    "a format of others": ({"output_format": "gif"}, openai.BadRequestError, "output_format", "invalid"),
    "n = 30": ({"n": 30}, openai.BadRequestError, "n", "invalid"),
    "a size of nothing": ({"size": "0x0"}, openai.BadRequestError, "size", "invalid"),
    "two tiers": ({"model": "premium", "extra_body": {"tier": "draft"}}, openai.BadRequestError, "tier", "invalid"),
    "17 pictures": ({"image": [PHOTO] * 17}, openai.BadRequestError, "image", "invalid"),
    "5 pictures": ({"image": [PHOTO] * 5}, openai.BadRequestError, "image", "no_offer"),
    "words as a picture": ({"image": b"words"}, openai.BadRequestError, "image[0]", "invalid"),
    "strict": (
        {"background": "opaque", "extra_body": {"strict": True}},
        openai.BadRequestError,
        "background",
        "invalid",
    ),
    "no money": ({"extra_body": {"max_cost_usd": "0.01"}}, openai.BadRequestError, "max_cost_usd", "no_offer"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_cannot_be_done_is_refused_before_money_moves(stage: Stage, what: str) -> None:
    fields, error, param, code = REFUSED[what]
    async with client(stage, max_retries=0) as sdk:
        with pytest.raises(error) as refused:
            sent: dict[str, Any] = {"image": PHOTO, "prompt": prompt(), **fields}
            await sdk.images.edit(**sent)
    assert (refused.value.param, refused.value.code) == (param, code)
    assert refused.value.request_id
    assert stage.rehearsal.log.exchanges == ()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/images/edits", 405, "method_not_allowed"),
        ("POST", "/v1/images/edits/x", 404, "not_found"),
        ("POST", "/v1/images/generations", 405, "method_not_allowed"),  # as an upload's id, it can be read
    ],
)
async def test_the_frameworks_own_refusals_have_the_shape_too(
    stage: Stage, method: str, path: str, status: int, code: str
) -> None:
    response = await stage.request(method, path)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["type"]) == (status, code, "invalid_request_error")
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers["x-should-retry"] == "false"


async def test_a_key_that_is_none_is_an_authentication_error(stage: Stage) -> None:
    async with openai.AsyncOpenAI(base_url=f"{stage.url}/v1", api_key="kx_none", max_retries=0) as sdk:
        with pytest.raises(openai.AuthenticationError) as refused:
            await sdk.images.edit(image=PHOTO, prompt=prompt())
    assert refused.value.code == "invalid_api_key"


async def test_a_body_over_the_limit_has_the_shape_too(stage: Stage) -> None:
    headers = {"content-type": "application/json"}
    response = await stage.request("POST", "/v1/images/edits", content=b" " * 65_000_000, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")
