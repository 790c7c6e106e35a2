"""Quotes over HTTP: what they say, what an edit then does, and that they hold and buy nothing."""

from typing import Any

import pytest

from tests.end_to_end.stage import (
    EDIT_KEY,
    EXPIRED_KEY,
    NARROW_KEY,
    PHOTO,
    PHOTO_URI,
    POOR_KEY,
    PROMPT,
    PURSE_KEY,
    READ_KEY,
    SLOW_KEY,
    STRICT_KEY,
    Stage,
    story,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def quote(stage: Stage, key: str | None = READ_KEY, **fields: Any) -> dict[str, Any]:
    document = {"prompt": PROMPT, "images": [PHOTO_URI], **fields}
    response = await stage.request("POST", "/v1/quotes", key=key, json=document)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_quote_says_what_would_be_tried_for_how_much_and_why(stage: Stage) -> None:
    quoted = await quote(stage, policy="cheapest", tier="standard")
    pro, best = quoted["candidates"]
    assert (pro["offer"], pro["rank"], pro["tier"], pro["price_usd"]) == (
        "runware/kontext-pro",
        1,
        "standard",
        "0.040000",
    )
    assert pro["why"] == "runware/kontext-pro is tried first: it costs $0.040000."
    assert best["why"].startswith("runware/kontext-max is tried after runware/kontext-pro: ")
    assert 0 < pro["expected_s"] <= pro["within_s"]
    (left_out,) = quoted["exclusions"]
    assert (left_out["offer"], left_out["reason"], left_out["field"]) == ("runware/kontext-dev", "below_tier", "tier")
    assert left_out["why"].startswith("runware/kontext-dev is of lesser quality than asked")
    assert (quoted["worst_case_usd"], quoted["asked_tier"], quoted["policy"]) == ("0.080000", "standard", "cheapest")


async def test_a_quote_buys_nothing_and_holds_nothing(stage: Stage) -> None:
    before = await quote(stage, PURSE_KEY)
    for _ in range(5):  # five would not fit its budget of three
        await quote(stage, PURSE_KEY)
    assert await quote(stage, PURSE_KEY) == before
    assert stage.billed() == []
    assert stage.rehearsal.log.exchanges == ()


async def test_the_pictures_shape_decides_what_would_be_sent(stage: Stage) -> None:
    quoted = await quote(stage, size="512x512", steps=20, models=["runware/kontext-pro"])
    (one,) = quoted["candidates"]
    assert one["sent"]["size"] == "1024x1024"
    told = {adjustment["field"]: (adjustment["asked"], adjustment["sent"]) for adjustment in one["adjustments"]}
    assert told == {"size": ("512x512", "1024x1024"), "steps": ("20", None)}
    assert (await quote(stage, models=["runware/kontext-pro"]))["candidates"][0]["sent"]["size"] == "1248x832"


async def test_nothing_that_fits_is_an_answer_and_no_error(stage: Stage) -> None:
    quoted = await quote(stage, policy="max_first", max_cost_usd="0.01")
    assert quoted["candidates"] == []
    assert {one["reason"] for one in quoted["exclusions"]} == {"over_cost"}
    assert quoted["worst_case_usd"] == "0.000000"


REQUESTS: dict[str, dict[str, Any]] = {
    "as the team has it": {},
    "by price": {"policy": "cheapest"},
    "by price, above a floor": {"policy": "cheapest", "tier": "premium"},
    "of a cap": {"policy": "max_first", "max_cost_usd": "0.05"},
    "of two pictures": {"n": 2, "policy": "runflow"},
    "of named offers": {"models": ["runflow/kontext-max", "runware/kontext-max"]},
    "by the local one": {"policy": "preview", "prompt": "Make it black and white"},
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_an_edit_sent_then_does_what_its_quote_said(stage: Stage, what: str) -> None:
    fields: dict[str, Any] = {"prompt": f"{PROMPT}, quoted {what}", **REQUESTS[what]}
    quoted = await quote(stage, EDIT_KEY, **fields)
    answer = await stage.edit(**fields)
    said = [(one["offer"], one["price_usd"], one["why"]) for one in quoted["candidates"]]
    ranked = [one for one in answer["routing"]["candidates"] if "rank" in one]
    assert [(one["offer"], one["price_usd"], one["why"]) for one in ranked] == said
    left_out = [
        (one["offer"], one["excluded"], one["why"]) for one in answer["routing"]["candidates"] if "excluded" in one
    ]
    assert left_out == [(one["offer"], one["reason"], one["why"]) for one in quoted["exclusions"]]
    assert story(answer) == [(quoted["candidates"][0]["offer"], "done")]
    assert answer["sent"] == quoted["candidates"][0]["sent"]
    assert answer["cost"]["usd"] == quoted["candidates"][0]["price_usd"]
    assert answer["routing"]["revision"] == quoted["revision"]


async def test_a_form_is_quoted_like_json(stage: Stage) -> None:
    files = [("image", ("photo.jpg", PHOTO))]
    data = {"prompt": PROMPT, "policy": "cheapest", "tier": "standard"}
    response = await stage.request("POST", "/v1/quotes", key=READ_KEY, data=data, files=files)
    assert response.json() == await quote(stage, policy="cheapest", tier="standard")


async def test_a_quote_says_whether_the_budgets_would_hold_it(stage: Stage) -> None:
    rich = await quote(stage)
    assert (rich["budgets"], rich["affordable"]) == ([], True)
    poor = await quote(stage, POOR_KEY, n=2)
    caps = {(one["scope"], one["window"]): one for one in poor["budgets"]}
    assert set(caps) == {("key", "total"), ("team", "day")}
    own = caps["key", "total"]
    assert (own["cap_usd"], own["enough"], poor["affordable"]) == ("0.050000", False, False)
    refused = await stage.post(key=POOR_KEY, n=2)
    assert refused.status_code == 402, "and the edit meets the same wall"


@pytest.mark.parametrize(("key", "status"), [(None, 401), (EXPIRED_KEY, 401), (EDIT_KEY, 200), (READ_KEY, 200)])
async def test_who_may_edit_or_read_may_ask(stage: Stage, key: str | None, status: int) -> None:
    response = await stage.request("POST", "/v1/quotes", key=key, json={"prompt": PROMPT, "images": [PHOTO_URI]})
    assert response.status_code == status


async def test_a_quote_counts_as_a_request_but_needs_no_idempotency_key(stage: Stage) -> None:
    await quote(stage, STRICT_KEY)
    document = {"prompt": PROMPT, "images": [PHOTO_URI]}
    statuses = [(await stage.request("POST", "/v1/quotes", key=SLOW_KEY, json=document)).status_code for _ in range(3)]
    assert statuses[-1] == 429


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"size": "huge"}, "size"), ({"models": ["runware/nothing"]}, "models"), ({"images": ["photo.jpg"]}, "images[0]")],
)
async def test_a_wrong_field_is_refused_as_for_an_edit(stage: Stage, fields: dict[str, Any], field: str) -> None:
    document = {"prompt": PROMPT, "images": [PHOTO_URI], **fields}
    asked = await stage.request("POST", "/v1/quotes", json=document)
    sent = await stage.request("POST", "/v1/edits", json=document)
    assert (asked.status_code, asked.json()["field"]) == (422, field)
    assert {**asked.json(), "instance": None} == {**sent.json(), "instance": None}


# --- teams and degradation, as edits have them ------------------------------------------------------------------------


async def test_a_team_uses_its_own_offers_alone_and_its_own_floor(stage: Stage) -> None:
    quoted = await quote(stage, NARROW_KEY)
    assert [one["offer"] for one in quoted["candidates"]] == ["runware/kontext-max"]
    assert [(one["offer"], one["reason"]) for one in quoted["exclusions"]] == [("runware/kontext-pro", "not_allowed")]
    assert quoted["asked_tier"] == "premium"
    assert (await quote(stage, NARROW_KEY, tier="draft"))["asked_tier"] == "draft"
    answer = await stage.edit(key=NARROW_KEY)
    assert (answer["model"], answer["asked_tier"], answer["degraded"]) == ("kontext-max", "premium", False)


async def test_an_offer_of_others_is_refused_by_name(stage: Stage) -> None:
    response = await stage.post(key=NARROW_KEY, models=["runware/kontext-pro"])
    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, "urn:kontext:problem:no_offer")
    assert {one["reason"] for one in problem["exclusions"]} == {"not_allowed"}
    assert not stage.contacted("runware")


async def test_below_the_floor_only_as_a_last_resort_and_marked(stage: Stage) -> None:
    quoted = await quote(stage, policy="degrading")
    assert [(one["offer"], one["degraded"]) for one in quoted["candidates"]] == [
        ("closed/kontext-pro", False),
        ("runware/kontext-dev", True),
    ]
    answer = await stage.edit(policy="degrading")  # nobody listens at the first
    assert (answer["tier"], answer["asked_tier"], answer["degraded"]) == ("draft", "standard", True)
    ranked = [one for one in answer["routing"]["candidates"] if "rank" in one]
    assert [one.get("degraded", False) for one in ranked] == [False, True]
    assert "as a last resort" in ranked[1]["why"]
