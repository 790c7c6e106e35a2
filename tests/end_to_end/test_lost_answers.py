"""The primary took the body and its answer was lost: what became of it is learnt first, and nothing is bought twice."""

import httpx
import pytest

from tests.end_to_end.stage import PROVIDERS, Stage, cost_micro, story

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What is scripted for the primary (each once), with its seconds where it takes some. The work was accepted and billed.
ACCEPTED = (
    ("accept_then_reset", None),
    ("accept_then_5xx", None),
    ("hang_after_accept", None),
    ("garbage", None),
    ("cut", None),
    ("sync_timeout", None),
    ("accept_late_reset", 0.3),
)

# Nothing was accepted, and the answer does not say so.
NOT_ACCEPTED = ("reset_before_accept", "error_before_accept", "down_html", "hang")


def assert_bought_once_at_each(stage: Stage, responses: dict[str, httpx.Response]) -> None:
    """Each edit was delivered by its own primary, in one attempt, for one charge."""
    for primary, response in responses.items():
        assert response.status_code == 200, response.text
        assert story(response.json()) == [(f"{primary}/kontext-pro", "done")]
        assert cost_micro(response.json()) == stage.rehearsal.bill.total_micro_usd(primary) == 40_000
    assert sorted(stage.billed()) == ["runflow/kontext-pro", "runware/kontext-pro"]


@pytest.mark.parametrize(("fault", "seconds"), ACCEPTED)
async def test_accepted_work_whose_answer_was_lost_is_found_and_delivered(
    stage: Stage, fault: str, seconds: float | None
) -> None:
    for provider in PROVIDERS:
        stage.rehearsal.faults.add(provider, fault, times=1, seconds=seconds)
    assert_bought_once_at_each(stage, await stage.at_both())
    assert stage.submits()["runflow"] == 1
    # A repeat at Runware carries the id of the first.
    assert len({entry.ids for entry in stage.rehearsal.log.of("runware", "submit")}) == 1


@pytest.mark.parametrize("fault", NOT_ACCEPTED)
async def test_at_runware_the_same_id_is_sent_again_and_bought_once(stage: Stage, fault: str) -> None:
    stage.rehearsal.faults.add("runware", fault, times=1)
    answer = await stage.edit()
    assert story(answer) == [("runware/kontext-pro", "done")]
    assert stage.billed() == ["runware/kontext-pro"]
    assert len({entry.ids for entry in stage.rehearsal.log.of("runware") if entry.ids}) == 1
    assert not stage.contacted("runflow")


@pytest.mark.parametrize("fault", [*NOT_ACCEPTED, "errors_under_200"])
async def test_at_runflow_an_answer_that_nobody_can_find_leaves_the_edit_unresolved(stage: Stage, fault: str) -> None:
    """Runflow knows no ids of ours: a second run could be a second charge, here or at another provider."""
    stage.rehearsal.faults.add("runflow", fault, times=1)
    response = await stage.post(policy="runflow")
    problem = response.json()
    assert (response.status_code, problem["type"]) == (202, "urn:kontext:problem:unresolved")
    assert response.headers["location"] == f"/v1/edits/{problem['edit']['id']}"
    assert response.headers["x-should-retry"] == "false"
    assert story(problem["edit"]) == [("runflow/kontext-pro", "unresolved")]
    assert len(stage.rehearsal.log.of("runflow", "submit")) == 1
    assert (stage.billed(), stage.contacted("runware")) == ([], False)


async def test_a_lost_answer_about_a_task_that_is_not_visible_yet_is_bought_once(stage: Stage) -> None:
    for provider in PROVIDERS:
        stage.rehearsal.faults.add(provider, "accept_then_reset", times=1)
        stage.rehearsal.faults.add(provider, "invisible", times=1, seconds=0.4)
    assert_bought_once_at_each(stage, await stage.at_both())


async def test_accepted_work_that_polls_do_not_see_for_a_while_is_waited_for(stage: Stage) -> None:
    for provider in PROVIDERS:
        stage.rehearsal.faults.add(provider, "invisible", times=1, seconds=1.2)
    assert_bought_once_at_each(stage, await stage.at_both())
    assert stage.submits() == {"runware": 1, "runflow": 1}


async def test_a_provider_that_stays_silent_after_taking_the_work_ends_unresolved_and_unshopped(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "accept_then_reset", times=1)
    stage.rehearsal.faults.add("runware", "down")
    response = await stage.post()
    edit = response.json()["edit"]
    assert (response.status_code, edit["status"]) == (202, "unresolved")
    assert story(edit) == [("runware/kontext-pro", "unresolved")]
    assert stage.billed() == ["runware/kontext-pro"]
    assert not stage.contacted("runflow")
    assert (await stage.get(f"/v1/edits/{edit['id']}")).json()["error"]["type"] == "unresolved"
