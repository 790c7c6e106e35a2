"""Repeats at a provider are a fifth of its submits of the last ten seconds, or three."""

from collections import Counter

from gateway.state.records import EditRecord, Status
from policies.throttle import FLOOR, SHARE
from tests.engine_path.script import RUNFLOW, RUNWARE
from tests.engine_path.stage import Stage
from tests.health.sickroom import FIRST, SECOND, offers, problem


def repeats(records: list[EditRecord]) -> dict[str, tuple[int, int]]:
    """By provider: its submits, and how many of them were for an edit that it had failed before."""
    submits, again = Counter[str](), Counter[str]()
    for record in records:
        seen = set[str]()
        for attempt in record.attempts:
            submits[attempt.provider] += 1
            again[attempt.provider] += attempt.provider in seen
            seen.add(attempt.provider)
    return {provider: (count, again[provider]) for provider, count in submits.items()}


async def test_with_both_turning_everything_away_repeats_are_capped_and_edits_fail_at_once(stage: Stage):
    """Pressure of ours opens no circuit, so the budget alone stands between forty edits and eighty repeats."""
    replica = stage.replica()
    stage.clock.luck = 0
    stage.script.always(RUNWARE, stage.runware.refused(429, "rateLimitExceeded"))
    stage.script.always(RUNFLOW, stage.runflow.refused(429))
    records = [await replica.run(FIRST, SECOND) for _ in range(40)]
    assert stage.clock.now_s == 0, "nothing is queued for it"
    for count, again in repeats(records).values():
        assert FLOOR <= again <= max(FLOOR, SHARE * count + 1)
    assert {record.status for record in records} == {Status.FAILED}
    assert (offers(records[0]), problem(records[0])) == ([FIRST, SECOND, FIRST, SECOND], "rate_limited")
    assert problem(records[4]) == "no_offer_now", "the problem names the reason: another try would be one too many"
    assert offers(records[4]) == [FIRST, SECOND], "failover is no repeat, and is always free"


async def test_the_budget_comes_back_with_time(stage: Stage):
    replica = stage.replica()
    stage.clock.luck = 0
    stage.script.always(RUNWARE, stage.runware.refused(429, "rateLimitExceeded"))
    records = [await replica.run(SECOND) for _ in range(FLOOR + 2)]
    assert offers(records[-1]) == [SECOND]
    stage.clock.forward(11)
    assert offers(await replica.run(SECOND)) == [SECOND, SECOND]
