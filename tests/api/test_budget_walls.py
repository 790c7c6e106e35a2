"""A cap is a wall, and says what is left and when it turns. A key's own pace is kept, and told in header fields."""

import pytest

from tests.end_to_end.stage import POOR_KEY, PURSE_KEY, SLOW_KEY, Stage, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_spent_budget_is_402_with_what_is_left_and_when_it_turns(stage: Stage) -> None:
    assert (await stage.post(key=POOR_KEY, policy="runware")).status_code == 200
    refused = await stage.post(key=POOR_KEY, policy="runware")
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (402, "urn:kontext:problem:budget")
    assert (problem["scope"], problem["window"]) == ("key", "total")
    assert (problem["cap_usd"], problem["left_usd"], problem["turns_in_s"]) == ("0.050000", "0.010000", None)
    assert len(stage.billed()) == 1


async def test_a_team_shares_its_day(stage: Stage) -> None:
    """$0.12 a day: $0.04 are gone in the test above, so two more fit, and the third waits for tomorrow."""
    for _ in range(2):
        assert (await stage.post(key=PURSE_KEY, policy="runware")).status_code == 200
    refused = await stage.post(key=PURSE_KEY, policy="runware")
    problem = refused.json()
    assert (refused.status_code, problem["scope"], problem["window"]) == (402, "team", "day")
    assert 0 < problem["turns_in_s"] <= 86400
    assert int(refused.headers["retry-after"]) == max(1, problem["turns_in_s"])
    assert problem["left_usd"] == "0.000000"
    assert len(stage.billed()) == 2


async def test_a_free_offer_needs_no_budget(stage: Stage) -> None:
    assert (await stage.post(key=PURSE_KEY, policy="preview", prompt="grayscale")).status_code == 200


async def test_a_keys_pace_is_told_and_kept(stage: Stage) -> None:
    """Two requests a minute, and one edit at a time."""
    stage.rehearsal.faults.add("runware", "slow", seconds=0.6, times=1)
    first = await stage.post(key=SLOW_KEY, policy="preview", prompt="grayscale")
    assert first.headers["ratelimit-policy"] == '"key";q=2;w=60'
    assert first.headers["ratelimit"].startswith('"key";r=1;t=')
    assert (await stage.post(key=SLOW_KEY, policy="preview", prompt="sepia")).status_code == 200
    refused = await stage.post(key=SLOW_KEY, policy="preview", prompt="blur")
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:kontext:problem:rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit"].startswith('"key";r=0;t=')


async def test_what_was_spent_is_in_the_usage_of_the_team_alone(stage: Stage) -> None:
    async def mine() -> list[dict[str, object]] | None:
        lines = (await stage.get("/v1/usage?by=team", key=POOR_KEY)).json()["data"]
        return lines if [line["spent_usd"] for line in lines] == ["0.120000"] else None

    assert [line["team"] for line in await eventually(mine)] == ["purse"]
