"""What was paid for is delivered: odd tasks are waited for, fewer pictures come with a note, and a picture that cannot
be fetched is asked for again and never bought again."""

import io

import pytest
from PIL import Image

from tests.end_to_end.stage import PROVIDERS, Stage, cost_micro, story

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONE_EACH = {"runware": 1, "runflow": 1}


def script(stage: Stage, fault: str, *, times: int | None = None) -> None:
    for provider in PROVIDERS:
        stage.rehearsal.faults.add(provider, fault, times=times)


async def test_fewer_pictures_than_asked_are_delivered_with_a_note_and_only_they_are_paid(stage: Stage) -> None:
    script(stage, "partial")
    for primary, response in (await stage.at_both(n=3)).items():
        answer = response.json()
        assert response.status_code == 200, response.text
        assert (answer["provider"], len(answer["images"])) == (primary, 2)
        assert "2 of 3 pictures were made" in answer["notes"]
        assert cost_micro(answer) == stage.rehearsal.bill.total_micro_usd(primary) == 80_000
    assert stage.submits() == ONE_EACH


@pytest.mark.parametrize("fault", ["bad_picture", "missing_picture"])
async def test_a_picture_that_never_comes_fails_the_edit_and_is_not_bought_again(stage: Stage, fault: str) -> None:
    script(stage, fault)
    for primary, response in (await stage.at_both()).items():
        problem = response.json()
        assert (response.status_code, problem["type"]) == (502, "urn:kontext:problem:bad_picture")
        assert (problem["retryable"], response.headers["x-should-retry"]) == (False, "false")
        assert story(problem["edit"]) == [(f"{primary}/kontext-pro", "bad_picture")]
        assert cost_micro(problem["edit"]) == stage.rehearsal.bill.total_micro_usd(primary) == 40_000
    assert stage.submits() == ONE_EACH


async def test_a_link_that_expired_is_replaced_by_a_fresh_one(stage: Stage) -> None:
    script(stage, "expired_link")
    for primary, response in (await stage.at_both()).items():
        assert response.status_code == 200, response.text
        assert story(response.json()) == [(f"{primary}/kontext-pro", "done")]
        assert cost_micro(response.json()) == stage.rehearsal.bill.total_micro_usd(primary) == 40_000
    fetched = [entry.status for entry in stage.rehearsal.log.exchanges if entry.path.startswith("/files/")]
    assert sorted(fetched) == [200, 200, 403, 403]
    assert stage.submits() == ONE_EACH


@pytest.mark.parametrize("fault", ["poll_trouble", "poll_reset", "other_task", "odd_status"])
async def test_a_troubled_poll_is_repeated_and_proves_nothing(stage: Stage, fault: str) -> None:
    script(stage, fault, times=1)
    for primary, response in (await stage.at_both()).items():
        assert response.status_code == 200, response.text
        assert story(response.json()) == [(f"{primary}/kontext-pro", "done")]
    assert stage.submits() == ONE_EACH
    assert sorted(stage.billed()) == ["runflow/kontext-pro", "runware/kontext-pro"]


async def test_the_delivered_picture_is_a_picture_of_the_size_that_was_told(stage: Stage) -> None:
    answer = await stage.edit(size="16:9")
    (image,) = answer["images"]
    fetched = await stage.http.get(image["url"])
    with Image.open(io.BytesIO(fetched.content)) as opened:
        assert opened.size == (image["width"], image["height"]) == (1392, 752)
    assert answer["sent"]["size"] == "1392x752"
    assert image["warnings"] == []
