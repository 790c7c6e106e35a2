"""Two runners for one edit, at any turn of their race: one picture, every charge known, and whatever dies in between.

The first runner's poll stands still until a test lets it go on, so its 95th percentile passes by the clock. The
script's own bill (`taken`) is the judge.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from adapters.contract import HttpReply
from gateway.state.budgets import OverBudget
from gateway.state.corrections import Corrections
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.scripts import Step
from tests.engine_path.script import LOCAL, RUNFLOW, RUNWARE, Line, Request
from tests.engine_path.stage import PREVIEW, RUNFLOW_MAX, RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage, edited

BOUGHT = 'hedge = { max_extra_usd = "0.04" }'
SETTLED, RELEASED, UNRESOLVED = AttemptState.SETTLED, AttemptState.RELEASED, AttemptState.UNRESOLVED


class Gate:
    """A place at which a line of the script stands still until it is opened."""

    def __init__(self) -> None:
        self.reached, self._open = asyncio.Event(), asyncio.Event()

    def open(self) -> None:
        self._open.set()

    def before(self, line: Line) -> Line:
        async def held(request: Request) -> HttpReply:
            self.reached.set()
            await self._open.wait()
            reply = line(request)
            return await reply if isinstance(reply, Awaitable) else reply

        return held


async def over(record: EditRecord) -> None:
    """Nobody works on the edit any more, its outrun runner neither."""
    while tasks := [task for task in asyncio.all_tasks() if task.get_name() == record.id]:
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)


def story(record: EditRecord) -> list[tuple[str, AttemptState, bool]]:
    return [(attempt.offer, attempt.state, attempt.lost) for attempt in record.attempts]


def wasted(replica: Replica, offer: str) -> float | None:
    labels = {"offer": offer, "reason": "hedge"}
    return replica.metrics.registry.get_sample_value("kontext_wasted_cost_usd_total", labels)


async def test_the_second_runner_delivers_and_the_outrun_first_is_booked_when_it_ends(stage: Stage):
    replica, slow, say = stage.replica(team=BOUGHT), Gate(), stage.runflow
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.working), stage.runware.finished())
    stage.script.at(RUNFLOW, say.created, say.succeeded())
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    assert stage.line.steps == [Step.ACCEPT]
    ended = await replica.ended(record)
    assert (ended.status, ended.end and ended.end.offer) == (Status.SUCCEEDED, RUNFLOW_PRO)
    assert story(ended) == [(RUNWARE_PRO, UNRESOLVED, True), (RUNFLOW_PRO, SETTLED, False)]
    assert ended.attempts[1].opened_ms - ended.attempts[0].opened_ms >= 1000 * ended.plan.candidates[0].most_s
    slow.open()
    await over(record)
    booked = await stage.stored(record.id)
    assert story(booked) == [(RUNWARE_PRO, SETTLED, True), (RUNFLOW_PRO, SETTLED, False)]
    assert [attempt.cost_micro for attempt in booked.attempts] == [40_000, 40_000]
    assert len(stage.script.taken) == 2
    assert wasted(replica, RUNWARE_PRO) == pytest.approx(0.04)
    assert stage.line.steps == [
        Step.ACCEPT, Step.STORE, Step.OPEN, Step.STORE, Step.REFER, Step.CLOSE, Step.FINISH, Step.RESOLVE,
    ]  # fmt: skip


async def test_the_first_runner_delivers_and_the_outrun_second_is_booked_when_it_ends(stage: Stage):
    replica, slow, slower = stage.replica(team=BOUGHT), Gate(), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.finished()))
    stage.script.at(RUNFLOW, stage.runflow.created, slower.before(stage.runflow.succeeded()))
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await asyncio.wait_for(slower.reached.wait(), 10)
    slow.open()
    ended = await replica.ended(record)
    assert story(ended) == [(RUNWARE_PRO, SETTLED, False), (RUNFLOW_PRO, UNRESOLVED, True)]
    slower.open()
    await over(record)
    assert story(await stage.stored(record.id))[1] == (RUNFLOW_PRO, SETTLED, True)


async def test_nobody_runs_beside_whom_the_team_did_not_buy(stage: Stage):
    replica = stage.replica()
    stage.script.at(RUNWARE, stage.runware.acked, *[stage.runware.working] * 6, stage.runware.finished())
    record = await replica.run(RUNWARE_PRO, RUNFLOW_PRO)
    assert (stage.line.steps, len(record.attempts)) == ([Step.ACCEPT, Step.REFER, Step.FINISH], 1)


async def test_a_local_runner_is_preferred_costs_nothing_and_needs_no_money(stage: Stage):
    replica, slow = stage.replica(team="hedge = {}"), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.finished()))
    stage.script.at(LOCAL, edited)
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO, PREVIEW)
    ended = await replica.ended(record)
    assert ended.end is not None
    assert (ended.end.offer, ended.end.cost_micro) == (PREVIEW, 0)
    slow.open()
    await over(record)
    assert story(await stage.stored(record.id)) == [(RUNWARE_PRO, SETTLED, True), (PREVIEW, SETTLED, False)]


async def test_an_outrun_local_runner_is_dropped(stage: Stage):
    replica, slow, local = stage.replica(team=BOUGHT), Gate(), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.finished()))
    stage.script.at(LOCAL, local.before(edited))
    record = await replica.accept(RUNWARE_PRO, PREVIEW)
    await asyncio.wait_for(local.reached.wait(), 10)
    slow.open()
    ended = await replica.ended(record)
    assert story(ended) == [(RUNWARE_PRO, SETTLED, False), (PREVIEW, RELEASED, True)]
    await over(record)


async def test_after_a_failure_it_goes_on_though_the_last_attempt_is_of_an_outrun_runner(stage: Stage):
    """The winner's end could not be written, its provider took its word back, and then the path broke off once more."""
    replica, slow, local = stage.replica(team=BOUGHT), Gate(), Gate()
    say = stage.runware
    stage.script.at(RUNWARE, say.acked, slow.before(say.finished()), *[say.failed("taskFailed")] * 2)
    stage.script.at(LOCAL, local.before(edited), edited)
    await replica.engine.start()
    record = await replica.accept(RUNWARE_PRO, PREVIEW)
    await asyncio.wait_for(local.reached.wait(), 10)

    async def away() -> None:
        raise RedisConnectionError("the store is away")

    stage.line.before |= {Step.FINISH: away, Step.OPEN: away}
    slow.open()
    for _ in range(4):
        await over(record)
        await replica.metronome.tick()
        await replica.metronome.rests()
    ended = await replica.ended(record)
    assert (ended.status, len(ended.attempts)) == (Status.SUCCEEDED, 3)


async def test_a_refusal_stays_final_where_the_other_one_takes_its_own_back(stage: Stage):
    """Both refused at once, and the end could not be written."""
    replica, slow = stage.replica(team=BOUGHT), Gate()
    say = stage.runware
    moderated = stage.runflow.run("failed", failure_code="CONTENT_MODERATED")
    refused = slow.before(say.failed("invalidProviderContent"))
    stage.script.at(RUNWARE, say.acked, refused, *[say.failed("taskFailed")] * 2)
    stage.script.at(RUNFLOW, stage.runflow.created, stage.script.first(slow.open, slow.before(moderated)))
    await replica.engine.start()

    async def away() -> None:
        raise RedisConnectionError("the store is away")

    stage.line.before[Step.FINISH] = away
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO, RUNFLOW_MAX)
    for _ in range(3):
        await over(record)
        await replica.metronome.tick()
        await replica.metronome.rests()
    ended = await replica.ended(record)
    assert (ended.status, len(ended.attempts)) == (Status.REFUSED, 2)


async def test_a_refusal_of_the_second_runner_discards_the_firsts_picture(stage: Stage):
    replica, slow = stage.replica(team=BOUGHT), Gate()
    stage.script.at(RUNFLOW, stage.runflow.created, slow.before(stage.runflow.succeeded()))
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.failed("invalidProviderContent"))
    record = await replica.accept(RUNFLOW_PRO, RUNWARE_PRO)
    assert (await replica.ended(record)).status is Status.REFUSED
    slow.open()
    await over(record)
    ended = await stage.stored(record.id)
    assert (ended.status, ended.end and ended.end.images) == (Status.REFUSED, ())
    assert story(ended)[0] == (RUNFLOW_PRO, SETTLED, True)


async def test_a_refusal_of_the_first_runner_discards_the_seconds_picture(stage: Stage):
    replica, slow, slower = stage.replica(team=BOUGHT), Gate(), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.failed("invalidProviderContent")))
    stage.script.at(RUNFLOW, stage.runflow.created, slower.before(stage.runflow.succeeded()))
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await asyncio.wait_for(slower.reached.wait(), 10)
    slow.open()
    assert (await replica.ended(record)).status is Status.REFUSED
    slower.open()
    await over(record)
    ended = await stage.stored(record.id)
    assert (ended.status, story(ended)[1]) == (Status.REFUSED, (RUNFLOW_PRO, SETTLED, True))


async def test_where_the_second_runner_fails_the_first_goes_on(stage: Stage):
    replica, slow = stage.replica(team=BOUGHT), Gate()
    stage.line.after[Step.CLOSE] = later(slow)
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.working), stage.runware.finished())
    stage.script.at(RUNFLOW, stage.runflow.refused(429))
    ended = await replica.ended(await replica.accept(RUNWARE_PRO, RUNFLOW_PRO))
    assert story(ended) == [(RUNWARE_PRO, SETTLED, False), (RUNFLOW_PRO, RELEASED, False)]
    assert ended.status is Status.SUCCEEDED


async def test_where_the_first_runner_fails_the_second_goes_on(stage: Stage):
    replica, slow, slower = stage.replica(team=BOUGHT), Gate(), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.failed("providerError")))
    stage.script.at(RUNFLOW, stage.runflow.created, slower.before(stage.runflow.succeeded()))
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await asyncio.wait_for(slower.reached.wait(), 10)
    stage.line.after[Step.CLOSE] = later(slower)
    slow.open()
    ended = await replica.ended(record)
    assert (ended.status, ended.end and ended.end.offer) == (Status.SUCCEEDED, RUNFLOW_PRO)
    assert story(ended)[0] == (RUNWARE_PRO, RELEASED, False)


async def test_a_lost_answer_of_the_second_runner_keeps_its_hold_when_the_first_delivers(stage: Stage):
    replica, slow, searching = stage.replica(team=BOUGHT), Gate(), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.finished()))
    stage.script.at(RUNFLOW, stage.runflow.lost, searching.before(stage.runflow.nothing_listed))
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await asyncio.wait_for(searching.reached.wait(), 10)
    slow.open()
    ended = await replica.ended(record)
    assert ended.status is Status.SUCCEEDED
    searching.open()
    await over(record)
    assert story(await stage.stored(record.id))[1] == (RUNFLOW_PRO, UNRESOLVED, True)
    assert await held_micro(stage, record) == 40_000
    assert stage.script.told(RUNFLOW).count("run") == 1


async def test_beside_an_unknown_first_runner_nobody_starts(stage: Stage):
    replica, searching = stage.replica(team=BOUGHT), Gate()
    stage.script.at(RUNWARE, stage.runware.lost, searching.before(stage.runware.silent))
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO, deadline_s=70)  # found again, it leaves no time for two
    await asyncio.wait_for(searching.reached.wait(), 10)
    stage.clock.forward(60)
    for _ in range(50):
        await asyncio.sleep(0)
    assert stage.script.to(RUNFLOW) == []
    say = stage.runware
    stage.script.at(RUNWARE, say.not_archived, say.conflict, say.finished())
    searching.open()
    assert (await replica.ended(record)).status is Status.SUCCEEDED
    await over(record)


# --- money ------------------------------------------------------------------------------------------------------------


async def held_micro(stage: Stage, record: EditRecord) -> int:
    return await Corrections(stage.line).held_micro(record.id)


async def test_both_prices_are_held_first(stage: Stage):
    replica = stage.replica(team=BOUGHT + '\nbudget = { day_usd = "0.07" }')
    with pytest.raises(OverBudget):
        await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    assert stage.script.sent == []


async def test_where_the_edits_own_cap_leaves_too_little_the_first_runs_alone(stage: Stage):
    replica, slow = stage.replica(team=BOUGHT), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.finished()))
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO, max_cost_micro=70_000)
    await asyncio.wait_for(slow.reached.wait(), 10)
    for _ in range(200):
        await asyncio.sleep(0)
    slow.open()
    ended = await replica.ended(record)
    assert (ended.status, len(ended.attempts), stage.script.to(RUNFLOW)) == (Status.SUCCEEDED, 1, [])


# --- whoever dies -----------------------------------------------------------------------------------------------------


def later(gate: Gate) -> Callable[[], Awaitable[None]]:
    async def act() -> None:
        gate.open()

    return act


def stand_still(stage: Stage) -> Callable[[], Awaitable[None]]:
    async def stand() -> None:
        stage.script.reached.set()
        await asyncio.Event().wait()

    return stand


Points = dict[str, tuple[Callable[[Stage], None], Callable[[Stage], list[Line]], int]]

# Until the process dies, what the next one finds at Runflow, and how many pieces of work were taken in the end.
POINTS: Points = {
    "the first noted as accepted, no second opened": (
        lambda stage: stage.line.before.update({Step.OPEN: stand_still(stage)}),
        lambda stage: [stage.runflow.created, stage.runflow.succeeded()],
        2,
    ),
    "the second opened, not posted": (
        lambda stage: stage.script.at(RUNFLOW, stage.script.halt()),
        lambda stage: [stage.runflow.nothing_listed],
        1,
    ),
    "the second posted, its answer unread": (
        lambda stage: stage.script.at(RUNFLOW, stage.script.halt(stage.runflow.created)),
        lambda stage: [stage.runflow.listed, stage.runflow.succeeded()],
        2,
    ),
    "both accepted": (
        lambda stage: stage.script.at(RUNFLOW, stage.runflow.created, stage.script.halt(stage.runflow.run("running"))),
        lambda stage: [stage.runflow.succeeded()],
        2,
    ),
    "the second done, the first not yet left behind": (
        lambda stage: (
            stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded()),
            stage.line.before.update({Step.CLOSE: stand_still(stage)}),
        )[0],
        lambda stage: [stage.runflow.succeeded()],
        2,
    ),
    "the first left behind, nothing finished": (
        lambda stage: (
            stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded()),
            stage.line.before.update({Step.FINISH: stand_still(stage)}),
        )[0],
        lambda stage: [stage.runflow.succeeded()],
        2,
    ),
}


@pytest.mark.parametrize("point", POINTS)
async def test_after_a_crash_another_replica_goes_on_with_both_runners(stage: Stage, point: str):
    until_the_crash, after_it, taken = POINTS[point]
    slow = Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.working))
    until_the_crash(stage)
    first = stage.replica("a", team=BOUGHT)
    record = await first.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await asyncio.wait_for(stage.script.reached.wait(), 10)
    await first.die(record)
    stage.line.before.clear()
    stage.script.at(RUNFLOW, *after_it(stage))
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    second_done = Gate()
    if taken == 1:
        stage.script.at(RUNWARE, stage.runware.finished())
    else:
        stage.script.at(RUNWARE, second_done.before(stage.runware.finished()))
    other = stage.replica("b", team=BOUGHT)
    ended = await other.take_over(record)
    second_done.open()
    await over(record)
    ended = await stage.stored(record.id)
    assert (ended.status, ended.epoch, len(stage.script.taken)) == (Status.SUCCEEDED, 2, taken)
    assert [attempt.offer for attempt in ended.attempts] == [RUNWARE_PRO, RUNFLOW_PRO]
    assert stage.script.told(RUNWARE).count("imageInference") == 1
    assert not stage.script.surprises
