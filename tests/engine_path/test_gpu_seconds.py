"""A machine of one's own with a price by the second: held like any price, booked by the time that it worked."""

import asyncio
import base64

import pytest

from adapters.contract import HttpReply
from gateway.state.budgets import Budgets
from gateway.state.records import GPU_SECONDS, AttemptRecord, AttemptState, EditRecord, Status
from tests.engine_path.script import LOCAL, RUNWARE, Line, Request, as_json, broken, not_sent, status
from tests.engine_path.stage import PREVIEW, RESULT, RUNFLOW_PRO, RUNWARE_PRO, Stage, edited
from tests.engine_path.test_races import Gate, over

PRICED = 'gpu_second_usd = "0.0008"'
BOUGHT = 'hedge = { max_extra_usd = "0.50" }'
SETTLED, RELEASED = AttemptState.SETTLED, AttemptState.RELEASED


def after(stage: Stage, seconds: float, line: Line) -> Line:
    """`line`, when the machine has worked for so long."""
    return stage.script.first(lambda: stage.clock.forward(seconds), line)


def booked(record: EditRecord) -> list[tuple[AttemptState, int | None, str | None]]:
    return [(one.state, one.cost_micro, one.cost_source) for one in record.attempts]


async def left(stage: Stage) -> set[tuple[int, int]]:
    """What every account has spent, and holds."""
    return {(one.spent_micro, one.held_micro) for one in (await Budgets(stage.line).everything()).values()}


async def test_the_longest_that_it_may_take_is_held_and_what_it_took_is_booked(stage: Stage) -> None:
    replica, held = stage.replica(local=PRICED), set[tuple[int, int]]()

    async def look() -> None:
        held.update(await left(stage))

    stage.script.at(LOCAL, stage.script.first(look, after(stage, 12.5, edited)))
    record = await replica.run(PREVIEW)
    assert held == {(0, 120 * 800)}, "the deadline bounds the call, and so what it can cost"
    assert booked(record) == [(SETTLED, 10_000, GPU_SECONDS)]
    assert record.plan.candidates[0].price_micro == 400, "half a second is its usual time"
    assert record.end is not None
    assert record.end.cost_micro == 10_000
    assert await left(stage) == {(10_000, 0)}


@pytest.mark.parametrize(
    ("told", "cost_micro"), [(4, 3_200), (4.0001, 3_201), (99, 10_000), (-1, 10_000), ("4", 10_000)]
)
async def test_a_machine_that_tells_how_long_it_worked_is_booked_by_that_and_never_above_the_time_it_took(
    stage: Stage, told: object, cost_micro: int
) -> None:
    def answer(request: Request) -> HttpReply:
        return as_json(200, {"data": [{"b64_json": base64.b64encode(RESULT).decode()}], "inference_time_s": told})

    stage.script.at(LOCAL, after(stage, 12.5, answer))
    record = await stage.replica(local=PRICED).run(PREVIEW)
    assert booked(record) == [(SETTLED, cost_micro, GPU_SECONDS)]


async def test_without_a_price_it_is_free(stage: Stage) -> None:
    stage.script.at(LOCAL, after(stage, 12.5, edited))
    record = await stage.replica().run(PREVIEW)
    assert booked(record) == [(SETTLED, 0, "local")]
    assert await left(stage) <= {(0, 0)}


async def test_a_cap_bounds_what_is_held_and_booked(stage: Stage) -> None:
    stage.script.at(LOCAL, after(stage, 12.5, edited))
    record = await stage.replica(local=f'{PRICED}\ngpu_most_usd = "0.005"').run(PREVIEW)
    assert (record.attempts[0].price_micro, booked(record)) == (5_000, [(SETTLED, 5_000, GPU_SECONDS)])


@pytest.mark.parametrize(
    ("line", "state", "cost_micro"),
    [
        (not_sent, RELEASED, None),
        (status(429), RELEASED, None),
        (broken, SETTLED, 4_000),
        (status(500), SETTLED, 4_000),
    ],
)
async def test_a_failure_costs_the_time_that_the_machine_may_have_worked(
    stage: Stage, line: Line, state: AttemptState, cost_micro: int | None
) -> None:
    stage.script.at(LOCAL, after(stage, 5, line))
    stage.script.always(LOCAL, edited)
    record = await stage.replica(local=PRICED).run(PREVIEW)
    first: AttemptRecord = record.attempts[0]
    assert (first.state, first.cost_micro) == (state, cost_micro)
    assert record.status is Status.SUCCEEDED
    assert await left(stage) == {(cost_micro or 0, 0)}


async def test_who_goes_on_after_a_crash_books_the_time_until_then(stage: Stage) -> None:
    stage.script.at(LOCAL, stage.script.halt(edited))
    replica = stage.replica(local=PRICED)
    record = await replica.accept(PREVIEW)
    await stage.script.reached.wait()
    await replica.die(record)
    stage.script.at(LOCAL, edited)
    ended = await stage.replica("b", local=PRICED).take_over(record)
    assert (ended.status, booked(ended)[0]) == (Status.SUCCEEDED, (SETTLED, 11 * 800, GPU_SECONDS))


async def test_a_cap_of_the_caller_covers_the_longest_time(stage: Stage) -> None:
    replica = stage.replica(local=PRICED)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await replica.accept(PREVIEW, RUNWARE_PRO, max_cost_micro=40_000)
    assert [one.offer for one in record.plan.candidates] == [RUNWARE_PRO]
    assert "may cost up to $0.096000" in record.plan.exclusions[0].detail
    await replica.ended(record)


async def test_an_outrun_machine_is_dropped_and_booked_until_then(stage: Stage) -> None:
    replica, slow, local = stage.replica(team=BOUGHT, local=PRICED), Gate(), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.finished()))
    stage.script.at(LOCAL, local.before(edited))
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO, PREVIEW)
    await asyncio.wait_for(local.reached.wait(), 10)
    stage.clock.forward(4)
    slow.open()
    ended = await replica.ended(record)
    await over(record)
    lost = (await stage.stored(record.id)).attempts[1]
    assert (lost.offer, lost.lost, lost.state, lost.cost_source) == (PREVIEW, True, SETTLED, GPU_SECONDS)
    assert lost.cost_micro == 3_200
    assert ended.end is not None
    assert ended.end.cost_micro == 43_200
    assert await left(stage) == {(43_200, 0)}
