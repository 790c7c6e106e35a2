"""A submit whose answer was lost: it is resolved by its own id before anything else happens, or said to be unknown."""

import pytest

from adapters.contract import HttpReply
from gateway.egress import AnswerRefused, Reason
from gateway.engine.timing import Timing
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.scripts import Step
from tests.engine_path.script import LOCAL, RUNFLOW, RUNWARE, Line, Request, broken, not_sent, status
from tests.engine_path.stage import PREVIEW, PROMPT, RUNFLOW_PRO, RUNWARE_PRO, Stage, edited


def refused_answer(request: Request) -> HttpReply:
    raise AnswerRefused(Reason.SIZE, "the answer is larger than 64000000 bytes")


def taken_and(stage: Stage, answer: Line) -> Line:
    def line(request: Request) -> HttpReply:
        stage.runware.acked(request)
        reply = answer(request)
        assert isinstance(reply, HttpReply)
        return reply

    return line


LOST: dict[str, Line] = {
    "reset": broken,
    "an answer that our rules refused": refused_answer,
    "500": status(500, b"{}"),
    "502 in HTML": status(502, b"<html>bad gateway</html>"),
    "504": status(504),
    "cut JSON": status(200, b'{"data":[{"taskType":"imageInf'),
    "an empty 200": status(200),
    "a 200 about another task": status(200, b'{"data":[{"taskType":"imageInference","taskUUID":"other"}]}'),
    "408": status(408),
}


@pytest.mark.parametrize("answer", LOST)
@pytest.mark.parametrize("arrived", [True, False], ids=["arrived", "never arrived"])
async def test_whatever_was_lost_the_same_id_settles_it(stage: Stage, answer: str, arrived: bool):
    say = stage.runware
    lost = taken_and(stage, LOST[answer]) if arrived else LOST[answer]
    again = say.conflict if arrived else say.acked
    stage.script.at(RUNWARE, lost, say.silent, say.not_archived, again, say.finished())
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert (record.status, len(record.attempts), len(stage.script.taken)) == (Status.SUCCEEDED, 1, 1)
    assert stage.script.to(RUNFLOW) == []


async def test_while_it_is_looked_for_the_store_says_unknown(stage: Stage):
    replica = stage.replica()

    async def look() -> None:
        (attempt,) = (await stage.stored(record.id)).attempts
        assert attempt.state is AttemptState.UNKNOWN

    say = stage.runware
    stage.script.at(RUNWARE, say.lost, stage.script.first(look, say.working), say.finished())
    record = await replica.accept(RUNWARE_PRO)
    assert (await replica.ended(record)).status is Status.SUCCEEDED


async def test_work_that_polls_cannot_see_yet_is_not_sent_again(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, say.acked, say.silent, say.silent, say.silent, say.finished())
    await stage.replica().run(RUNWARE_PRO)
    assert stage.script.told(RUNWARE).count("imageInference") == 1


async def test_trouble_with_polls_is_no_verdict_on_the_work(stage: Stage):
    say, stage_lines = stage.runware, stage.script
    troubles = (broken, status(500), status(503), status(429), status(401), status(200, b"{"))
    stage_lines.at(RUNWARE, say.acked, *troubles, say.finished())
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert (record.status, len(record.attempts)) == (Status.SUCCEEDED, 1)


async def test_another_tasks_picture_is_not_ours(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, say.acked, say.foreign, say.finished(mark="own"))
    await stage.replica().run(RUNWARE_PRO)
    assert [request.url for request in stage.script.sent if request.method == "GET"] == [
        "https://im.runware.ai/own-0.png"
    ]


async def test_the_guard_time_counts_from_the_end_of_the_last_post(stage: Stage):
    say = stage.runware

    def slowly_lost(request: Request) -> HttpReply:
        stage.clock.forward(30)
        raise broken(request)

    round_ = (say.silent, say.not_archived)
    stage.script.at(RUNWARE, slowly_lost, *round_, slowly_lost, *round_, say.acked, say.finished())
    await stage.replica().run(RUNWARE_PRO)
    first, second, third = (post for post in stage.script.to(RUNWARE) if post.summary in ("imageInference", ""))
    assert second.at_s - (first.at_s + 30) >= 2
    assert third.at_s - (second.at_s + 30) >= 2


async def test_after_a_crash_the_guard_time_counts_from_when_the_dead_post_must_have_ended(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, stage.script.halt(say.acked))
    replica = stage.replica("a")
    record = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    await replica.die(record)
    stage.script.at(RUNWARE, say.silent, say.not_archived, say.conflict, say.finished())
    await stage.replica("b").take_over(record)
    look_up, resubmit = stage.script.to(RUNWARE)[1], stage.script.to(RUNWARE)[3]
    assert resubmit.at_s - look_up.at_s >= 30 + 2


def keep_silent(stage: Stage) -> None:
    """Whatever Runware is asked, nothing can be learnt."""
    stage.script.always(RUNWARE, status(500))


async def test_what_stays_unknown_for_resolve_s_is_unresolved_and_nobody_else_is_asked(stage: Stage):
    keep_silent(stage)
    record = await stage.replica(timing=Timing(resolve_s=60)).run(RUNWARE_PRO, RUNFLOW_PRO)
    assert (record.status, record.attempts[0].state) == (Status.UNRESOLVED, AttemptState.UNRESOLVED)
    assert record.end is not None
    assert record.end.problem is not None
    assert (record.end.problem.kind, record.end.cost_micro) == ("unresolved", 0)
    assert len(record.attempts) == 1
    assert stage.script.to(RUNFLOW) == []
    assert 30 < stage.clock.now_s <= 60
    assert stage.script.told(RUNWARE)[0] == ""
    assert stage.line.steps[-1] == "finish"


async def test_an_unresolved_edit_is_not_claimed_again(stage: Stage):
    keep_silent(stage)
    record = await stage.replica("a", timing=Timing(resolve_s=10)).run(RUNWARE_PRO)
    sent = len(stage.script.sent)
    other = stage.replica("b")
    stage.clock.forward(11)
    await other.engine.start()
    await other.metronome.rests()
    assert (await stage.stored(record.id)).epoch == 1
    assert len(stage.script.sent) == sent


def submits(stage: Stage) -> tuple[list[float], Line]:
    """A line that tells nothing, and the seconds at which something that could cost money was sent to it."""
    seen: list[float] = []

    def note(request: Request) -> HttpReply:
        if b"positivePrompt" in request.body:
            seen.append(request.at_s)
        return HttpReply(500, {}, b"")

    return seen, note


@pytest.mark.parametrize("resubmit_s", [0, 20, 45])
async def test_no_resubmit_is_sent_later_than_resubmit_s_after_the_first_post(stage: Stage, resubmit_s: float):
    seen, silence = submits(stage)
    stage.script.always(RUNWARE, silence)
    stage.clock.forward(7)
    record = await stage.replica(timing=Timing(resolve_s=300, resubmit_s=resubmit_s)).run(RUNWARE_PRO)
    assert record.status is Status.UNRESOLVED
    assert seen[0] == 7
    assert all(at <= 7 + resubmit_s for at in seen)
    assert (len(seen) > 1) == (resubmit_s > 0)


async def test_a_resubmit_that_must_wait_past_its_last_moment_is_not_sent(stage: Stage):
    """After a crash the guard is 32 s; a resubmit that would go out after it, and too late, must not."""
    say = stage.runware
    timing = Timing(resubmit_s=40)
    stage.script.at(RUNWARE, stage.script.halt(say.acked))
    replica = stage.replica("a", timing=timing)
    record = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    await replica.die(record)
    stage.script.at(RUNWARE, say.silent, say.not_archived, say.working, say.finished())
    ended = await stage.replica("b", timing=timing).take_over(record)
    assert ended.status is Status.SUCCEEDED
    assert stage.script.told(RUNWARE).count("imageInference") == 1


ACCOUNT = [(401, "invalidApiKey"), (402, "insufficientCredits"), (429, "rateLimitExceeded"), (503, "noAvailableServer")]


@pytest.mark.parametrize(("code", "word"), ACCOUNT)
async def test_a_resubmit_refused_for_our_account_proves_nothing(stage: Stage, code: int, word: str):
    say = stage.runware
    stage.script.at(RUNWARE, say.lost, say.silent, say.not_archived, say.refused(code, word))
    stage.script.at(RUNWARE, say.silent, say.not_archived, say.conflict, say.finished())
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert (record.status, len(record.attempts), len(stage.script.taken)) == (Status.SUCCEEDED, 1, 1)


@pytest.mark.parametrize("trouble", [not_sent, broken], ids=["never connected", "broken"])
async def test_a_resubmit_that_broke_proves_nothing_either(stage: Stage, trouble: Line):
    say = stage.runware
    round_ = (say.silent, say.not_archived)
    stage.script.at(RUNWARE, say.lost, *round_, trouble, *round_, say.conflict, say.finished())
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert (record.status, len(record.attempts), len(stage.script.taken)) == (Status.SUCCEEDED, 1, 1)


@pytest.mark.parametrize(
    ("word", "end", "kind"),
    [
        ("invalidPositivePromptLength", Status.FAILED, "invalid"),
        ("invalidProviderContent", Status.REFUSED, "moderated"),
    ],
)
async def test_a_resubmit_refused_for_its_content_is_the_verdict(stage: Stage, word: str, end: Status, kind: str):
    say = stage.runware
    stage.script.at(RUNWARE, broken, say.silent, say.not_archived, say.refused(400, word))
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert record.status is end
    assert record.attempts[0].state is AttemptState.RELEASED
    assert record.end is not None
    assert record.end.problem is not None
    assert record.end.problem.kind == kind
    assert stage.script.to(RUNFLOW) == []


async def test_a_task_that_was_cancelled_is_unresolved_at_once_since_nobody_says_what_it_costs(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, say.acked, say.working, say.failed("taskCancelled"))
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert (record.status, record.attempts[0].state) == (Status.UNRESOLVED, AttemptState.UNRESOLVED)
    assert stage.clock.now_s < 60


async def test_a_run_that_was_cancelled_at_runflow_is_not_bought_elsewhere_since_a_cancel_refunds_nothing(stage: Stage):
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.run("canceled"))
    record = await stage.replica().run(RUNFLOW_PRO, RUNWARE_PRO)
    assert (record.status, record.attempts[0].state) == (Status.UNRESOLVED, AttemptState.UNRESOLVED)


async def test_a_run_that_was_cancelled_at_runflow_and_billed_is_settled_and_not_bought_elsewhere(stage: Stage):
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.run("cancelled", "0.038000"))
    record = await stage.replica().run(RUNFLOW_PRO, RUNWARE_PRO)
    assert record.end is not None
    assert (record.status, record.end.cost_micro) == (Status.FAILED, 38_000)


# --- an id that exists before we ever sent it ------------------------------------------------------------------------


async def test_a_first_submit_that_conflicts_is_adopted_where_the_archive_proves_that_it_is_ours(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, say.conflict, say.archived(PROMPT), say.finished())
    assert (await stage.replica().run(RUNWARE_PRO)).status is Status.SUCCEEDED


async def test_a_first_submit_that_conflicts_with_somebody_elses_task_is_unresolved(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, say.conflict, say.archived("another prompt"))
    assert (await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)).status is Status.UNRESOLVED


async def test_a_question_for_the_owner_that_broke_is_asked_again_and_not_taken_for_a_lost_submit(stage: Stage):
    """Else the resubmit after it would conflict, and adopt what may be somebody else's."""
    say = stage.runware
    stage.script.at(RUNWARE, say.conflict, broken, broken, say.archived("another prompt"))
    assert (await stage.replica().run(RUNWARE_PRO)).status is Status.UNRESOLVED
    assert stage.script.told(RUNWARE).count("imageInference") == 1


async def test_a_question_for_the_owner_that_always_breaks_ends_unresolved(stage: Stage):
    stage.script.at(RUNWARE, stage.runware.conflict)
    stage.script.always(RUNWARE, broken)
    assert (await stage.replica().run(RUNWARE_PRO)).status is Status.UNRESOLVED
    assert stage.clock.now_s <= 120


async def test_a_crash_in_the_question_for_the_owner_asks_it_again(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, say.conflict, stage.script.halt(say.archived(PROMPT)))
    replica = stage.replica("a")
    record = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    await replica.die(record)
    stage.script.at(RUNWARE, say.archived("another prompt"))
    assert (await stage.replica("b").take_over(record)).status is Status.UNRESOLVED


# --- a provider that chooses the ids ---------------------------------------------------------------------------------


async def test_a_lost_run_is_found_by_our_reference(stage: Stage):
    say = stage.runflow
    stage.script.at(RUNFLOW, say.lost, say.nothing_listed, say.nothing_listed, say.listed, say.succeeded())
    record = await stage.replica().run(RUNFLOW_PRO, RUNWARE_PRO)
    assert (record.status, len(record.attempts), len(stage.script.taken)) == (Status.SUCCEEDED, 1, 1)
    assert stage.script.to(RUNWARE) == []


async def test_a_run_that_is_not_found_in_its_quarantine_is_unresolved_and_not_started_again(stage: Stage):
    stage.script.at(RUNFLOW, stage.runflow.lost)
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    record = await stage.replica().run(RUNFLOW_PRO, RUNWARE_PRO)
    assert record.status is Status.UNRESOLVED
    assert stage.script.told(RUNFLOW).count("run") == 1
    assert stage.clock.now_s >= 60
    assert stage.script.to(RUNWARE) == []


async def test_a_run_that_must_have_shown_by_now_never_arrived_and_the_next_offer_follows(stage: Stage):
    stage.script.at(RUNFLOW, broken)
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await stage.replica(runflow="absent_after_s = 80").run(RUNFLOW_PRO, RUNWARE_PRO)
    assert (record.status, record.attempts[0].state) == (Status.SUCCEEDED, AttemptState.RELEASED)
    assert stage.script.told(RUNFLOW).count("run") == 0
    assert stage.script.to(RUNWARE)[0].at_s >= 80


async def test_a_run_that_shows_at_the_last_moment_is_adopted_all_the_same(stage: Stage):
    say = stage.runflow
    stage.script.at(RUNFLOW, say.lost, say.nothing_listed, say.listed, say.succeeded())
    record = await stage.replica(runflow="quarantine_s = 0\nabsent_after_s = 30").run(RUNFLOW_PRO, RUNWARE_PRO)
    assert (record.status, len(record.attempts), len(stage.script.taken)) == (Status.SUCCEEDED, 1, 1)


async def test_a_silence_that_counts_only_after_resolve_s_is_left_to_the_reconciler(stage: Stage):
    stage.script.at(RUNFLOW, broken)
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    record = await stage.replica(runflow="absent_after_s = 121").run(RUNFLOW_PRO, RUNWARE_PRO)
    assert record.status is Status.UNRESOLVED
    assert not any("limit=" in request.url for request in stage.script.to(RUNFLOW))


@pytest.mark.parametrize("trouble", [broken, not_sent, status(500)], ids=["broken", "never connected", "500"])
async def test_an_upload_that_broke_bought_nothing_and_the_next_offer_follows(stage: Stage, trouble: Line):
    stage.script.at(RUNFLOW, trouble)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await stage.replica(runflow="inline_limit_bytes = 0").run(RUNFLOW_PRO, RUNWARE_PRO)
    assert (record.status, record.attempts[0].state) == (Status.SUCCEEDED, AttemptState.RELEASED)


# --- where nobody bills ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [broken, status(500), status(200, b"{")], ids=["reset", "500", "cut"])
async def test_a_lost_answer_of_an_unbilled_offer_is_a_failure_and_tried_again(stage: Stage, answer: Line):
    stage.script.at(LOCAL, answer, edited)
    record = await stage.replica().run(PREVIEW)
    assert (record.status, len(record.attempts)) == (Status.SUCCEEDED, 2)
    assert record.attempts[0].state is AttemptState.RELEASED


async def test_an_unbilled_offer_that_stays_silent_fails_and_is_never_unresolved(stage: Stage):
    stage.script.at(LOCAL, broken, broken)
    record = await stage.replica().run(PREVIEW)
    assert record.status is Status.FAILED


async def test_a_crash_during_an_unbilled_submit_is_a_failure_and_tried_again(stage: Stage):
    stage.script.at(LOCAL, stage.script.halt(edited))
    replica = stage.replica("a")
    record = await replica.accept(PREVIEW)
    await stage.script.reached.wait()
    await replica.die(record)
    stage.script.at(LOCAL, edited)
    ended = await stage.replica("b").take_over(record)
    assert (ended.status, len(ended.attempts)) == (Status.SUCCEEDED, 2)


async def test_an_unbilled_provider_that_is_polled_and_never_ends_is_a_failure(stage: Stage):
    """Runflow's wire on a machine of ours: nobody charges, so nothing is unknown."""
    replica = stage.replica(runflow="billed = false", timing=Timing(follow_s=60))
    stage.script.at(RUNFLOW, stage.runflow.created)
    stage.script.always(RUNFLOW, stage.runflow.run("running"))
    record = await replica.run(RUNFLOW_PRO)
    assert (record.status, record.attempts[0].state) == (Status.FAILED, AttemptState.RELEASED)


# --- a stamp that went stale -----------------------------------------------------------------------------------------


async def test_a_post_that_did_not_begin_within_two_seconds_is_stamped_anew(stage: Stage):
    replica = stage.replica()
    stage.shelf.pauses_s = [2.5]

    async def look() -> None:
        (attempt,) = (await stage.stored(record.id)).attempts
        assert attempt.posted_ms == stage.clock.now_ms()
        assert attempt.first_posted_ms < attempt.posted_ms

    stage.script.at(RUNWARE, stage.script.first(look, stage.runware.acked), stage.runware.finished())
    record = await replica.accept(RUNWARE_PRO)
    await replica.ended(record)
    assert stage.line.steps == [Step.ACCEPT, Step.STORE, Step.REFER, Step.FINISH]


async def test_a_post_within_two_seconds_is_not(stage: Stage):
    stage.shelf.pauses_s = [1.5]
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    await stage.replica().run(RUNWARE_PRO)
    assert stage.line.steps == [Step.ACCEPT, Step.REFER, Step.FINISH]


async def test_an_acceptance_whose_reply_came_late_is_stamped_anew(stage: Stage):
    """The reply of a repeat tells of a step that was taken when it was first asked for."""
    replica = stage.replica()

    async def look() -> None:
        (attempt,) = (await stage.stored(record.id)).attempts
        assert attempt.posted_ms == stage.clock.now_ms()

    stage.line.after[Step.ACCEPT] = lambda: stage.clock.sleep(2.5)
    stage.script.at(RUNWARE, stage.script.first(look, stage.runware.acked), stage.runware.finished())
    record = await replica.accept(RUNWARE_PRO)
    assert (await replica.ended(record)).status is Status.SUCCEEDED
    assert stage.line.steps == [Step.ACCEPT, Step.STORE, Step.REFER, Step.FINISH]


async def test_a_fenced_owner_notices_at_its_stale_stamp_and_sends_nothing(stage: Stage):
    """It was paused between its stamp and its post; meanwhile somebody else took the edit."""
    slow, other = stage.replica("a"), stage.replica("b")
    say = stage.runware
    stage.script.at(RUNWARE, say.silent, say.not_archived, say.acked, say.finished())
    ends: list[EditRecord] = []

    async def somebody_claims() -> None:
        ends.append(await other.take_over(record))

    stage.shelf.pauses_s = [15]
    stage.line.before[Step.STORE] = somebody_claims
    record = await slow.accept(RUNWARE_PRO)
    await slow.engine.wait(record, 20)
    assert ends == [await stage.stored(record.id)]
    assert len(stage.script.taken) == 1
    assert not stage.script.surprises


async def test_a_resubmit_that_was_paused_past_its_last_moment_is_not_sent(stage: Stage):
    """The machine slept between the stamp and the post."""
    say = stage.runware
    stage.script.at(RUNWARE, say.lost, say.silent, say.not_archived)
    stage.shelf.pauses_s = [0, 700]
    posted, silence = submits(stage)
    stage.script.always(RUNWARE, silence)
    record = await stage.replica(timing=Timing(resolve_s=1000)).run(RUNWARE_PRO)
    assert record.status is Status.UNRESOLVED
    assert posted == []
    assert all(request.at_s > 700 for request in stage.script.to(RUNWARE)[3:])
