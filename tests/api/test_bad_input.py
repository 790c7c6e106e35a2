"""Bad input: a problem that names the field and what to send instead; nothing is spent and nothing is started."""

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import pytest

from tests.end_to_end.stage import (
    EDIT_KEY,
    EXPIRED_KEY,
    KEY,
    OTHER_KEY,
    PHOTO,
    PHOTO_URI,
    READ_KEY,
    Stage,
    data_uri,
    picture,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(autouse=True)
async def nothing_is_spent_or_started(stage: Stage) -> AsyncGenerator[None]:
    yield
    assert stage.billed() == []
    assert stage.rehearsal.log.exchanges == ()


def assert_problem(
    response: httpx.Response, status: int, kind: str, *, field: str | None = None, says: str = ""
) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["type"], problem["status"]) == (f"urn:kontext:problem:{kind}", status)
    assert problem.get("field") == field
    assert says in f"{problem['detail']} {problem.get('expected', '')}"
    assert "Traceback" not in response.text
    return problem


TEXT_FILE = data_uri(b"just some text, and not a picture at all\n" * 40)
DEEP = "[" * 100_000

# what is sent beside a good prompt and a good picture -> the field that the problem names, and what it says
FIELDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown field": ({"promt": "x"}, "promt", "leave it out"),
    "an unknown field inside": ({"output": {"fromat": "png"}}, "output.fromat", "leave it out"),
    "a prompt of 1 character": ({"prompt": "x"}, "prompt", "length >= 2"),
    "a prompt of 3,001 characters": ({"prompt": "x" * 3001}, "prompt", "length <= 3000"),
    "no prompt": ({"prompt": None}, "prompt", "required"),
    "control characters": ({"prompt": "a\x00b"}, "prompt", "control characters"),
    "n = 0": ({"n": 0}, "n", ">= 1"),
    "n = 21": ({"n": 21}, "n", "<= 20"),
    "no picture": ({"images": []}, "images", "length >= 1"),
    "17 pictures": ({"images": [PHOTO_URI] * 17}, "images", "length <= 16"),
    "a text file as a picture": ({"images": [TEXT_FILE]}, "images[0]", "JPEG, PNG or WebP"),
    "broken base64": ({"images": ["data:image/png;base64,@@@"]}, "images[0]", "JPEG, PNG or WebP"),
    "a word as a picture": ({"images": ["photo.jpg"]}, "images[0]", "data URI"),
    "a file address": ({"images": ["file:///etc/passwd"]}, "images[0]", "http(s) URL"),
    "a private address": ({"images": ["http://10.1.2.3/a.png"]}, "images[0]", "not on the public internet"),
    "the metadata service": ({"images": ["http://169.254.169.254/latest"]}, "images[0]", "not on the public internet"),
    "an odd port": ({"images": ["http://127.0.0.1:1/a.png"]}, "images[0]", "port"),
    "a URL with a password": ({"images": ["http://a:b@example.org/a.png"]}, "images[0]", "password"),
    "a second picture that is bad": ({"images": [PHOTO_URI, TEXT_FILE]}, "images[1]", "JPEG, PNG or WebP"),
    "a bad size": ({"size": "huge"}, "size", "1392x752"),
    "a size of nothing": ({"size": "0x0"}, "size", "a side is 0"),
    "a size out of range": ({"size": "9000x9000"}, "size", "64 to 8192"),
    "a mask of another size": (
        {"mask": data_uri(picture(240, 160, "PNG", transparent=True), "image/png")},
        "mask",
        "480x320",
    ),
    "a mask that is no picture": ({"mask": TEXT_FILE}, "mask", "JPEG, PNG or WebP"),
    "an unknown format": ({"output": {"format": "gif"}}, "output.format", "one of png, jpeg, webp"),
    "an unknown delivery": ({"output": {"delivery": "pigeon"}}, "output.delivery", "one of base64, data_uri, url"),
    "a quality out of range": ({"output": {"quality": 100}}, "output.quality", "<= 99"),
    "an upload address without TLS": ({"output": {"upload_url": "http://a.example/x"}}, "output.upload_url", "https"),
    "a webhook under no endpoint": ({"webhook_url": "https://a.example/hook"}, "webhook_url", "POST /v1/webhooks"),
    "a webhook that is no address": ({"webhook_url": "hook"}, "webhook_url", "POST /v1/webhooks"),
    "an unknown policy": ({"policy": "nonsense"}, "policy", "cheapest"),
    "an unknown offer": ({"models": ["runware/kontext-ultra"]}, "models", "runware/kontext-pro"),
    "an unknown tier": ({"tier": "gold"}, "tier", "one of preview, draft, standard, premium"),
    "a cap that is no money": ({"max_cost_usd": "ten cents"}, "max_cost_usd", '"0.10"'),
    "a cap as a float": ({"max_cost_usd": 0.1}, "max_cost_usd", "str"),
    "a negative cap": ({"max_cost_usd": "-1"}, "max_cost_usd", '"0.10"'),
    "a deadline of nothing": ({"deadline_s": 0}, "deadline_s", "> 0"),
    "a deadline of hours": ({"deadline_s": 3600}, "deadline_s", "<= 900"),
    "brackets for metadata": ({"metadata": [[[]]]}, "metadata", "`object`"),
    "a negative seed": ({"seed": -1}, "seed", ">= 0"),
    "a safety out of range": ({"safety": 7}, "safety", "<= 6"),
    "an unknown provider's options": ({"options": {"nobody": {}}}, "options.nobody", "leave it out"),
    "an unknown option": ({"options": {"runware": {"schedular": "x"}}}, "options.runware.schedular", "leave it out"),
    "metadata without a name": ({"metadata": {"": "x"}}, "metadata", "length >= 1"),
    "a word that an option does not know": (
        {"options": {"runflow": {"aspect_ratio": "round"}}},
        "options.runflow.aspect_ratio",
        "square_hd",
    ),
    "too much metadata": ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata", "length <= 16"),
}


@pytest.mark.parametrize("what", FIELDS)
async def test_a_wrong_field_is_named_with_what_to_send_instead(stage: Stage, what: str) -> None:
    fields, field, says = FIELDS[what]
    problem = assert_problem(await stage.post(**fields), 422, "invalid", field=field, says=says)
    assert problem["retryable"] is False
    assert problem["expected"]


async def test_an_address_that_cannot_be_fetched_is_told_without_its_ports(stage: Stage) -> None:
    for page, says in (
        (f"{stage.closed_url}/a.png", "could not be fetched"),
        (f"{stage.pictures_url}/nothing", "answered 404"),
        (f"{stage.pictures_url}/page.html", "JPEG, PNG or WebP"),
    ):
        assert_problem(await stage.post(images=[page]), 422, "invalid", field="images[0]", says=says)


# what no offer of the policy can do -> the field that all of them object to
NO_OFFER: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "5 reference pictures": ({"images": [PHOTO_URI] * 5}, "images", "at most"),
    "a price cap below every price": ({"max_cost_usd": "0.01"}, "max_cost_usd", "0.04"),
    "a cap for one of two pictures": ({"max_cost_usd": "0.05", "n": 2}, "max_cost_usd", "0.08"),
    "a deadline that nothing meets": ({"deadline_s": 0.01}, "deadline_s", ""),
    "a tier above every offer": ({"tier": "premium"}, "tier", ""),
    "a mask": ({"mask": data_uri(picture(kind="PNG", transparent=True), "image/png"), "strict": True}, "mask", ""),
}


@pytest.mark.parametrize("what", NO_OFFER)
async def test_what_no_offer_can_do_is_refused_with_every_reason(stage: Stage, what: str) -> None:
    fields, field, says = NO_OFFER[what]
    problem = assert_problem(await stage.post(**fields), 422, "no_offer", field=field, says=says)
    assert {one["offer"] for one in problem["exclusions"]} == {"runware/kontext-pro", "runflow/kontext-pro"}
    assert all(one["reason"] and one["why"] for one in problem["exclusions"])


async def test_a_strict_size_that_needs_adjusting_is_refused(stage: Stage) -> None:
    """As it is, it would be adjusted: see the adjustments."""
    assert_problem(await stage.post(size="512x512", strict=True), 422, "no_offer", field="size")


# a raw body -> status, kind, what the problem says
BODIES: dict[str, tuple[bytes, str, int, str, str]] = {
    "100,000 brackets": (DEEP.encode(), "application/json", 422, "invalid", "object"),
    "nothing": (b"", "application/json", 400, "malformed", "JSON"),
    "half an object": (b'{"prompt": ', "application/json", 400, "malformed", "JSON"),
    "invalid UTF-8": (b'{"prompt": "\xff\xfe", "images": ["a"]}', "application/json", 400, "malformed", "UTF-8"),
    "a list": (b"[]", "application/json", 422, "invalid", "object"),
    "XML": (b"<edit/>", "application/xml", 415, "unsupported_media_type", "multipart/form-data"),
    "a form without a boundary": (b"abc", "multipart/form-data", 400, "malformed", ""),
}


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_that_cannot_be_read_is_refused(stage: Stage, what: str) -> None:
    body, content_type, status, kind, says = BODIES[what]
    response = await stage.request("POST", "/v1/edits", content=body, headers={"content-type": content_type})
    field = "the body" if kind == "invalid" else None
    assert_problem(response, status, kind, field=field, says=says)


async def test_a_body_over_the_limit_is_refused(stage: Stage) -> None:
    body = json.dumps({"prompt": "xx", "images": ["data:image/png;base64," + "A" * 65_000_000]})
    response = await stage.request("POST", "/v1/edits", content=body, headers={"content-type": "application/json"})
    assert_problem(response, 413, "too_large", says="smaller")


FORMS: dict[str, tuple[dict[str, str], Callable[[], list[tuple[str, tuple[str, bytes]]]], str, str]] = {
    "no picture": ({"prompt": "Make it blue"}, list, "images", "required"),
    "a text file": ({"prompt": "Make it blue"}, lambda: [("image", ("a.jpg", b"words"))], "images[0]", "JPEG, PNG"),
    "a file for a word": (
        {"prompt": "Make it blue"},
        lambda: [("image", ("a.jpg", PHOTO)), ("size", ("b.jpg", PHOTO))],
        "size",
        "file",
    ),
    "two forms of pictures": (
        {"prompt": "Make it blue", "images": PHOTO_URI},
        lambda: [("image", ("a.jpg", PHOTO))],
        "images",
        "one or the other",
    ),
    "n as a word": ({"prompt": "Make it blue", "n": "two"}, lambda: [("image", ("a.jpg", PHOTO))], "n", "int"),
    "options that are no JSON": (
        {"prompt": "Make it blue", "options": "{runware"},
        lambda: [("image", ("a.jpg", PHOTO))],
        "options",
        "JSON",
    ),
    "100,000 brackets as options": (
        {"prompt": "Make it blue", "options": DEEP},
        lambda: [("image", ("a.jpg", PHOTO))],
        "options",
        "JSON",
    ),
    "an unknown field": ({"prompt": "Make it blue", "promt": "x"}, lambda: [("image", ("a.jpg", PHOTO))], "promt", ""),
}


@pytest.mark.parametrize("what", FORMS)
async def test_a_wrong_form_is_refused_like_wrong_json(stage: Stage, what: str) -> None:
    data, files, field, says = FORMS[what]
    parts = [*((name, (None, text.encode())) for name, text in data.items()), *files()]
    response = await stage.request("POST", "/v1/edits", files=parts)
    assert_problem(response, 422, "invalid", field=field, says=says)


# --- who may, and what is there ---------------------------------------------------------------------------------------

KEYS = {
    "no key": (None, 401, "unauthorized"),
    "a wrong key": ("kx_wrong", 401, "unauthorized"),
    "an expired key": (EXPIRED_KEY, 401, "unauthorized"),
    "a key that only reads": (READ_KEY, 403, "forbidden"),
}


@pytest.mark.parametrize("what", KEYS)
async def test_without_the_right_key_nothing_is_edited(stage: Stage, what: str) -> None:
    key, status, kind = KEYS[what]
    response = await stage.post(key=key)
    assert_problem(response, status, kind)
    assert ("www-authenticate" in response.headers) == (status == 401)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/edits/edit_x", "/v1/edits/edit_x/images/0", "/metrics"])
async def test_reading_needs_a_key_that_reads(stage: Stage, path: str) -> None:
    assert_problem(await stage.get(path, key=None), 401, "unauthorized")
    assert_problem(await stage.get(path, key=EDIT_KEY), 403, "forbidden", says="read")


@pytest.mark.parametrize("scheme", ["Basic", "", "bearerkx_all"])
async def test_a_key_of_another_scheme_is_no_key(stage: Stage, scheme: str) -> None:
    response = await stage.get("/v1/models", key=None, headers={"authorization": f"{scheme} {KEY}".strip()})
    assert_problem(response, 401, "unauthorized")


async def test_a_key_that_is_not_ascii_is_no_key(stage: Stage) -> None:
    response = await stage.http.get(stage.url + "/v1/models", headers={b"authorization": b"Bearer k\xff\xfe"})
    assert_problem(response, 401, "unauthorized")


ADDRESSES = {
    "an unknown route": ("GET", "/v1/nothing", 404, "not_found"),
    "the root": ("GET", "/", 404, "not_found"),
    "a wrong method": ("PUT", "/v1/edits", 405, "method_not_allowed"),
    "a wrong method of a picture": ("POST", "/v1/edits/edit_x/images/0", 405, "method_not_allowed"),
    "a picture that is no number": ("GET", "/v1/edits/edit_x/images/first", 404, "not_found"),
    "a negative picture": ("GET", "/v1/edits/edit_x/images/-1", 404, "not_found"),
    "an unknown edit": ("GET", "/v1/edits/edit_00000000-0000-7000-8000-000000000000", 404, "not_found"),
    "no edit's id": ("GET", "/v1/edits/../../etc", 404, "not_found"),
    "a very long id": ("GET", "/v1/edits/edit_" + "a" * 4000, 404, "not_found"),
    "a key of the store": ("GET", "/v1/edits/{kontext}:replicas", 404, "not_found"),
}


@pytest.mark.parametrize("what", ADDRESSES)
async def test_what_is_not_there_is_a_problem_too(stage: Stage, what: str) -> None:
    method, path, status, kind = ADDRESSES[what]
    response = await stage.request(method, path)
    assert_problem(response, status, kind)
    assert ("allow" in response.headers) == (status == 405)


async def test_a_foreign_edit_and_an_unknown_one_are_answered_alike(stage: Stage) -> None:
    accepted = await stage.post(policy="preview", tier="preview")
    assert accepted.status_code == 200
    edit_id = accepted.json()["id"]
    unknown = "edit_00000000-0000-7000-8000-000000000000"
    for path in ("/v1/edits/{}", "/v1/edits/{}/images/0"):
        foreign = await stage.get(path.format(edit_id), key=OTHER_KEY)
        missing = await stage.get(path.format(unknown), key=OTHER_KEY)
        assert_problem(foreign, 404, "not_found")
        assert (foreign.content, foreign.headers.items() - missing.headers.items()) == (missing.content, set())
