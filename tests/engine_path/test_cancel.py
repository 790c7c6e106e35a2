"""A caller wants no more of an edit: what waits is free, what a provider took is paid, and nothing is delivered."""

import pytest

from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.scripts import Step
from policies.sketch import PRIOR_SUCCESS
from tests.engine_path.script import LOCAL, PICTURES, RUNFLOW, RUNWARE, not_sent
from tests.engine_path.stage import PREVIEW, RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage, edited


async def heard(stage: Stage, replica: Replica, edit: str) -> None:
    """Asked for at any replica, and heard by the one that works on it."""
    assert await stage.reader.cancel(edit)
    replica.engine.hear_cancel(edit)


async def one_runs_and_one_waits(stage: Stage, replica: Replica) -> tuple[EditRecord, EditRecord]:
    """The account takes one edit at a time. The clock is held."""
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.finished()))
    first = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    stage.clock.hold()
    waiting = await replica.accept(RUNWARE_PRO, prompt="Make the mug red")
    await stage.clock.somebody_sleeps()
    return first, waiting


async def test_an_edit_that_waits_for_a_place_ends_at_once_and_for_free(stage: Stage):
    replica = stage.replica(runware="max_concurrency = 1")
    first, waiting = await one_runs_and_one_waits(stage, replica)
    await heard(stage, replica, waiting.id)
    ended = await replica.ended(waiting)
    assert (ended.status, ended.attempts, ended.end and ended.end.cost_micro) == (Status.CANCELLED, (), 0)
    assert ended.cancel_ms
    stage.clock.release()
    stage.script.go_on.set()
    assert (await replica.ended(first)).status is Status.SUCCEEDED


async def test_a_cancel_that_its_owner_did_not_hear_still_keeps_it_from_opening_an_attempt(stage: Stage):
    replica = stage.replica(runware="max_concurrency = 1")
    first, waiting = await one_runs_and_one_waits(stage, replica)
    assert await stage.reader.cancel(waiting.id)
    stage.script.go_on.set()
    await replica.ended(first)
    stage.clock.release()
    ended = await replica.ended(waiting)
    assert (ended.status, ended.attempts) == (Status.CANCELLED, ())


async def test_what_a_provider_has_taken_is_followed_paid_and_not_fetched(stage: Stage):
    replica = stage.replica()
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.finished(cost=0.0385)))
    record = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    await heard(stage, replica, record.id)
    stage.script.go_on.set()
    ended = await replica.ended(record)
    (attempt,) = ended.attempts
    assert ended.end is not None
    assert (ended.status, ended.end.images, ended.end.cost_micro) == (Status.CANCELLED, (), 38_500)
    assert (attempt.state, attempt.cost_micro) == (AttemptState.SETTLED, 38_500)
    assert stage.script.told(PICTURES) == []


@pytest.mark.parametrize(("local", "cost_micro"), [("", 0), ('gpu_second_usd = "0.0008"', 2_400)])
async def test_a_machine_of_ones_own_is_let_go_at_once_at_what_it_has_cost(stage: Stage, local: str, cost_micro: int):
    replica = stage.replica(local=local)
    stage.script.at(LOCAL, stage.script.halt(edited))
    record = await replica.accept(PREVIEW)
    await stage.script.reached.wait()
    stage.clock.forward(3)
    await heard(stage, replica, record.id)
    ended = await replica.ended(record)
    (attempt,) = ended.attempts
    assert ended.end is not None
    assert (ended.status, ended.end.images, ended.end.cost_micro) == (Status.CANCELLED, (), cost_micro)
    assert (attempt.state, attempt.failure) == (AttemptState.SETTLED, None)
    assert replica.health.facts()[PREVIEW].success == PRIOR_SUCCESS, "it says nothing about the machine"


async def test_a_cancel_that_the_store_lost_is_not_shown_as_a_success_without_a_picture(stage: Stage):
    """Its primary died with the wish, and after its owner had been called."""
    replica = stage.replica()
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.finished()))
    record = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    replica.engine.hear_cancel(record.id)
    stage.script.go_on.set()
    ended = await replica.ended(record)
    assert ended.end is not None
    assert (ended.status, ended.end.cost_micro) == (Status.CANCELLED, 40_000)


async def test_a_cancel_just_before_the_end_is_still_one(stage: Stage):
    replica = stage.replica()

    async def ask():
        assert await stage.reader.cancel(record.id)

    stage.line.before[Step.FINISH] = ask
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await replica.accept(RUNWARE_PRO)
    ended = await replica.ended(record)
    assert ended.end is not None
    assert (ended.status, ended.end.images, ended.end.cost_micro) == (Status.CANCELLED, (), 40_000)


async def test_an_edit_that_ended_cannot_be_cancelled(stage: Stage):
    replica = stage.replica()
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    ended = await replica.run(RUNWARE_PRO)
    assert not await stage.reader.cancel(ended.id)
    assert not await stage.reader.cancel("edit_none")
    assert await stage.stored(ended.id) == ended


async def test_after_a_failure_nothing_else_is_tried(stage: Stage):
    replica = stage.replica()

    async def ask():
        await heard(stage, replica, record.id)

    stage.script.at(RUNWARE, stage.script.first(ask, not_sent))
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    ended = await replica.ended(record)
    assert (ended.status, [one.offer for one in ended.attempts]) == (Status.CANCELLED, [RUNWARE_PRO])
    assert (ended.end and ended.end.cost_micro, stage.script.told(RUNFLOW)) == (0, [])


async def test_whoever_takes_the_edit_over_knows_that_it_was_cancelled(stage: Stage):
    first = stage.replica("a")
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.working))
    record = await first.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    assert await stage.reader.cancel(record.id)
    await first.die(record)
    stage.script.always(RUNWARE, stage.runware.finished())
    ended = await stage.replica("b").take_over(record)
    assert (ended.status, ended.end and ended.end.cost_micro) == (Status.CANCELLED, 40_000)


async def test_what_may_have_been_charged_stays_unresolved(stage: Stage):
    replica = stage.replica()

    async def ask():
        await heard(stage, replica, record.id)

    stage.script.at(RUNFLOW, stage.script.first(ask, stage.runflow.lost))
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    record = await replica.accept(RUNFLOW_PRO)
    ended = await replica.ended(record)
    assert (ended.status, ended.attempts[0].state) == (Status.UNRESOLVED, AttemptState.UNRESOLVED)
