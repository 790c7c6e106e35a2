"""A process that dies, or only sleeps, at any point of the path: another one goes on, and the work is bought once.

The points are those at which a crash could lose an edit, buy it twice, or settle it twice. The script's own bill
(`taken`) is the judge.
"""

import asyncio
from collections.abc import Callable

import pytest

from gateway.state.edits import Fenced
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.scripts import Step
from tests.engine_path.script import RUNFLOW, RUNWARE, Line, broken
from tests.engine_path.stage import RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage

Lines = Callable[[Stage], list[Line]]

# What Runware is asked until the process dies (the last line stands still), and what the next process finds there.
RUNWARE_POINTS: dict[str, tuple[Lines, Lines]] = {
    "stamped, not yet posted": (
        lambda stage: [stage.script.halt()],
        lambda stage: [stage.runware.silent, stage.runware.not_archived, stage.runware.acked, stage.runware.finished()],
    ),
    "posted and taken, the answer unread": (
        lambda stage: [stage.script.halt(stage.runware.acked)],
        lambda stage: [
            stage.runware.silent,
            stage.runware.not_archived,
            stage.runware.conflict,
            stage.runware.finished(),
        ],
    ),
    "accepted, and Runware says so": (
        lambda stage: [stage.runware.acked, stage.script.halt(stage.runware.working)],
        lambda stage: [stage.runware.working, stage.runware.finished()],
    ),
    "done while nobody looked": (
        lambda stage: [stage.runware.acked, stage.script.halt(stage.runware.working)],
        lambda stage: [stage.runware.finished()],
    ),
    "resolving a lost answer": (
        lambda stage: [stage.runware.lost, stage.script.halt(stage.runware.silent)],
        lambda stage: [
            stage.runware.silent,
            stage.runware.not_archived,
            stage.runware.conflict,
            stage.runware.finished(),
        ],
    ),
    "the resubmit posted, its answer unread": (
        lambda stage: [
            broken,
            stage.runware.silent,
            stage.runware.not_archived,
            stage.script.halt(stage.runware.acked),
        ],
        lambda stage: [stage.runware.conflict, stage.runware.finished()],
    ),
    "the result read, nothing settled": (
        lambda stage: [stage.runware.acked, stage.script.first(finish_stands_still(stage), stage.runware.finished())],
        lambda stage: [stage.runware.finished()],
    ),
}


def finish_stands_still(stage: Stage) -> Callable[[], None]:
    """The step that settles is about to go out, and the process dies."""

    async def stand_still() -> None:
        stage.script.reached.set()
        await asyncio.Event().wait()

    def arm() -> None:
        stage.line.before[Step.FINISH] = stand_still

    return arm


async def crashed(stage: Stage, replica: Replica, offer: str) -> EditRecord:
    record = await replica.accept(offer)
    await asyncio.wait_for(stage.script.reached.wait(), 10)
    await replica.die(record)
    stage.line.before.clear()
    assert not stage.script.left()
    return record


def assert_bought_once(stage: Stage, record: EditRecord) -> None:
    assert record.status is Status.SUCCEEDED
    assert len(stage.script.taken) == 1
    assert record.end is not None
    (attempt,) = record.attempts
    assert (attempt.state, attempt.cost_micro, record.end.cost_micro) == (AttemptState.SETTLED, 40_000, 40_000)


@pytest.mark.parametrize("point", RUNWARE_POINTS)
async def test_after_a_crash_another_replica_finishes_at_runware_and_buys_nothing_twice(stage: Stage, point: str):
    until_the_crash, after_it = RUNWARE_POINTS[point]
    stage.script.at(RUNWARE, *until_the_crash(stage))
    record = await crashed(stage, stage.replica("a"), RUNWARE_PRO)
    stage.script.at(RUNWARE, *after_it(stage))
    ended = await stage.replica("b").take_over(record)
    assert_bought_once(stage, ended)
    assert not stage.script.left()
    assert (ended.owner, ended.epoch) == ("b", 2)


RUNFLOW_POINTS: dict[str, tuple[Lines, Lines]] = {
    "posted and taken, the answer unread": (
        lambda stage: [stage.script.halt(stage.runflow.created)],
        lambda stage: [stage.runflow.nothing_listed, stage.runflow.listed, stage.runflow.succeeded()],
    ),
    "the run id stored": (
        lambda stage: [stage.runflow.created, stage.script.halt(stage.runflow.run("running"))],
        lambda stage: [stage.runflow.run("running"), stage.runflow.succeeded()],
    ),
    "the result read, nothing settled": (
        lambda stage: [
            stage.runflow.created,
            stage.script.first(finish_stands_still(stage), stage.runflow.succeeded()),
        ],
        lambda stage: [stage.runflow.succeeded()],
    ),
}


@pytest.mark.parametrize("point", RUNFLOW_POINTS)
async def test_after_a_crash_another_replica_finds_the_run_at_runflow_and_starts_no_second(stage: Stage, point: str):
    until_the_crash, after_it = RUNFLOW_POINTS[point]
    stage.script.at(RUNFLOW, *until_the_crash(stage))
    record = await crashed(stage, stage.replica("a"), RUNFLOW_PRO)
    stage.script.at(RUNFLOW, *after_it(stage))
    assert_bought_once(stage, await stage.replica("b").take_over(record))
    assert not stage.script.left()
    assert stage.script.told(RUNFLOW).count("run") == 1


async def test_a_run_stamped_but_never_posted_ends_unresolved_at_runflow_and_is_not_started_again(stage: Stage):
    stage.script.at(RUNFLOW, stage.script.halt())
    record = await crashed(stage, stage.replica("a"), RUNFLOW_PRO)
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    ended = await stage.replica("b").take_over(record)
    assert (ended.status, ended.attempts[0].state) == (Status.UNRESOLVED, AttemptState.UNRESOLVED)
    assert stage.script.taken == []
    assert set(stage.script.told(RUNFLOW)[1:]) == {"list"}


async def test_a_run_id_learnt_but_not_stored_is_found_again(stage: Stage):
    replica = stage.replica("a")

    async def stand_still() -> None:
        stage.script.reached.set()
        await asyncio.Event().wait()

    stage.line.before[Step.STORE] = stand_still
    stage.script.at(RUNFLOW, stage.runflow.created)
    record = await crashed(stage, replica, RUNFLOW_PRO)
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    assert_bought_once(stage, await stage.replica("b").take_over(record))


async def test_a_crash_in_the_upload_begins_the_upload_again(stage: Stage):
    config = "inline_limit_bytes = 0"
    stage.script.at(RUNFLOW, stage.runflow.upload_opened)
    stage.script.at("storage.test", stage.script.halt(stage.runflow.stored))
    record = await crashed(stage, stage.replica("a", runflow=config), RUNFLOW_PRO)
    say = stage.runflow
    stage.script.at(RUNFLOW, say.upload_opened, say.confirmed, say.created, say.succeeded())
    stage.script.at("storage.test", say.stored)
    assert_bought_once(stage, await stage.replica("b", runflow=config).take_over(record))


async def test_a_crash_while_queued_submits_once(stage: Stage):
    """The edit is durable and nothing of it was begun: its only provider had no place."""
    config = "max_concurrency = 1"
    replica = stage.replica("a", runware=config)
    stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked))
    first = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    stage.clock.hold()
    waiting = await replica.accept(RUNWARE_PRO)
    await stage.clock.somebody_sleeps()
    assert (await stage.stored(waiting.id)).status is Status.QUEUED
    await replica.die(waiting)
    await replica.die(first)
    stage.clock.release()
    say = stage.runware
    stage.script.at(RUNWARE, say.finished(), say.acked, say.finished())
    other = stage.replica("b", runware=config)
    await other.take_over(first)
    ended = await other.ended(waiting)
    assert ended.status is Status.SUCCEEDED
    assert len(ended.attempts) == 1
    assert len(stage.script.taken) == 2
    assert stage.script.told(RUNWARE).count("imageInference") == 2


async def test_a_crash_after_the_end_was_written_leaves_nothing_to_do(stage: Stage):
    async def stand_still() -> None:
        stage.script.reached.set()
        await asyncio.Event().wait()

    stage.line.after[Step.FINISH] = stand_still
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await crashed(stage, stage.replica("a"), RUNWARE_PRO)
    assert_bought_once(stage, await stage.stored(record.id))
    other = stage.replica("b")
    stage.clock.forward(11)
    await other.engine.start()
    await other.metronome.rests()
    assert (await stage.stored(record.id)).epoch == 1
    assert stage.line.steps.count(Step.FINISH) == 1


async def test_a_crash_between_two_attempts_goes_on_with_the_next_one(stage: Stage):
    async def stand_still() -> None:
        stage.script.reached.set()
        await asyncio.Event().wait()

    stage.line.before[Step.OPEN] = stand_still
    stage.script.at(RUNWARE, stage.runware.refused(400, "unsupportedDimensions"))
    replica = stage.replica("a")
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await stage.script.reached.wait()
    await replica.die(record)
    assert (await stage.stored(record.id)).attempts[0].state is AttemptState.RELEASED
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    other = stage.replica("b")
    ended = await other.take_over(record)
    ended_here = {"offer": RUNWARE_PRO, "outcome": "unsupported", "position": "1"}
    assert other.metrics.registry.get_sample_value("kontext_attempts_total", ended_here) is None, "counted by the dead"
    assert (ended.status, [attempt.offer for attempt in ended.attempts]) == (
        Status.SUCCEEDED,
        [RUNWARE_PRO, RUNFLOW_PRO],
    )
    assert len(stage.script.to(RUNWARE)) == 1


async def test_an_owner_that_only_slept_is_fenced_and_writes_nothing_more(stage: Stage):
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.finished(mark="old")))
    sleeper = stage.replica("a")
    record = await sleeper.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    stage.script.at(RUNWARE, stage.runware.finished(mark="new"))
    ended = await stage.replica("b").take_over(record)
    assert_bought_once(stage, ended)
    written = len(stage.line.steps)
    stage.script.go_on.set()
    told = await sleeper.engine.wait(record, 20)
    assert told == await stage.stored(record.id) == ended
    assert stage.line.steps[written:] == [Step.REFER, Step.FINISH], "its picture is the same; its one step was refused"
    ok = {"tier": "preview", "policy": "any", "outcome": "ok"}
    assert sleeper.metrics.registry.get_sample_value("kontext_edits_total", ok) is None
    with pytest.raises(Fenced):
        await sleeper.edits.close(record, ended.attempts[0])


async def test_of_two_replicas_that_recover_the_same_edit_one_wins(stage: Stage):
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.working))
    record = await crashed(stage, stage.replica("a"), RUNWARE_PRO)
    stage.script.at(RUNWARE, stage.runware.finished())
    rivals = [stage.replica("b"), stage.replica("c")]
    stage.clock.forward(11)
    await asyncio.gather(*(rival.engine.start() for rival in rivals))
    await asyncio.gather(*(rival.metronome.rests() for rival in rivals))
    for rival in rivals:
        await rival.engine.wait(record, 20)
    ended = await stage.stored(record.id)
    assert_bought_once(stage, ended)
    assert ended.epoch == 2
    assert stage.line.steps.count(Step.FINISH) == 1
    assert not stage.script.surprises


async def test_a_replica_that_closes_in_order_hands_its_edits_over_at_once(stage: Stage):
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.working))
    leaver = stage.replica("a")
    await leaver.engine.start()
    record = await leaver.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    caller = asyncio.create_task(leaver.engine.wait(record, 20))
    await asyncio.sleep(0)
    await leaver.engine.aclose()
    assert (await caller).status is Status.RUNNING, "a waiting caller is told how the edit stands"
    stage.script.at(RUNWARE, stage.runware.finished())
    other = stage.replica("b")
    await other.engine.start()
    await other.metronome.rests()
    assert_bought_once(stage, await other.ended(record))
