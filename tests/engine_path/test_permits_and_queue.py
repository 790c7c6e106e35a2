"""An account takes so many attempts at a time; who finds no place waits for one, until the deadline."""

from gateway.state.records import Status
from tests.engine_path.script import RUNWARE
from tests.engine_path.stage import RUNWARE_PRO, Stage


async def test_the_second_edit_is_queued_and_runs_when_the_first_closes(stage: Stage):
    replica = stage.replica(runware="max_concurrency = 1")
    say = stage.runware
    stage.script.at(RUNWARE, say.acked, stage.script.halt(say.finished()))
    first = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    stage.clock.hold()
    second = await replica.accept(RUNWARE_PRO)
    assert (second.status, second.attempts) == (Status.QUEUED, ())
    await stage.clock.somebody_sleeps()
    assert (await stage.stored(second.id)).status is Status.QUEUED
    assert len(stage.script.taken) == 1
    stage.script.at(RUNWARE, say.acked, say.finished())
    stage.script.go_on.set()
    stage.clock.release()
    assert (await replica.ended(first)).status is Status.SUCCEEDED
    ended = await replica.ended(second)
    assert (ended.status, len(ended.attempts), len(stage.script.taken)) == (Status.SUCCEEDED, 1, 2)
    assert ended.attempts[0].opened_ms >= (await stage.stored(first.id)).attempts[0].closed_ms


async def test_who_finds_no_place_before_the_deadline_has_failed_by_it_and_bought_nothing(stage: Stage):
    replica = stage.replica(runware="max_concurrency = 1")
    stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked))
    await replica.accept(RUNWARE_PRO, deadline_s=900)
    await stage.script.reached.wait()
    ended = await replica.ended(await replica.accept(RUNWARE_PRO, deadline_s=30))
    assert (ended.status, ended.attempts) == (Status.FAILED, ())
    assert ended.end is not None
    assert ended.end.problem is not None
    assert (ended.end.problem.kind, ended.end.cost_micro) == ("deadline", 0)
    assert 30 - 10 < stage.clock.now_s <= 30, "as soon as the offer's usual time no longer fits"


async def test_an_attempt_that_is_being_resolved_keeps_its_place(stage: Stage):
    replica = stage.replica(runware="max_concurrency = 1")
    say = stage.runware
    stage.script.at(RUNWARE, say.lost, stage.script.halt(say.finished()))
    first = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    stage.clock.hold()
    second = await replica.accept(RUNWARE_PRO)
    assert second.status is Status.QUEUED
    stage.script.at(RUNWARE, say.acked, say.finished())
    stage.script.go_on.set()
    stage.clock.release()
    for record in (first, second):
        assert (await replica.ended(record)).status is Status.SUCCEEDED
