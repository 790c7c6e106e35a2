"""The HTTP surface, as its callers see it: ways in, ways to wait, pictures out, and what stands beside the edits."""

import asyncio
import base64
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from gateway.cli.throwaway import in_folder
from gateway.configuration import load
from tests.end_to_end.stage import (
    EDIT_KEY,
    OTHER_KEY,
    PHOTO,
    PROMPT,
    READ_KEY,
    Stage,
    cost_micro,
    data_uri,
    picture,
    state_folder,
    story,
    today,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

PREVIEW = {"policy": "preview", "prompt": "Make it black and white"}


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


# --- ways in ----------------------------------------------------------------------------------------------------------


async def test_a_picture_comes_by_data_uri_by_url_or_as_a_file(stage: Stage) -> None:
    by_data = await stage.edit(**PREVIEW)
    by_url = await stage.edit(**PREVIEW, images=[f"{stage.pictures_url}/photo.jpg"])
    form = await stage.request("POST", "/v1/edits", data=PREVIEW, files=[("image", ("photo.jpg", PHOTO))])
    assert form.status_code == 200, form.text
    digests = {answer["images"][0]["sha256"] for answer in (by_data, by_url, form.json())}
    assert len(digests) == 1


async def test_a_form_says_the_same_as_json(stage: Stage) -> None:
    data = {
        "prompt": PROMPT,
        "n": "2",
        "strict": "false",
        "output.format": "webp",
        "models": '["runware/kontext-pro"]',
        "metadata": '{"campaign": "spring"}',
        "options": '{"runware": {"scheduler": "Euler"}}',
        "max_cost_usd": "0.10",
    }
    response = await stage.request("POST", "/v1/edits", data=data, files=[("image", ("photo.jpg", PHOTO))])
    answer = response.json()
    assert response.status_code == 200, response.text
    assert [image["format"] for image in answer["images"]] == ["webp", "webp"]
    assert (answer["metadata"], answer["model"]) == ({"campaign": "spring"}, "kontext-pro")
    assert (cost_micro(answer), stage.billed_micro()) == (80_000, 80_000)
    assert [one["field"] for one in answer["adjustments"]] == ["options.runware.scheduler"]


async def test_two_pictures_reach_an_offer_that_takes_two(stage: Stage) -> None:
    other = data_uri(picture(64, 64))
    answer = await stage.edit(images=[data_uri(PHOTO), other])
    assert story(answer) == [("runware/kontext-pro", "done")]
    (excluded,) = [one for one in answer["routing"]["candidates"] if "excluded" in one]
    assert (excluded["offer"], excluded["field"]) == ("runflow/kontext-pro", "images")


# --- ways to wait -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [("respond-async", "respond-async"), ("wait=0", "wait=0"), ("handling=lenient, wait=0", "wait=0")],
)
async def test_a_caller_who_does_not_wait_gets_the_address(stage: Stage, prefer: str, applied: str) -> None:
    accepted = await stage.post(headers={"prefer": prefer})
    assert accepted.headers["preference-applied"] == applied
    begun = accepted.json()
    assert (accepted.status_code, begun["status"], begun["finished_at"]) == (202, "running", None)
    assert accepted.headers["location"] == f"/v1/edits/{begun['id']}"
    assert (accepted.headers["retry-after"], accepted.headers["x-should-retry"]) == ("1", "false")
    ended = await stage.ended(begun["id"])
    assert (ended["status"], ended["provider"]) == ("succeeded", "runware")


async def test_a_caller_whose_wait_is_over_gets_the_address_and_the_edit_goes_on(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=1.5)
    accepted = await stage.post(headers={"prefer": "wait=1"})
    assert (accepted.status_code, accepted.json()["status"]) == (202, "running")
    assert accepted.headers["preference-applied"] == "wait=1"
    assert (await stage.ended(accepted.json()["id"]))["status"] == "succeeded"


async def test_what_was_preferred_is_named_by_every_answer_to_an_edit(stage: Stage) -> None:
    assert "preference-applied" not in (await stage.post(policy="preview")).headers
    waited = await stage.post(policy="preview", headers={"prefer": "wait=30"})
    assert (waited.status_code, waited.headers["preference-applied"]) == (200, "wait=30")
    stage.rehearsal.faults.add("runware", "moderated_on_submit", times=1)
    refused = await stage.post(headers={"prefer": "wait=30"})
    assert (refused.status_code, refused.headers["preference-applied"]) == (422, "wait=30")


async def test_the_answer_of_a_waiting_caller_is_what_get_shows_afterwards(stage: Stage) -> None:
    answer = await stage.edit(metadata={"a": "b"})
    response = await stage.get(f"/v1/edits/{answer['id']}", key=READ_KEY)
    assert (response.status_code, response.json()) == (200, answer)


# --- pictures out -----------------------------------------------------------------------------------------------------

FORMATS = {"png": ("PNG", "image/png"), "jpeg": ("JPEG", "image/jpeg"), "webp": ("WEBP", "image/webp")}


@pytest.mark.parametrize("policy", ["runware", "runflow", "preview"])
async def test_the_picture_has_the_format_that_was_asked_for(stage: Stage, policy: str) -> None:
    prompt = "Make it black and white"
    edits = (stage.edit(policy=policy, prompt=prompt, output={"format": wanted}) for wanted in FORMATS)
    for answer, (wanted, (kind, media_type)) in zip(await asyncio.gather(*edits), FORMATS.items(), strict=True):
        (image,) = answer["images"]
        fetched = await stage.http.get(image["url"])
        assert (image["format"], fetched.headers["content-type"]) == (wanted, media_type)
        made = opened(fetched.content)
        assert (made.format, made.size) == (kind, (image["width"], image["height"]))
        assert image["bytes"] == len(fetched.content) == int(fetched.headers["content-length"])


@pytest.mark.parametrize("delivery", ["base64", "data_uri"])
async def test_the_picture_can_come_inside_the_answer(stage: Stage, delivery: str) -> None:
    answer = await stage.edit(**PREVIEW, output={"delivery": delivery, "format": "jpeg"})
    (image,) = answer["images"]
    head, _, data = image[delivery].rpartition(",")
    assert head == ("data:image/jpeg;base64" if delivery == "data_uri" else "")
    assert opened(base64.b64decode(data)).format == "JPEG"
    assert image["url"] is None
    assert image["base64" if delivery == "data_uri" else "data_uri"] is None


async def test_a_signed_address_works_without_a_key_and_only_as_it_was_signed(stage: Stage) -> None:
    answer = await stage.edit(**PREVIEW)
    url = answer["images"][0]["url"]
    good = await stage.http.get(url)
    assert good.status_code == 200
    assert good.headers["x-content-type-options"] == "nosniff"
    expires = url.partition("expires=")[2].partition("&")[0]
    tampered = [
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace(f"expires={expires}", f"expires={int(expires) + 1}"),
        url.replace(f"expires={expires}", "expires=1"),
        url.replace(f"expires={expires}", "expires=²"),
        url.replace("/images/0", "/images/1"),
        url.partition("&signature")[0] + "&signature=",
        url.partition("&signature")[0] + "&signature=%ff%fe",
    ]
    for one in tampered:
        response = await stage.http.get(one)
        assert (response.status_code, response.json()["type"]) == (404, "urn:kontext:problem:not_found"), one


async def test_a_key_of_the_team_fetches_the_picture_too(stage: Stage) -> None:
    answer = await stage.edit(**PREVIEW)
    path = f"/v1/edits/{answer['id']}/images/0"
    assert (await stage.get(path, key=READ_KEY)).status_code == 200
    for key, status in ((None, 401), (EDIT_KEY, 403), (OTHER_KEY, 404)):
        assert (await stage.get(path, key=key)).status_code == status
    assert (await stage.get(f"/v1/edits/{answer['id']}/images/1")).status_code == 404


async def test_nothing_of_the_caller_or_the_camera_is_left_in_the_picture(stage: Stage) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "Camera of somebody"
    opened(PHOTO).save(out, "JPEG", exif=exif)
    answer = await stage.edit(**PREVIEW, images=[data_uri(out.getvalue())], output={"format": "jpeg"})
    fetched = await stage.http.get(answer["images"][0]["url"])
    assert b"Camera of somebody" not in fetched.content


# --- what is asked and what is sent -----------------------------------------------------------------------------------


async def test_what_cannot_be_sent_as_asked_is_told(stage: Stage) -> None:
    answer = await stage.edit(size="512x512", negative_prompt="no people", steps=20, models=["runware/kontext-pro"])
    told = {one["field"]: (one["asked"], one["sent"]) for one in answer["adjustments"]}
    assert told["size"] == ("512x512", "1024x1024")
    assert told["negative_prompt"][1] is None
    assert told["steps"] == ("20", None)
    assert all(one["why"] for one in answer["adjustments"])
    assert answer["sent"]["size"] == "1024x1024"


@pytest.mark.parametrize("fields", [{"size": "512x512"}, {"negative_prompt": "no people"}, {"steps": 20}])
async def test_strict_refuses_what_would_be_adjusted(stage: Stage, fields: dict[str, Any]) -> None:
    response = await stage.post(strict=True, models=["runware/kontext-pro"], **fields)
    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, "urn:kontext:problem:no_offer")
    assert {one["reason"] for one in problem["exclusions"] if one["offer"] == "runware/kontext-pro"} != set()
    assert not stage.contacted("runware")


# request -> the offer that is bought. The policy `cheapest` has dev, pro and max of Runware; `max_first` max, then pro.
CHOICES: dict[str, tuple[dict[str, Any], str]] = {
    "the cheapest of all": ({"policy": "cheapest"}, "runware/kontext-dev"),
    "the cheapest above a floor": ({"policy": "cheapest", "tier": "standard"}, "runware/kontext-pro"),
    "the only one above a floor": ({"policy": "cheapest", "tier": "premium"}, "runware/kontext-max"),
    "the first of a list": ({"policy": "max_first"}, "runware/kontext-max"),
    "the first under a cap": ({"policy": "max_first", "max_cost_usd": "0.05"}, "runware/kontext-pro"),
    "the one that was named": ({"models": ["runflow/kontext-max"]}, "runflow/kontext-max"),
    "one that can do what was asked": ({"policy": "cheapest", "safety": 2}, "runware/kontext-pro"),
}


async def test_tier_price_and_ability_choose_the_offer(stage: Stage) -> None:
    answers = await asyncio.gather(*(stage.edit(**fields) for fields, _ in CHOICES.values()))
    for answer, (what, (_, offer)) in zip(answers, CHOICES.items(), strict=True):
        assert f"{answer['provider']}/{answer['model']}" == offer, what
        assert answer["cost"]["quoted_usd"] == answer["cost"]["usd"], what
        ranked = [one["offer"] for one in answer["routing"]["candidates"] if "rank" in one]
        assert ranked[0] == offer, what
    assert sorted(stage.billed()) == sorted(offer for _, offer in CHOICES.values())
    assert sum(cost_micro(answer) for answer in answers) == stage.billed_micro()


async def test_an_exclusion_says_why(stage: Stage) -> None:
    answer = await stage.edit(policy="max_first", max_cost_usd="0.05")
    (excluded,) = [one for one in answer["routing"]["candidates"] if "excluded" in one]
    assert (excluded["offer"], excluded["field"]) == ("runware/kontext-max", "max_cost_usd")
    assert "0.08" in excluded["why"]


# --- beside the edits -------------------------------------------------------------------------------------------------


async def test_models_lists_what_can_be_bought_with_its_price(stage: Stage) -> None:
    document = (await stage.get("/v1/models", key=READ_KEY)).json()
    offers = {one["id"]: one for one in document["data"]}
    assert {"runware/kontext-pro", "runflow/kontext-max", "local/preview"} <= set(offers)
    pro = offers["runware/kontext-pro"]
    assert (pro["tier"], pro["prices"][0]["usd"], pro["billed"]) == ("standard", "0.040000", True)
    assert pro["policies"] == ["cheapest", "max_first", "runflow", "runware", "silent"]
    assert pro["abilities"]["n"] == 20
    assert (offers["local/preview"]["tier"], offers["local/preview"]["billed"]) == ("preview", False)


@pytest.mark.parametrize("name", ["runware/kontext-pro", "runware%2Fkontext-pro"])
async def test_a_model_is_shown_by_its_name_as_the_list_shows_it(stage: Stage, name: str) -> None:
    listed = (await stage.get("/v1/models", key=READ_KEY)).json()["data"]
    shown = await stage.get(f"/v1/models/{name}", key=READ_KEY)
    assert shown.status_code == 200
    assert [shown.json()] == [one for one in listed if one["id"] == "runware/kontext-pro"]


@pytest.mark.parametrize("name", ["gpt-5", "runware", "runware/kontext-pro/x", "..%2Fhealthz"])
async def test_a_model_that_is_none_is_named_with_those_there_are(stage: Stage, name: str) -> None:
    refused = await stage.get(f"/v1/models/{name}", key=READ_KEY)
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (404, "urn:kontext:problem:not_found")
    assert "runware/kontext-pro" in problem["expected"]


async def test_health_needs_no_key(stage: Stage) -> None:
    assert (await stage.get("/healthz", key=None)).json() == {"status": "ok"}
    ready = await stage.get("/readyz", key=None)
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


OPERATIONS = {
    ("post", "/v1/edits"),
    ("get", "/v1/edits/{edit_id}"),
    ("get", "/v1/edits/{edit_id}/images/{number}"),
    ("post", "/v1/images/edits"),
    ("post", "/v1/images"),
    ("get", "/v1/images/{image_id}"),
    ("delete", "/v1/images/{image_id}"),
    ("post", "/v1/quotes"),
    ("get", "/v1/models"),
    ("get", "/v1/models/{model_id}"),
    ("get", "/v1/usage"),
    ("get", "/v1/edits"),
    ("delete", "/v1/edits/{edit_id}"),
    ("delete", "/v1/edits/{edit_id}/content"),
    ("get", "/v1/edits/{edit_id}/events"),
    ("post", "/v1/webhooks"),
    ("get", "/v1/webhooks"),
    ("get", "/v1/webhooks/{endpoint_id}"),
    ("delete", "/v1/webhooks/{endpoint_id}"),
    ("post", "/v1/webhooks/{endpoint_id}/rotate"),
    ("post", "/v1/webhooks/{endpoint_id}/enable"),
    ("get", "/v1/webhooks/{endpoint_id}/deliveries"),
    ("post", "/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver"),
    ("post", "/callbacks/{provider}/{token}"),
    ("get", "/admin/unresolved"),
    ("get", "/admin/corrections"),
    ("post", "/admin/edits/{edit_id}/attempts/{number}/verdict"),
    ("post", "/admin/edits/{edit_id}/verdict"),
    ("get", "/admin/providers"),
    ("post", "/admin/providers/{name}/drain"),
    ("post", "/admin/providers/{name}/restore"),
    ("post", "/admin/keys/{team}/{key}/revoke"),
    ("get", "/admin/audit"),
    ("get", "/admin/replica"),
    ("post", "/admin/replica/drain"),
    ("post", "/admin/replica/restore"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}


async def test_the_schema_lists_exactly_what_is_served(stage: Stage) -> None:
    document = (await stage.get("/schema", key=None)).json()
    listed = {(method, path) for path, item in document["paths"].items() for method in item if method != "parameters"}
    assert listed == OPERATIONS
    body = document["paths"]["/v1/edits"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    request = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert request["required"] == ["prompt", "images"]
    assert request["properties"]["prompt"]["maxLength"] == 3000


async def test_every_reference_in_the_schema_leads_somewhere(stage: Stage) -> None:
    document = (await stage.get("/schema", key=None)).json()
    missing: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str) and reference.rpartition("/")[2] not in document["components"]["schemas"]:
                missing.append(reference)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    assert missing == []


@pytest.mark.parametrize(
    ("method", "path"), [("HEAD", "/v1/models"), ("OPTIONS", "/v1/edits"), ("HEAD", "/healthz"), ("TRACE", "/v1/edits")]
)
async def test_methods_that_only_ask_do_no_harm(stage: Stage, method: str, path: str) -> None:
    response = await stage.request(method, path)
    assert response.status_code in (200, 204, 405)
    assert stage.rehearsal.log.exchanges == ()


# --- metrics ----------------------------------------------------------------------------------------------------------


async def series(stage: Stage) -> dict[str, float]:
    lines = (await stage.get("/metrics", key=READ_KEY)).text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


async def test_an_edit_that_failed_over_shows_in_the_metrics(stage: Stage) -> None:
    before = await series(stage)
    stage.rehearsal.faults.add("runware", "busy")
    await stage.edit()
    after = await series(stage)
    counted = {
        'kontext_edits_total{outcome="ok",policy="runware",tier="standard"}': 1,
        'kontext_attempts_total{offer="runware/kontext-pro",outcome="busy",position="1"}': 1,
        'kontext_attempts_total{offer="runflow/kontext-pro",outcome="done",position="2"}': 1,
        'kontext_fallbacks_total{from_offer="runware/kontext-pro",reason="busy",to_offer="runflow/kontext-pro"}': 1,
        'kontext_cost_usd_total{cost_source="provider",offer="runflow/kontext-pro",tier="standard"}': 0.04,
    }
    for name, grown in counted.items():
        assert after[name] - before.get(name, 0) == pytest.approx(grown), name


async def test_an_excluded_offer_shows_in_the_metrics(stage: Stage) -> None:
    name = 'kontext_routing_exclusions_total{offer="runware/kontext-max",reason="over_cost"}'
    before = (await series(stage)).get(name, 0)
    await stage.edit(policy="max_first", max_cost_usd="0.05")
    after = await series(stage)
    names = [one for one in after if one.startswith("kontext_routing_exclusions_total") and "max" in one]
    assert after.get(name, 0) == before + 1, names


async def test_an_edits_trace_is_an_exemplar_of_its_metrics(stage: Stage) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    await stage.edit(headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    lines = (await stage.get("/metrics", key=READ_KEY, headers=accept)).text.splitlines()
    told = {line.partition("{")[0] for line in lines if f'trace_id="{trace_id}"' in line}
    assert told >= {"kontext_edits_total", "kontext_edit_duration_seconds_bucket", "kontext_attempts_total"}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("", "text/plain"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text")],
)
async def test_a_scraper_gets_the_format_that_it_accepts(stage: Stage, accept: str, content_type: str) -> None:
    response = await stage.get("/metrics", key=READ_KEY, headers={"accept": accept})
    assert response.headers["content-type"].startswith(content_type)
    assert response.text.endswith("# EOF\n") == (content_type != "text/plain")


async def test_metrics_hold_no_key_prompt_or_team(stage: Stage) -> None:
    await stage.edit(**PREVIEW)
    text = (await stage.get("/metrics", key=READ_KEY)).text
    assert not any(word in text for word in ("kx_all", PREVIEW["prompt"], '"tests"', stage.rehearsal.key))


# --- without a configuration ------------------------------------------------------------------------------------------


async def test_without_a_configuration_a_camera_picture_comes_back_and_nothing_costs() -> None:
    async with state_folder() as folder, httpx.AsyncClient(timeout=30) as http:
        settings = load(None, {}, today(), development_key="kx_dev")
        async with in_folder(settings, folder / "state") as url:
            headers = {"authorization": "Bearer kx_dev"}
            files = [("image", ("photo.jpg", PHOTO))]
            response = await http.post(f"{url}/v1/edits", headers=headers, data={"prompt": "Blur it"}, files=files)
            answer = response.json()
            assert (response.status_code, answer["provider"], cost_micro(answer)) == (200, "local", 0)
            assert opened((await http.get(answer["images"][0]["url"])).content).size == (480, 320)
            models = (await http.get(f"{url}/v1/models", headers=headers)).json()["data"]
            assert {model["provider"] for model in models} == {"local"}
            assert (await http.get(f"{url}/metrics")).status_code == 200
