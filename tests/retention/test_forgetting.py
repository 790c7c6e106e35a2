"""The duty that takes prompts out a day after the end, and ends what somebody asked for and broke off."""

import hashlib

import pytest

from adapters.contract import Edit, ImageFormat, Picture
from gateway.engine.eraser import Eraser
from gateway.engine.retention import Retention, duties_of
from gateway.engine.timing import Timing
from gateway.keeper import of_input
from gateway.observe import Metrics
from gateway.results import ResultsUnavailable
from gateway.state.contents import Contents
from gateway.state.records import EditRecord
from gateway.state.scripts import Step
from tests.engine_path.script import RUNWARE
from tests.engine_path.stage import INPUT, RUNWARE_PRO, TEAM, Replica, Stage
from tests.state.samples import whole_store

CANARY = "canary-2b91"
DAY_S = 86_400
DIGEST = hashlib.sha256(INPUT).hexdigest()


class Office:
    """A replica's duty of forgetting, and whoever asks for an erasure there."""

    def __init__(self, stage: Stage, replica: Replica) -> None:
        metrics, timing = Metrics("test", "test"), Timing()
        self.stage, self.replica = stage, replica
        self.contents = Contents(stage.line, clock=stage.clock.now_ms)
        self.eraser = Eraser(self.contents, replica.keeper, metrics)
        duties = duties_of(stage.line, replica.name, timing, compacts=True)
        self.duty = Retention(
            duties, replica.edits, self.contents, replica.keeper, self.eraser, metrics, stage.clock, timing
        )

    async def edited(self) -> EditRecord:
        stage, replica = self.stage, self.replica
        stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
        picture = Picture(DIGEST, ImageFormat.PNG, 48, 32, len(INPUT))
        order = replica.order(Edit(prompt=f"Make it {CANARY}", images=(picture,)), RUNWARE_PRO)
        await replica.keeper.put(TEAM, "inputs", DIGEST, INPUT, of_input(order.id))
        return await replica.ended(await replica.engine.accept(order))

    async def told(self) -> str:
        """What the store gives back (the rows on their way to the ledger, too)."""
        return repr(await whole_store(self.stage.line))

    async def pictures(self) -> int:
        return sum([len(some) async for some in self.stage.shelf.pictures()])


@pytest.fixture
def office(stage: Stage) -> Office:
    return Office(stage, stage.replica())


async def test_a_day_after_the_end_no_prompt_and_no_call_is_left(office: Office) -> None:
    record = await office.edited()
    office.stage.clock.forward(DAY_S - 1)
    await office.duty.round()
    assert CANARY in await office.told()
    office.stage.clock.forward(60)
    await office.duty.round()
    assert CANARY not in await office.told()
    kept = await office.stage.stored(record.id)
    assert kept.end == record.end
    assert await office.pictures() == 1, "the result is kept longer, and the input is gone"


@pytest.mark.parametrize("step", [Step.RELEASE_PICTURE, Step.SWEPT, Step.EMPTY])
async def test_an_erasure_that_died_anywhere_is_ended_by_the_duty(office: Office, step: Step) -> None:
    record = await office.edited()
    assert await office.eraser.asked(record.id)

    async def die() -> None:
        raise ConnectionAbortedError

    office.stage.line.before[step] = die
    with pytest.raises((ConnectionAbortedError, ResultsUnavailable)):
        await office.eraser.erase(record)
    for _ in range(3):
        office.stage.clock.forward(61)
        await office.duty.round()
    assert CANARY not in await office.told()
    assert await office.pictures() == 0
    assert (await office.stage.stored(record.id)).emptied_ms


async def test_a_worker_that_wakes_up_after_an_erasure_brings_nothing_back(office: Office) -> None:
    """It lost its edit while it slept with the picture in its hand."""
    stage = office.stage
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.finished(mark="old")))
    sleeper = office.replica
    picture = Picture(DIGEST, ImageFormat.PNG, 48, 32, len(INPUT))
    order = sleeper.order(Edit(prompt=f"Make it {CANARY}", images=(picture,)), RUNWARE_PRO)
    await sleeper.keeper.put(TEAM, "inputs", DIGEST, INPUT, of_input(order.id))
    record = await sleeper.engine.accept(order)
    await stage.script.reached.wait()
    stage.script.at(RUNWARE, stage.runware.finished(mark="new"))
    ended = await stage.replica("b").take_over(record)
    assert await office.eraser.asked(ended.id)
    assert (await office.eraser.erase(ended)).whole
    stage.script.go_on.set()
    await sleeper.engine.wait(record, 20)
    assert CANARY not in await office.told()
    assert await office.pictures() == 0


async def test_the_engines_file_is_written_anew_once_an_hour_at_most(office: Office) -> None:
    await office.edited()
    office.stage.clock.forward(DAY_S + 60)
    await office.duty.round()
    assert not await office.contents.has_holes()
    assert await office.stage.line.exists("{kontext}:duty:compact")
