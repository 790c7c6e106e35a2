"""What follows a proven failure: which offer, after how long, until when; and what follows none."""

from itertools import pairwise

import pytest

from adapters.contract import FailureKind
from gateway.engine.timing import Timing
from gateway.state.records import AttemptState, EditRecord, Status
from tests.engine_path.script import RUNFLOW, RUNWARE, Line, not_sent
from tests.engine_path.stage import (
    PREVIEW,
    RUNFLOW_MAX,
    RUNFLOW_PRO,
    RUNWARE_MAX,
    RUNWARE_PRO,
    Stage,
    edited,
)

ALL = (RUNWARE_PRO, RUNFLOW_PRO, RUNWARE_MAX, RUNFLOW_MAX)


def offers(record: EditRecord) -> list[str]:
    return [attempt.offer for attempt in record.attempts]


def problem(record: EditRecord) -> str:
    assert record.end is not None
    assert record.end.problem is not None
    return record.end.problem.kind


async def test_failover_goes_down_the_plan_at_once(stage: Stage):
    say, flow = stage.runware, stage.runflow
    stage.script.at(RUNWARE, say.refused(400, "noAvailableServer"), not_sent)
    stage.script.at(RUNFLOW, flow.refused(503), flow.created, flow.succeeded(cost="0.080000"))
    record = await stage.replica().run(*ALL)
    assert offers(record) == list(ALL)
    assert [attempt.failure for attempt in record.attempts] == [
        FailureKind.BUSY,
        FailureKind.BUSY,
        FailureKind.NOT_SENT,
        None,
    ]
    assert [request.at_s for request in stage.script.sent[:4]] == [0, 0, 0, 0], "nobody waits before a fresh offer"
    assert record.end is not None
    assert (record.end.offer, record.end.cost_micro) == (RUNFLOW_MAX, 80_000)
    assert all(attempt.state is AttemptState.RELEASED for attempt in record.attempts[:3])


async def test_an_edit_gets_at_most_four_attempts(stage: Stage):
    stage.script.always(RUNWARE, not_sent)
    stage.script.always(RUNFLOW, not_sent)
    record = await stage.replica().run(*ALL, PREVIEW)
    assert (record.status, offers(record), problem(record)) == (Status.FAILED, list(ALL), "not_sent")


async def test_an_offer_gets_at_most_two_and_each_has_an_id_of_its_own(stage: Stage):
    stage.script.always(RUNWARE, not_sent)
    record = await stage.replica().run(RUNWARE_PRO)
    assert (record.status, offers(record)) == (Status.FAILED, [RUNWARE_PRO] * 2)
    assert len({attempt.id for attempt in record.attempts}) == 2


@pytest.mark.parametrize(("code", "kind"), [(401, "credential"), (402, "credit")])
async def test_an_account_that_failed_as_an_account_is_left_for_the_rest_of_the_edit(
    stage: Stage, code: int, kind: str
):
    stage.script.at(RUNWARE, stage.runware.refused(code, "other"))
    stage.script.at(RUNFLOW, stage.runflow.refused(503), stage.runflow.refused(503))
    record = await stage.replica().run(RUNWARE_PRO, RUNWARE_MAX, RUNFLOW_PRO)
    assert offers(record) == [RUNWARE_PRO, RUNFLOW_PRO, RUNFLOW_PRO]
    assert record.attempts[0].failure == kind
    assert record.status is Status.FAILED


ENDS: dict[str, tuple[str, Status]] = {
    "invalidPositivePromptLength": ("invalid", Status.FAILED),
    "invalidProviderContent": ("moderated", Status.REFUSED),
}


@pytest.mark.parametrize("word", ENDS)
async def test_a_mistake_or_a_refusal_is_not_shopped_to_another_provider(stage: Stage, word: str):
    stage.script.at(RUNWARE, stage.runware.refused(400, word))
    record = await stage.replica().run(*ALL)
    assert (problem(record), record.status) == ENDS[word]
    assert len(record.attempts) == 1


async def test_a_task_that_failed_at_the_provider_is_bought_elsewhere(stage: Stage):
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.failed("timeoutProvider"))
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert (record.status, record.attempts[0].failure) == (Status.SUCCEEDED, FailureKind.TASK_FAILED)
    assert record.end is not None
    assert record.end.cost_micro == 40_000


async def test_a_task_refused_for_its_content_after_it_ran_is_refused(stage: Stage):
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.failed("invalidProviderContent"))
    record = await stage.replica().run(*ALL)
    assert (record.status, len(record.attempts)) == (Status.REFUSED, 1)


# --- how long ---------------------------------------------------------------------------------------------------------


async def test_a_wait_that_the_provider_named_is_kept(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, say.refused(429, "rateLimitExceeded", retry_after="17"), say.acked, say.finished())
    record = await stage.replica().run(RUNWARE_PRO)
    assert offers(record) == [RUNWARE_PRO] * 2
    assert stage.script.to(RUNWARE)[1].at_s == 17


async def test_a_wait_that_was_named_before_a_failover_is_kept_when_its_offer_comes_round_again(stage: Stage):
    say = stage.runware
    stage.clock.luck = 0
    stage.script.at(RUNWARE, say.refused(429, "noAvailableServer", retry_after="30"), say.acked, say.finished())
    stage.script.at(RUNFLOW, stage.script.first(lambda: stage.clock.forward(8), stage.runflow.refused(402)))
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert offers(record) == [RUNWARE_PRO, RUNFLOW_PRO, RUNWARE_PRO]
    assert stage.script.to(RUNWARE)[1].at_s == 30, "counted from when it was said, not from now"


async def test_an_absurd_wait_is_none(stage: Stage):
    say = stage.runware
    stage.clock.luck = 0
    stage.script.at(RUNWARE, say.refused(429, "rateLimitExceeded", retry_after="99999999"))
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert offers(record) == [RUNWARE_PRO, RUNFLOW_PRO]


@pytest.mark.parametrize(("luck", "waited_s"), [(0.0, 0.0), (0.5, 0.25), (0.999, 0.4995)])
async def test_the_backoff_before_the_same_offer_is_full_jitter(stage: Stage, luck: float, waited_s: float):
    stage.clock.luck = luck
    stage.script.at(RUNWARE, not_sent, stage.runware.acked, stage.runware.finished())
    await stage.replica().run(RUNWARE_PRO)
    assert stage.script.to(RUNWARE)[1].at_s == pytest.approx(waited_s)


# --- until when -------------------------------------------------------------------------------------------------------


async def test_an_offer_that_cannot_be_expected_in_time_is_skipped(stage: Stage):
    """Eleven of twenty seconds are gone: kontext-max takes fifteen, the preview next to none."""
    late = stage.script.first(lambda: stage.clock.forward(11), stage.runware.refused(400, "noAvailableServer"))
    stage.script.at(RUNWARE, late)
    stage.script.at("local.test", edited)
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_MAX, PREVIEW, deadline_s=20)
    assert offers(record) == [RUNWARE_PRO, PREVIEW]


async def test_with_no_time_for_any_other_the_deadline_is_the_reason(stage: Stage):
    late = stage.script.first(lambda: stage.clock.forward(11), stage.runware.refused(400, "noAvailableServer"))
    stage.script.at(RUNWARE, late)
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_MAX, deadline_s=20)
    assert (record.status, problem(record)) == (Status.FAILED, "deadline")


async def test_accepted_work_is_followed_beyond_the_deadline_and_a_late_success_says_so(stage: Stage):
    slow = stage.script.first(lambda: stage.clock.forward(130), stage.runware.working)
    stage.script.at(RUNWARE, stage.runware.acked, slow, stage.runware.finished())
    record = await stage.replica().run(RUNWARE_PRO)
    assert record.status is Status.SUCCEEDED
    assert record.end is not None
    assert record.end.late


async def test_work_that_never_comes_is_left_unresolved_when_it_was_followed_long_enough(stage: Stage):
    stage.script.at(RUNWARE, stage.runware.acked)
    stage.script.always(RUNWARE, stage.runware.working)
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert (record.status, record.attempts[0].state) == (Status.UNRESOLVED, AttemptState.UNRESOLVED)
    assert (record.attempts[0].failure, len(record.attempts)) == (FailureKind.EXPIRED, 1)
    assert 700 < stage.clock.now_s <= 900
    assert stage.script.told(RUNWARE).count("getResponse") <= 60


async def test_what_of_it_came_until_then_is_delivered(stage: Stage):
    stage.script.at(RUNWARE, stage.runware.acked)
    stage.script.always(RUNWARE, stage.runware.finished(count=1))
    record = await stage.replica(timing=Timing(follow_s=60)).run(RUNWARE_PRO, n=2)
    assert record.status is Status.SUCCEEDED
    assert record.end is not None
    assert (len(record.end.images), record.end.cost_micro) == (1, 40_000)
    assert record.end.notes == ("1 of 2 pictures were made",)


async def test_polls_come_at_half_the_usual_time_and_then_at_a_share_of_what_has_passed(stage: Stage):
    say = stage.runware
    working: list[Line] = [say.working] * 4
    stage.script.at(RUNWARE, say.acked, *working, say.finished())
    await stage.replica().run(RUNWARE_PRO)
    at = [request.at_s for request in stage.script.to(RUNWARE)]
    assert at[1] == pytest.approx(5)
    assert at[2] == pytest.approx(5 + 0.6)
    assert all(0.5 <= after - before <= 0.13 * before for before, after in pairwise(at[2:]))


# --- a configuration that changed under the edit ----------------------------------------------------------------------


async def test_an_open_attempt_at_an_offer_that_is_no_longer_configured_is_unresolved(stage: Stage):
    stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked))
    replica = stage.replica("a")
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await stage.script.reached.wait()
    await replica.die(record)
    other = stage.replica("b")
    other.settings.offers.pop(RUNWARE_PRO)
    assert (await other.take_over(record)).status is Status.UNRESOLVED


async def test_a_queued_edit_whose_offers_are_no_longer_configured_fails(stage: Stage):
    replica = stage.replica("a", runware="max_concurrency = 1")
    stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked))
    first = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    stage.clock.hold()
    waiting = await replica.accept(RUNWARE_PRO)
    await stage.clock.somebody_sleeps()
    await replica.die(waiting)
    await replica.die(first)
    stage.clock.release()
    other = stage.replica("b")
    other.settings.offers.pop(RUNWARE_PRO)
    ended = await other.take_over(waiting)
    assert (ended.status, problem(ended)) == (Status.FAILED, "unsupported")
