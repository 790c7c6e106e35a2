"""A disk without room. The log cannot be written: nothing else notices. A picture cannot be kept: its edit waits, with
its money, and is not bought again."""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import ConnectionPool

from gateway.pictures import Pictures, Pool
from gateway.results import Kind, ResultsUnavailable
from gateway.state.budgets import Budgets
from gateway.state.records import AttemptState, Status
from tests.end_to_end.processes import environment
from tests.engine import engine_url
from tests.engine_path.script import RUNWARE
from tests.engine_path.stage import RUNWARE_PRO, Stage
from tests.engine_path.store_line import StoreLine
from tests.faults.cases import RUNFLOW, Case
from tests.faults.cases import RUNWARE as AT_RUNWARE
from tests.faults.tragedy import tragedy

__all__ = ["engine_url"]
pytestmark = pytest.mark.asyncio(loop_scope="session")

CASES = tuple(Case(fault="F27", adapter=each, point="log full") for each in (AT_RUNWARE, RUNFLOW))
FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
async def test_a_log_that_cannot_be_written_stops_no_edit() -> None:
    async with tragedy(CASES, survivors=0) as play:
        with FULL.open("wb") as full:  # noqa: ASYNC230 - a device
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway.cli", "serve", "--config", str(play.config), "--port", "0",
                stdin=DEVNULL, stdout=PIPE, stderr=full, env=environment(),
            )  # fmt: skip
        assert process.stdout is not None
        try:
            line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
            url = next(word for word in line.split() if word.startswith("http://"))
            for case in CASES:
                response = await play.post(url, case.name, case.name)
                assert response.status_code == 200, response.text
                assert len(play.stand_ins[case.name].bill.entries) == 1
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode in (0, 120), "120: Python's own last flush of its errors found no room"


@pytest_asyncio.fixture(loop_scope="session")
async def stage(engine_url: str, tmp_path: Path):
    pool = ConnectionPool.from_url(engine_url)
    line = StoreLine(connection_pool=pool)
    await line.flushall()
    desk = Pictures(Pool(workers=1))
    stage = Stage(line, desk, tmp_path)
    yield stage
    await stage.aclose()
    await desk.aclose()
    await line.aclose()
    await pool.aclose()


class FullDisk:
    """Results find no room so many times."""

    def __init__(self, stage: Stage, times: int) -> None:
        self.put, self.left = stage.shelf.put, times

    async def __call__(self, team: str, kind: Kind, digest: str, data: bytes) -> None:
        if kind == "results" and self.left > 0:
            self.left -= 1
            raise ResultsUnavailable("the result store does not answer as it should (GenericError)")
        await self.put(team, kind, digest, data)


@pytest.mark.parametrize("times", [2, 5])
async def test_a_picture_that_finds_no_room_is_kept_later_and_not_bought_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """However long it takes, by the same replica, and with its money held all the time."""
    monkeypatch.setattr(stage.shelf, "put", FullDisk(stage, times))
    stage.script.at(RUNWARE, stage.runware.acked)
    stage.script.always(RUNWARE, stage.runware.finished())
    replica = stage.replica("a")
    await replica.engine.start()
    record = await replica.accept(RUNWARE_PRO)
    while (await stage.stored(record.id)).status is not Status.SUCCEEDED:
        await replica.engine.wait(record, 20)
        await replica.metronome.tick()
        assert stage.clock.now_s < 600
    ended = await stage.stored(record.id)
    assert (ended.status, len(stage.script.taken)) == (Status.SUCCEEDED, 1)
    (attempt,) = ended.attempts
    assert (attempt.state, attempt.cost_micro) == (AttemptState.SETTLED, 40_000)
    assert len(stage.script.to(RUNWARE)) == 1 + 1 + times, "one poll for each try"


async def test_while_there_is_no_room_the_edit_stays_open_with_its_money(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is tried less and less often, until there is room or another replica has it."""
    monkeypatch.setattr(stage.shelf, "put", FullDisk(stage, times=1_000))
    stage.script.at(RUNWARE, stage.runware.acked)
    stage.script.always(RUNWARE, stage.runware.finished())
    replica = stage.replica("a")
    await replica.engine.start()
    record = await replica.accept(RUNWARE_PRO)
    while stage.clock.now_s < 3_600:
        await replica.engine.wait(record, 20)
        await replica.metronome.tick()
    waiting = await stage.stored(record.id)
    assert (waiting.status, waiting.attempts[0].state.is_open) == (Status.RUNNING, True)
    assert (await Budgets(stage.line).everything())["{kontext}:budget:gateway:total"].held_micro == 40_000
    assert 12 < len(stage.script.to(RUNWARE)) < 30, "every five minutes in the end"
    told = replica.metrics.registry.get_sample_value("kontext_results_errors_total", {"duty": "edit"})
    assert (told or 0) > 10
    await replica.die(record)
    monkeypatch.undo()
    ended = await stage.replica("b").take_over(record)
    assert (ended.status, len(stage.script.taken)) == (Status.SUCCEEDED, 1)
