"""The machine's clock jumps by an hour, forward or back, in the middle of an edit: nothing is bought twice, no hold is
let go early, no key is forgotten. Waits are counted by the monotonic clock, and no two machines' clocks are compared.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import ConnectionPool

from adapters.contract import HttpReply
from gateway.pictures import Pictures, Pool
from gateway.state.budgets import Budgets
from gateway.state.claims import Claims, Joined, New
from gateway.state.edits import Edits
from gateway.state.records import Status
from gateway.state.terms import Terms
from tests.engine import engine_url
from tests.engine_path.runware_lines import task
from tests.engine_path.script import RUNWARE, Line, Request
from tests.engine_path.stage import RUNWARE_PRO, Stage
from tests.engine_path.store_line import StoreLine
from tests.state.samples import edit_record

__all__ = ["engine_url"]
pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR_MS = 3_600_000


class Jumps:
    """The wall clock of a stage, which can be set. Its monotonic clock goes on as before."""

    def __init__(self, stage: Stage) -> None:
        self._true, self.by_ms = stage.clock.now_ms, 0

    def __call__(self) -> int:
        return self._true() + self.by_ms


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


MOMENTS: dict[str, Callable[[Stage, Callable[[Line], Line]], list[Line]]] = {
    "while it is posted": lambda stage, jump: [jump(stage.runware.acked), stage.runware.finished()],
    "while it is polled": lambda stage, jump: [
        stage.runware.acked,
        jump(stage.runware.working),
        stage.runware.finished(),
    ],
    "while a lost answer is looked for": lambda stage, jump: [
        stage.runware.lost,
        jump(stage.runware.silent),
        stage.runware.not_archived,
        sent_again_or_looked_for(stage),
    ],
}


def sent_again_or_looked_for(stage: Stage) -> Line:
    """An hour on, the submit is older than the provider may remember: it is looked for, and not sent again."""

    def line(request: Request) -> HttpReply:
        again = task(request)["taskType"] == "imageInference"
        answer = stage.runware.conflict(request) if again else stage.runware.finished()(request)
        assert isinstance(answer, HttpReply)
        return answer

    return line


@pytest.mark.parametrize("by_ms", [HOUR_MS, -HOUR_MS], ids=["an hour on", "an hour back"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_jump_of_the_clock_buys_nothing_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, moment: str, by_ms: int
) -> None:
    jumps = Jumps(stage)
    monkeypatch.setattr(stage.clock, "now_ms", jumps)
    held: list[int] = []

    async def jump() -> None:
        jumps.by_ms = by_ms
        held.extend(one.held_micro for one in (await Budgets(stage.line).everything()).values())

    lines = MOMENTS[moment](stage, lambda line: stage.script.first(jump, line))
    stage.script.at(RUNWARE, *lines)
    replica = stage.replica("a")
    record = await replica.accept(RUNWARE_PRO)
    stage.script.always(RUNWARE, stage.runware.finished())
    ended = await replica.ended(record)
    assert (ended.status, len(stage.script.taken)) == (Status.SUCCEEDED, 1)
    assert set(held) == {40_000}
    assert {one.held_micro for one in (await Budgets(stage.line).everything()).values()} == {0}


@pytest.mark.parametrize("by_ms", [HOUR_MS, -HOUR_MS], ids=["an hour on", "an hour back"])
async def test_a_jump_of_the_clock_forgets_no_key(stage: Stage, by_ms: int) -> None:
    times = [1_800_000_000_000]
    claims, edits = Claims(stage.line, clock=lambda: times[-1]), Edits(stage.line, "a", clock=lambda: times[-1])
    asked = ("growth", "POST /v1/edits", "key", "ff" * 32)
    found = await claims.claim(*asked, "token-1")
    assert isinstance(found, New)
    record, _ = await edits.accept(edit_record(), None, None, terms=Terms(claim=found.claim))
    times.append(times[-1] + by_ms)
    assert await claims.claim(*asked, "token-2") == Joined(record.id, ended=False)
