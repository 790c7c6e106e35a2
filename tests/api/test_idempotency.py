"""The same key is the same edit: joined while it runs, replayed when it ended, and paid for once."""

import asyncio
from typing import Any

import pytest

from tests.end_to_end.stage import KEY, OTHER_KEY, STRICT_KEY, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "Make it blue, once"


async def test_a_repeat_while_the_edit_runs_joins_it(stage: Stage) -> None:
    headers = {"idempotency-key": "joins"}
    stage.rehearsal.faults.add("runware", "slow", seconds=1.0, times=1)
    first = await stage.post(prompt=PROMPT, headers={**headers, "prefer": "respond-async"})
    second = await stage.post(prompt=PROMPT, headers=headers)
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-replayed"] == "true"
    assert len(stage.billed()) == 1


async def test_a_repeat_after_the_end_is_answered_alike_and_costs_nothing(stage: Stage) -> None:
    first = await stage.post(prompt=PROMPT, headers={"idempotency-key": "replayed"})
    for form in ("replayed", '"replayed"'):  # bare, and as a structured-field string
        again = await stage.post(prompt=PROMPT, headers={"idempotency-key": form})
        assert (again.status_code, again.json()) == (200, first.json())
    assert len(stage.billed()) == 1


async def test_a_failed_edit_is_replayed_too(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "moderated_on_submit", times=1)
    headers = {"idempotency-key": "refused"}
    first = await stage.post(prompt="Refuse this, once", headers=headers)
    again = await stage.post(prompt="Refuse this, once", headers=headers)
    assert (first.status_code, again.status_code) == (422, 422)
    assert first.json()["edit"]["id"] == again.json()["edit"]["id"]


@pytest.mark.parametrize(
    "other",
    [{"prompt": "Make it red"}, {"seed": 1}, {"n": 2}, {"output": {"format": "jpeg"}}, {"metadata": {"a": "b"}}],
    ids=lambda other: next(iter(other)),
)
async def test_a_key_of_another_request_is_refused(stage: Stage, other: dict[str, object]) -> None:
    headers = {"idempotency-key": "reused"}
    assert (await stage.post(prompt=PROMPT, headers=headers)).status_code == 200
    fields: dict[str, Any] = {"prompt": PROMPT, **other}
    refused = await stage.post(headers=headers, **fields)
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (422, "urn:kontext:problem:key_reused")
    assert problem["field"] == "Idempotency-Key"


async def test_what_equals_its_default_is_the_same_request(stage: Stage) -> None:
    headers = {"idempotency-key": "defaults"}
    first = await stage.post(prompt=PROMPT, headers=headers)
    again = await stage.post(prompt=PROMPT, headers=headers, n=1, size="auto", output={"format": "png"})
    assert again.json()["id"] == first.json()["id"]


async def test_many_at_once_make_one_edit(stage: Stage) -> None:
    posts = [stage.post(prompt=PROMPT, headers={"idempotency-key": "storm"}) for _ in range(50)]
    answers = await asyncio.gather(*posts)
    statuses = {answer.status_code for answer in answers}
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 200}
    assert statuses <= {200, 409}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 409)
    assert len(ids) == 1
    assert len(stage.billed()) == 1


async def test_the_same_key_of_another_team_is_another_edit(stage: Stage) -> None:
    headers = {"idempotency-key": "two teams"[:3]}
    ours = await stage.post(prompt=PROMPT, headers=headers, key=KEY)
    theirs = await stage.post(prompt=PROMPT, headers=headers, key=OTHER_KEY)
    assert ours.json()["id"] != theirs.json()["id"]
    assert len(stage.billed()) == 2


async def test_a_request_that_was_refused_before_its_edit_lets_go_of_its_key(stage: Stage) -> None:
    headers = {"idempotency-key": "let-go"}
    assert (await stage.post(prompt=PROMPT, headers=headers, max_cost_usd="0.01")).status_code == 422
    assert (await stage.post(prompt=PROMPT, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "key", ["", "x" * 256, "with space", "umlaut-\u00fc"], ids=["empty", "long", "space", "umlaut"]
)
async def test_a_key_that_is_none_is_refused(stage: Stage, key: str) -> None:
    response = await stage.post(headers={"idempotency-key": key.encode("latin-1")})  # pyright: ignore[reportArgumentType] - httpx takes bytes
    assert (response.status_code, response.json()["field"]) == (400, "Idempotency-Key")
    assert stage.billed() == []


async def test_a_team_can_require_a_key(stage: Stage) -> None:
    without = await stage.post(key=STRICT_KEY)
    assert (without.status_code, without.json()["field"]) == (400, "Idempotency-Key")
    assert (await stage.post(key=STRICT_KEY, headers={"idempotency-key": "here"})).status_code == 200


async def test_an_sdks_own_repeat_joins_and_two_like_requests_do_not(stage: Stage) -> None:
    first = await stage.post(prompt="SDK", headers={"x-stainless-retry-count": "0"})
    repeat = await stage.post(prompt="SDK", headers={"x-stainless-retry-count": "1"})
    another = await stage.post(prompt="SDK", headers={"x-stainless-retry-count": "0"})
    plain = await stage.post(prompt="SDK")
    assert repeat.json()["id"] == first.json()["id"]
    assert len({answer.json()["id"] for answer in (first, another, plain)}) == 3
    assert len(stage.billed()) == 3
