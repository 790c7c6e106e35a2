"""The primary is down, in every way that it can be: the next provider delivers, once, in time, and the answer tells."""

import time

import pytest

from tests.end_to_end.stage import Stage, cost_micro, story

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEADLINE_S = 10
OTHER = {"runware": "runflow", "runflow": "runware"}

# fault at the primary -> how its attempt ends in the story. Each proves that nothing was bought.
DOWN = {
    ("runware", "down"): "busy",
    ("runware", "refuse_key"): "credential",
    ("runware", "no_credit"): "credit",
    ("runware", "rate_limited"): "rate_limited",
    ("runware", "concurrent"): "rate_limited",
    ("runware", "busy"): "busy",
    ("runware", "errors_under_200"): "busy",
    ("runware", "task_failed"): "task_failed",
    ("runflow", "down"): "busy",
    ("runflow", "refuse_key"): "credential",
    ("runflow", "no_credit"): "credit",
    ("runflow", "rate_limited"): "rate_limited",
    ("runflow", "concurrent"): "rate_limited",
    ("runflow", "busy"): "busy",
    ("runflow", "task_failed"): "task_failed",
}


@pytest.mark.parametrize(("primary", "fault", "outcome"), [(*where, said) for where, said in DOWN.items()])
async def test_when_the_primary_is_down_the_second_provider_delivers(
    stage: Stage, primary: str, fault: str, outcome: str
) -> None:
    stage.rehearsal.faults.add(primary, fault)
    began_s = time.monotonic()
    answer = await stage.edit(policy=primary, deadline_s=DEADLINE_S)
    assert time.monotonic() - began_s < DEADLINE_S
    second = f"{OTHER[primary]}/kontext-pro"
    assert story(answer) == [(f"{primary}/kontext-pro", outcome), (second, "done")]
    assert (answer["provider"], answer["late"]) == (OTHER[primary], False)
    assert stage.billed() == [second]
    assert cost_micro(answer) == stage.billed_micro() == 40_000


@pytest.mark.parametrize(("policy", "second"), [("closed", "runflow"), ("silent", "runware")])
async def test_a_primary_that_cannot_be_reached_is_left_at_once(stage: Stage, policy: str, second: str) -> None:
    answer = await stage.edit(policy=policy, deadline_s=DEADLINE_S)
    assert story(answer) == [(f"{policy}/kontext-pro", "not_sent"), (f"{second}/kontext-pro", "done")]
    assert stage.billed() == [f"{second}/kontext-pro"]
    assert cost_micro(answer) == stage.billed_micro()


async def test_the_first_attempt_tells_what_happened_and_costs_nothing(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "no_credit")
    failed, done = (await stage.edit())["routing"]["attempts"]
    assert "credit" in failed["message"]
    assert (failed["cost_usd"], done["cost_usd"]) == (None, "0.040000")
    assert failed["seconds"] >= 0


async def test_a_wait_that_the_provider_names_is_waited_where_time_allows(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "rate_limited", times=1, seconds=1)
    began_s = time.monotonic()
    answer = await stage.edit(deadline_s=DEADLINE_S)
    assert time.monotonic() - began_s >= 1
    assert story(answer) == [("runware/kontext-pro", "rate_limited"), ("runware/kontext-pro", "done")]
    assert not stage.contacted("runflow")


async def test_a_wait_that_is_too_long_is_not_waited(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "rate_limited", seconds=60)
    answer = await stage.edit(deadline_s=DEADLINE_S)
    assert story(answer) == [("runware/kontext-pro", "rate_limited"), ("runflow/kontext-pro", "done")]


async def test_with_no_second_offer_the_same_one_is_tried_twice_and_then_the_edit_fails(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "busy")
    response = await stage.post(models=["runware/kontext-pro"], deadline_s=DEADLINE_S)
    problem = response.json()
    assert (response.status_code, problem["type"]) == (502, "urn:kontext:problem:failed")
    assert response.headers["x-should-retry"] == "false"
    assert story(problem["edit"]) == [("runware/kontext-pro", "busy")] * 2
    assert (problem["edit"]["status"], stage.billed()) == ("failed", [])


async def test_everybody_down_is_a_failure_that_names_no_provider_internals(stage: Stage) -> None:
    for provider in ("runware", "runflow"):
        stage.rehearsal.faults.add(provider, "down")
    response = await stage.post(deadline_s=DEADLINE_S)
    assert response.status_code == 502
    attempted = story(response.json()["edit"])
    assert attempted[:2] == [("runware/kontext-pro", "busy"), ("runflow/kontext-pro", "busy")]
    assert len(attempted) <= 4
    assert stage.rehearsal.url not in response.text
    assert stage.billed() == []
