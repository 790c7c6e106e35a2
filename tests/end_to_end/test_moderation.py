"""A refusal of the content is final: it is told as one, and no other provider is asked."""

import pytest

from tests.end_to_end.stage import PROVIDERS, Stage, story

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("fault", ["moderated_on_submit", "moderated_on_poll"])
async def test_a_moderated_edit_is_refused_and_not_shopped(stage: Stage, fault: str) -> None:
    for provider in PROVIDERS:
        stage.rehearsal.faults.add(provider, fault)
    for primary, response in (await stage.at_both()).items():
        problem = response.json()
        assert (response.status_code, problem["type"]) == (422, "urn:kontext:problem:moderated")
        assert (problem["retryable"], response.headers["x-should-retry"]) == (False, "false")
        edit = problem["edit"]
        assert (edit["status"], edit["images"], edit["error"]["type"]) == ("refused", [], "moderated")
        assert story(edit) == [(f"{primary}/kontext-pro", "moderated")]
        later = await stage.get(f"/v1/edits/{edit['id']}")
        assert (later.status_code, later.json()) == (200, edit)
    assert stage.submits() == {"runware": 1, "runflow": 1}
    assert stage.billed() == []


async def test_a_refusal_asks_nobody_else(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "moderated_on_submit")
    assert (await stage.post()).status_code == 422
    assert not stage.contacted("runflow")


async def test_a_lost_answer_that_turns_out_as_a_refusal_is_refused_too(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "accept_then_reset", times=1)
    stage.rehearsal.faults.add("runware", "moderated_on_poll", times=1)
    response = await stage.post()
    assert (response.status_code, response.json()["edit"]["status"]) == (422, "refused")
    assert not stage.contacted("runflow")


async def test_a_refusal_sticks_to_its_prompt_and_pictures_whoever_would_be_asked_next(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "moderated_on_submit", times=1)
    assert (await stage.post(prompt="Refuse this once", policy="runware")).status_code == 422
    again = await stage.post(prompt="Refuse this once", policy="runflow", seed=7, size="1:1")
    problem = again.json()
    assert (again.status_code, problem["type"]) == (422, "urn:kontext:problem:moderated")
    assert "stands until" in problem["detail"]
    assert not stage.contacted("runflow")
    assert (await stage.post(prompt="Refuse this not", policy="runflow")).status_code == 200
