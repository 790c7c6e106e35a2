"""Upload once, use in many edits; and an edit of an edit."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.end_to_end.stage import (
    EDIT_KEY,
    KEY,
    OTHER_KEY,
    PHOTO,
    PHOTO_URI,
    READ_KEY,
    UPLOADER_KEY,
    Stage,
    data_uri,
    picture,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

PREVIEW: dict[str, Any] = {"policy": "preview", "prompt": "Make it black and white"}
UNKNOWN = "img_" + "0" * 32
UNKNOWN_EDIT = "edit_01980000-0000-7000-8000-000000000000"


async def uploaded(stage: Stage, data: bytes = PHOTO, **more: Any) -> dict[str, Any]:
    response = await stage.request("POST", "/v1/images", files={"image": ("photo.jpg", data)}, **more)
    assert response.status_code == 201, response.text
    return response.json()


# --- in, shown, forgotten ---------------------------------------------------------------------------------------------


async def test_the_same_picture_by_whichever_way_is_the_same_upload(stage: Stage) -> None:
    bodies: list[dict[str, Any]] = [
        {"files": {"image": ("photo.jpg", PHOTO)}},
        {"files": {"image": (None, PHOTO_URI)}},
        {"content": PHOTO, "headers": {"content-type": "image/jpeg"}},
        {"json": {"image": PHOTO_URI}},
        {"json": {"image": f"{stage.pictures_url}/photo.jpg"}},
    ]
    answers = [await stage.request("POST", "/v1/images", key=EDIT_KEY, **body) for body in bodies]
    assert {one.status_code for one in answers} == {201}, [one.text for one in answers]
    upload = answers[-1].json()
    assert (upload["width"], upload["height"], upload["format"]) == (480, 320, "jpeg")
    assert upload["id"] == f"img_{upload['sha256'][:32]}"
    assert {one.json()["id"] for one in answers} == {upload["id"]}
    assert answers[0].headers["location"] == f"/v1/images/{upload['id']}"
    shown = await stage.get(f"/v1/images/{upload['id']}", key=READ_KEY)
    assert (shown.status_code, shown.json()) == (200, upload)


async def test_it_is_kept_for_a_day_after_its_last_use(stage: Stage) -> None:
    first = await uploaded(stage, picture(50, 40))
    created, expires = (datetime.fromisoformat(first[name]) for name in ("created_at", "expires_at"))
    assert expires - created == timedelta(days=1)
    path = f"/v1/images/{first['id']}"
    assert (await stage.get(path)).json() == first, "a look is no use"
    await stage.edit(**PREVIEW, images=[first["id"]])
    used = (await stage.get(path)).json()
    assert used["expires_at"] > first["expires_at"]
    assert used["created_at"] == first["created_at"]


async def test_one_that_was_deleted_is_unknown_and_its_edits_stay(stage: Stage) -> None:
    upload = await uploaded(stage, picture(60, 40))
    edit = await stage.edit(**PREVIEW, images=[upload["id"]])
    path = f"/v1/images/{upload['id']}"
    gone = await stage.request("DELETE", path, key=EDIT_KEY)
    assert (gone.status_code, gone.content) == (204, b"")
    assert [(await stage.request(method, path)).status_code for method in ("GET", "DELETE")] == [404, 404]
    assert (await stage.post(**PREVIEW, images=[upload["id"]])).status_code == 422
    assert (await stage.http.get(edit["images"][0]["url"])).status_code == 200
    assert (await uploaded(stage, picture(60, 40)))["id"] == upload["id"], "it may come again"


# --- used -------------------------------------------------------------------------------------------------------------


async def test_an_upload_does_in_an_edit_what_its_picture_does(stage: Stage) -> None:
    upload = await uploaded(stage)
    direct = await stage.edit(**PREVIEW)
    by_json = await stage.edit(**PREVIEW, images=[upload["id"]])
    by_form = await stage.request("POST", "/v1/edits", files={**_text(PREVIEW), "image": (None, upload["id"])})
    assert by_form.status_code == 200, by_form.text
    digests = {one["images"][0]["sha256"] for one in (direct, by_json, by_form.json())}
    assert len(digests) == 1


def _text(fields: dict[str, Any]) -> dict[str, tuple[None, str]]:
    """As fields of a multipart form."""
    return {name: (None, text) for name, text in fields.items()}


async def test_a_mask_and_a_picture_inside_options_may_be_uploads(stage: Stage) -> None:
    photo, mask = await uploaded(stage), await uploaded(stage, picture(480, 320, "PNG", transparent=True))
    body = {**PREVIEW, "images": [photo["id"]], "mask": mask["id"]}
    quote = await stage.request("POST", "/v1/quotes", json=body)
    assert quote.status_code == 200, quote.text
    small = await uploaded(stage, picture(20, 20))
    wrong = await stage.request("POST", "/v1/quotes", json={**body, "mask": small["id"]})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "mask")
    adapters = [{"model": "runware:55@1", "guideImages": [photo["id"]]}]
    guided = {**body, "mask": None, "options": {"runware": {"ipAdapters": adapters}}}
    assert (await stage.request("POST", "/v1/quotes", json=guided)).status_code == 200


async def test_a_provider_is_sent_the_upload_as_it_is_sent_the_picture(stage: Stage) -> None:
    upload = await uploaded(stage)
    for image in (PHOTO_URI, upload["id"]):
        await stage.edit(prompt="Make the mug red", images=[image])
    sent = [exchange.bytes_in for exchange in stage.rehearsal.log.of("runware", "submit")]
    assert sent[0] == sent[1] > len(PHOTO)


async def test_openais_file_id_names_an_upload_and_an_edits_picture(stage: Stage) -> None:
    upload, edit = await uploaded(stage), await stage.edit(**PREVIEW)
    for file_id in (upload["id"], f"{edit['id']}/0"):
        body = {"prompt": "Blur it", "model": "policy:preview", "images": [{"file_id": file_id}]}
        answer = await stage.request("POST", "/v1/images/edits", json=body)
        assert answer.status_code == 200, answer.text
    body = {"prompt": "Blur it", "model": "policy:preview", "images": [{"file_id": "file-abc"}]}
    assert (await stage.request("POST", "/v1/images/edits", json=body)).status_code == 400


async def test_an_edit_of_an_edit_begins_with_the_picture_that_was_delivered(stage: Stage) -> None:
    first = await stage.edit(**PREVIEW)
    second = await stage.edit(policy="preview", prompt="Blur it", images=[f"{first['id']}/0"])
    delivered = (await stage.http.get(first["images"][0]["url"])).content
    again = await stage.edit(policy="preview", prompt="Blur it", images=[data_uri(delivered, "image/png")])
    assert second["images"][0]["sha256"] == again["images"][0]["sha256"]
    kept = await stage.request("POST", "/v1/images", json={"image": f"{first['id']}/0"})
    assert (kept.status_code, kept.json()["sha256"]) == (201, hashlib.sha256(delivered).hexdigest())


async def test_a_repeat_is_the_same_request_even_when_its_upload_is_gone(stage: Stage) -> None:
    upload, headers = await uploaded(stage, picture(70, 40)), {"idempotency-key": "by-reference"}
    body: dict[str, Any] = {**PREVIEW, "images": [upload["id"]], "headers": headers}
    first = await stage.edit(**body)
    await stage.request("DELETE", f"/v1/images/{upload['id']}")
    again = await stage.post(**body)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    body["images"] = [PHOTO_URI]
    other = await stage.post(**body)
    assert (other.status_code, other.json()["type"]) == (422, "urn:kontext:problem:key_reused")


async def test_the_same_upload_of_two_teams_is_two(stage: Stage) -> None:
    mine, theirs = await uploaded(stage), await uploaded(stage, key=OTHER_KEY)
    path = f"/v1/images/{theirs['id']}"
    assert mine["id"] == theirs["id"]
    assert (await stage.request("DELETE", path, key=OTHER_KEY)).status_code == 204
    assert [(await stage.get(path, key=key)).status_code for key in (KEY, OTHER_KEY)] == [200, 404]


# --- refused ----------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_named_is_refused_alike_whyever(stage: Stage) -> None:
    theirs = await stage.edit(**PREVIEW, key=OTHER_KEY)
    foreign = (await uploaded(stage, picture(80, 40), key=OTHER_KEY))["id"]
    mine = await stage.edit(**PREVIEW)
    stage.rehearsal.faults.add("runware", "moderated_on_submit", times=1)
    refused = (await stage.post()).json()["edit"]["id"]
    stage.rehearsal.faults.add("runware", "slow", seconds=1.0, times=1)
    going = (await stage.post(headers={"prefer": "respond-async"})).json()["id"]
    named = [
        *(UNKNOWN, foreign, "img_", "img_*", UNKNOWN.upper().replace("IMG", "img"), f"{UNKNOWN}\n"),
        *(f"{UNKNOWN_EDIT}/0", f"{theirs['id']}/0", f"{refused}/0", f"{going}/0"),
        *(mine["id"], f"{mine['id']}/1", f"{mine['id']}/-1", f"{mine['id']}/²", f"{mine['id']}/0/0", "edit_"),
    ]
    answers = [await stage.post(**PREVIEW, images=[reference]) for reference in named]
    assert {(one.status_code, one.content) for one in answers} == {(422, answers[0].content)}
    problem = answers[0].json()
    assert (problem["type"], problem["field"]) == ("urn:kontext:problem:invalid", "images[0]")
    assert "img_" in problem["expected"]
    masked = await stage.post(**PREVIEW, mask=foreign)
    assert (masked.status_code, masked.json()["field"]) == (422, "mask")
    await stage.ended(going)


AS_PNG = {"headers": {"content-type": "image/png"}}
# body -> the status and the field that it is refused with
REFUSED: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "no picture": ({"content": b"GIF89a", **AS_PNG}, 422, "image"),
    "nothing": ({"content": b"", **AS_PNG}, 422, "image"),
    "an empty object": ({"json": {}}, 422, "image"),
    "another field": ({"json": {"image": PHOTO_URI, "name": "x"}}, 422, "name"),
    "no JSON": ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, None),
    "another type": ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415, None),
    "two files": ({"files": [("image", PHOTO), ("image", PHOTO)]}, 422, "image"),
    "a file by another name": ({"files": {"file": PHOTO}}, 422, "file"),
    "a private address": ({"json": {"image": "http://127.0.0.1:1/x.png"}}, 422, "image"),
    "a file of this machine": ({"json": {"image": "file:///etc/passwd"}}, 422, "image"),
    "another upload": ({"json": {"image": UNKNOWN}}, 422, "image"),
    "more than a picture may have": ({"content": b"\xff" * 20_000_001, **AS_PNG}, 422, "image"),
    "more than a body may have": ({"content": b"\xff" * 30_000_001, **AS_PNG}, 413, None),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_is_no_picture_is_refused_by_its_field(stage: Stage, what: str) -> None:
    body, status, field = REFUSED[what]
    response = await stage.request("POST", "/v1/images", **body)
    problem = response.json()
    assert (response.status_code, problem.get("field")) == (status, field), problem
    assert field is None or problem["expected"]


async def test_an_upload_counts_as_a_request_of_its_key(stage: Stage) -> None:
    answers = [
        await stage.request("POST", "/v1/images", key=UPLOADER_KEY, files={"image": ("photo.jpg", PHOTO)})
        for _ in range(3)
    ]
    assert [one.status_code for one in answers] == [201, 201, 429]
    assert answers[0].headers["ratelimit"]
