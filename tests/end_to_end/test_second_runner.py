"""A slow primary and a team that bought a second runner: one picture, and the books know every charge of the bill."""

import pytest

from tests.end_to_end.stage import (
    HEDGED_KEY,
    LOCAL_HEDGED_KEY,
    PHOTO_URI,
    PROMPT,
    Answer,
    Stage,
    cost_micro,
    eventually,
    story,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLOW_S = 3.0


async def booked(stage: Stage, edit: str, key: str) -> Answer:
    """The edit, once the cost of its outrun attempt is known."""

    async def probe() -> Answer | None:
        answer = (await stage.get(f"/v1/edits/{edit}", key)).json()
        lost = next(one for one in answer["routing"]["attempts"] if one["outcome"] == "hedge_lost")
        return None if lost["cost_usd"] is None else answer

    return await eventually(probe)


async def test_two_are_charged_one_delivers_and_the_other_is_told_as_outrun(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=SLOW_S)
    quoted = await stage.request("POST", "/v1/quotes", key=HEDGED_KEY, json={"prompt": PROMPT, "images": [PHOTO_URI]})
    assert quoted.status_code == 200, quoted.text
    assert (quoted.json()["worst_case_usd"], quoted.json()["second_runner_usd"]) == ("0.080000", "0.040000")
    answer = await stage.edit(key=HEDGED_KEY)
    assert (answer["provider"], len(answer["images"])) == ("runflow", 1)
    assert story(answer) == [("tortoise/kontext-pro", "hedge_lost"), ("runflow/kontext-pro", "done")]
    answer = await booked(stage, answer["id"], HEDGED_KEY)
    assert sorted(stage.billed()) == ["runflow/kontext-pro", "runware/kontext-pro"]
    assert cost_micro(answer) == stage.billed_micro() == 80_000
    lost, done = answer["routing"]["attempts"]
    assert "Another runner was faster" in lost["why"]
    assert "started beside tortoise/kontext-pro" in done["why"]

    async def in_the_books() -> list[tuple[str, str, str]]:
        lines = (await stage.get("/v1/usage?by=model", HEDGED_KEY)).json()["data"]
        spent = [(line["model"], line["spent_usd"], line["wasted_usd"]) for line in lines]
        return spent if sum(line["spent_usd"] != "0.000000" for line in lines) == 2 else []

    assert sorted(await eventually(in_the_books)) == [
        ("runflow/kontext-pro", "0.040000", "0.000000"),
        ("tortoise/kontext-pro", "0.040000", "0.040000"),
    ]


async def test_a_local_second_runner_delivers_for_the_price_of_one(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=SLOW_S)
    answer = await stage.edit(key=LOCAL_HEDGED_KEY)
    assert (answer["provider"], len(answer["images"])) == ("local", 1)
    answer = await booked(stage, answer["id"], LOCAL_HEDGED_KEY)
    assert stage.billed() == ["runware/kontext-max"]
    assert cost_micro(answer) == stage.billed_micro() == 80_000
