"""Two faults on the way of one submit, every pair, in one process and with the hand-wound clock.

A fault is a death (the edit's work is gone in the middle of a step, and another replica goes on after a silence) or
something lost on the wire. The provider stands in a stateful script; what it took is its bill.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import Struct
from redis.asyncio import ConnectionPool

from adapters.contract import HttpReply
from gateway.egress import MaybeSent
from gateway.pictures import Pictures, Pool
from gateway.state.budgets import Budgets
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.scripts import Step
from tests.engine import engine_url
from tests.engine_path.runware_lines import task
from tests.engine_path.script import RUNFLOW, RUNWARE, Line, Request
from tests.engine_path.stage import RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage
from tests.engine_path.store_line import Hook, StoreLine

__all__ = ["engine_url"]
pytestmark = pytest.mark.asyncio(loop_scope="session")

PRICE_MICRO = 40_000


class Fault(Struct, frozen=True):
    """What goes wrong. `call`: at a call of this kind, before it arrives or after it took effect. `step`: at a step of
    the store, before or after it takes effect. `kills`: the process dies there; else only the answer is lost.
    `hidden`: for so many questions the provider does not show what it took. `late`: it takes it only after so many."""

    name: str
    call: str = ""
    step: Step | None = None
    after: bool = False
    kills: bool = True
    hidden: int = 0
    late: int = 0


SUBMIT_PATH = (
    Fault("F3 accepted, not yet begun", step=Step.ACCEPT, after=True),
    Fault("F4 stamped, not posted", call="submit"),
    Fault("F5 lost on the way there", call="submit", kills=False),
    Fault("F6 taken, the answer lost", call="submit", after=True, kills=False),
    Fault("F7 taken late", call="submit", kills=False, late=2),
    Fault("F8 taken, unseen for a while", call="submit", after=True, kills=False, hidden=3),
    Fault("F9 taken, the answer unread", call="submit", after=True),
    Fault("F6 dead while looking for it", call="question"),
    Fault("F11 dead while polling", call="poll"),
    Fault("F12 seen, not settled", step=Step.FINISH),
    Fault("F13 settled, not told", step=Step.FINISH, after=True),
)


class Provider:
    """A provider that takes a task once, whatever is posted. Each armed fault is met once, in whatever order the edit
    comes to them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.happened: list[str] = []
        self.dead = asyncio.Event()
        self.posts = 0
        self._armed: list[Fault] = []
        self._hidden = 0
        self._late: tuple[int, Line, Request] | None = None

    def arm(self, *faults: Fault) -> None:
        self._armed = list(faults)
        self._hook()

    def _hook(self) -> None:
        line = self.stage.line
        line.before = {each.step: self._dies(each) for each in self._armed if each.step and not each.after}
        line.after = {each.step: self._dies(each) for each in self._armed if each.step and each.after}

    def _dies(self, fault: Fault) -> Hook:
        async def stand_still() -> None:
            self._meet(fault)
            self.dead.set()
            await asyncio.Event().wait()

        return stand_still

    def _meet(self, fault: Fault) -> None:
        self.happened.append(fault.name)
        self._armed.remove(fault)
        self._hook()

    # --- the wire ---------------------------------------------------------------------------------------------------

    async def meet(self, kind: str, line: Line, request: Request) -> HttpReply:
        """`line` with what goes wrong at it."""
        fault = next((each for each in self._armed if each.call == kind), None)
        if fault is None:
            return await self._said(kind, line, request)
        if fault.after:
            await self._said(kind, line, request)
        if fault.kills:
            await self._dies(fault)()
        self._meet(fault)
        self._hidden = fault.hidden
        self._late = (fault.late, line, request) if fault.late else None
        raise MaybeSent("the host gave no usable answer")

    async def _said(self, kind: str, line: Line, request: Request) -> HttpReply:
        if kind == "submit":
            self.posts += 1
        reply = line(request)
        assert isinstance(reply, HttpReply)
        return reply

    def seen(self) -> bool:
        """Whether a question is told of what was taken."""
        if self._late is not None:
            left, line, request = self._late
            self._late = (left - 1, line, request)
            if left <= 0:
                self._late = None
                line(request)
        if self._hidden > 0:
            self._hidden -= 1
            return False
        return bool(self.stage.script.taken)

    def runware(self, request: Request) -> object:
        say, asked = self.stage.runware, task(request)
        if asked["taskType"] == "imageInference":
            self._late = None  # the same id again: whatever was under way is this
            known = asked["taskUUID"] in self.stage.script.taken
            return self.meet("submit", say.conflict if known else say.acked, request)
        if asked["taskType"] == "getTaskDetails":
            prompt = say.archived("Make the mug blue") if self.seen() else say.not_archived
            return self.meet("question", prompt, request)
        seen = self.seen()
        kind = "poll" if self._is_accepted() else "question"
        return self.meet(kind, say.finished() if seen else say.silent, request)

    def runflow(self, request: Request) -> object:
        say = self.stage.runflow
        if request.method == "POST":
            return self.meet("submit", say.created, request)
        if "?" in request.url:
            return self.meet("question", say.listed if self.seen() else say.nothing_listed, request)
        return self.meet("poll", say.succeeded() if self.seen() else say.run("running"), request)

    def _is_accepted(self) -> bool:
        """A poll after an acknowledgement, or one that looks for a lost answer: they look alike on the wire."""
        return self.stage.script.sent[-2:-1] != [] and self.stage.script.sent[-2].summary == "imageInference"


def wire(stage: Stage) -> Provider:
    provider = Provider(stage)
    forms: dict[str, Callable[[Request], object]] = {RUNWARE: provider.runware, RUNFLOW: provider.runflow}
    for host, form in forms.items():
        stage.script.always(host, form)  # pyright: ignore[reportArgumentType] - a line may be awaited
    return provider


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pictures():
    desk = Pictures(Pool(workers=1))
    await desk.warm()
    yield desk
    await desk.aclose()


async def staged(line: StoreLine, pictures: Pictures, folder: Path) -> Stage:
    await line.flushall()
    return Stage(line, pictures, folder)


async def lived_through(stage: Stage, provider: Provider, offer: str) -> EditRecord:
    """The edit's end, however many replicas that takes."""
    replica = stage.replica("r0", runware="guard_s = 1", runflow="quarantine_s = 60")
    record = await begun(stage, provider, replica, offer)
    for number in range(1, 5):
        ended = await stopped_or_ended(stage, provider, replica, record)
        if ended is not None and ended.status not in (Status.QUEUED, Status.RUNNING):
            return ended
        provider.dead.clear()
        await replica.die(record)
        replica = stage.replica(f"r{number}", runware="guard_s = 1", runflow="quarantine_s = 60")
        stage.clock.forward(11)
        await replica.engine.start()
        await replica.metronome.rests()
    raise AssertionError(f"no end after {provider.happened}")


async def begun(stage: Stage, provider: Provider, replica: Replica, offer: str) -> EditRecord:
    """Accepted; where the process dies in that very step, the record is what the store holds."""
    accepting = asyncio.create_task(replica.accept(offer))
    dying = asyncio.create_task(provider.dead.wait())
    await asyncio.wait({accepting, dying}, return_when=asyncio.FIRST_COMPLETED)
    if accepting.done():
        dying.cancel()
        return await accepting
    accepting.cancel()
    await asyncio.gather(accepting, return_exceptions=True)
    (edit,) = [holding.edit for holding in await Budgets(stage.line).holdings()]
    return await stage.stored(edit)


async def stopped_or_ended(stage: Stage, provider: Provider, replica: Replica, record: EditRecord) -> EditRecord | None:
    """Waits for the edit's end or for the process's; a death after the end was written is both."""
    waiting = asyncio.create_task(replica.engine.wait(record, 20))
    dying = asyncio.create_task(provider.dead.wait())
    await asyncio.wait({waiting, dying}, return_when=asyncio.FIRST_COMPLETED)
    for task_ in (waiting, dying):
        task_.cancel()
    await asyncio.gather(waiting, dying, return_exceptions=True)
    return await stage.stored(record.id)


async def assert_bought_once(stage: Stage, ended: EditRecord, offer: str, story: list[str]) -> None:
    """At Runware always delivered. At Runflow also unresolved, with the money held, and never more than one run."""
    assert not stage.script.surprises, story
    taken = stage.script.taken
    assert len(ended.attempts) == 1, story
    (attempt,) = ended.attempts
    balances = (await Budgets(stage.line).everything()).values()
    spent, held = {one.spent_micro for one in balances}, {one.held_micro for one in balances}
    if offer == RUNFLOW_PRO and ended.status is Status.UNRESOLVED:
        assert attempt.state is AttemptState.UNRESOLVED
        assert (len(taken) <= 1, spent, held) == (True, {0}, {PRICE_MICRO}), story
        return
    assert (ended.status, attempt.state, len(taken)) == (Status.SUCCEEDED, AttemptState.SETTLED, 1), story
    assert (spent, held) == ({PRICE_MICRO}, {0}), story


@pytest.mark.parametrize("offer", [RUNWARE_PRO, RUNFLOW_PRO])
@pytest.mark.parametrize("first", SUBMIT_PATH, ids=lambda fault: fault.name)
async def test_two_faults_on_one_submit_buy_once(
    offer: str, first: Fault, engine_url: str, pictures: Pictures, tmp_path: Path
) -> None:
    """`first`, followed by each other one."""
    pool = ConnectionPool.from_url(engine_url)
    line = StoreLine(connection_pool=pool)
    met: set[str] = set()
    try:
        for second in SUBMIT_PATH:
            stage = await staged(line, pictures, tmp_path)
            provider = wire(stage)
            provider.arm(first, second)
            ended = await asyncio.wait_for(lived_through(stage, provider, offer), 30)
            await assert_bought_once(stage, ended, offer, [first.name, second.name, "met:", *provider.happened])
            met |= set(provider.happened)
            if offer == RUNFLOW_PRO:
                assert provider.posts <= 1, "a run is never posted twice"
            provider.arm()
            provider.dead.clear()
            await stage.aclose()
    finally:
        await line.aclose()
        await pool.aclose()
    assert first.name in met
