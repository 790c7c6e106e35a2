"""Two runners for one edit, where its team bought that: the first picture is delivered, the other runner is outrun.

A second attempt starts beside a first one whose provider works on it and takes longer than it does 95 times in 100;
never beside one of which nobody knows whether it runs. It is an attempt like all others: admitted, numbered, and
written before it is sent. `policies/hedge.py` says when, and with which offer.

A runner that is outrun is dropped where nobody bills for it, at what its seconds have cost. Where it is billed its
price stays held, as for every attempt of which the cost is not known; it is followed to its end, and what it cost is
booked as `hedge_lost`. If this process ends first, the reconciler finds out. The road not taken, a cancel at the
provider: none of them has one that spares the bill. A refusal for the content ends the race as a picture does, whoever
else runs.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import Failed, FailureKind
from gateway.clock import Clock
from gateway.engine import ends
from gateway.engine.delivery import Delivered
from gateway.engine.health import Admitted, Health, NotNow
from gateway.engine.lanes import Lane, Lanes, Over
from gateway.engine.timing import Timing
from gateway.engine.witness import Witness
from gateway.observe import log
from gateway.state.budgets import OverBudget
from gateway.state.corrections import Corrections
from gateway.state.edits import Cancelled, Edits, NoPermit
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, with_attempt
from policies.hedge import SecondRunner, as_now, second_runner
from policies.react import ATTEMPTS_PER_EDIT, VERDICTS

Outrun = dict[asyncio.Task[Over], Lane]


class Decided(Struct, frozen=True):
    """The attempt that decides what follows; it alone is not closed yet. `outrun` still run."""

    record: EditRecord
    over: Over
    outrun: Outrun = {}


class Races:
    """One for the whole replica."""

    def __init__(
        self,
        edits: Edits,
        corrections: Corrections,
        lanes: Lanes,
        health: Health,
        witness: Witness,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self.edits, self.lanes, self.health = edits, lanes, health
        self.witness, self.clock, self.timing = witness, clock, timing
        self._corrections = corrections
        self._outrun: set[asyncio.Task[None]] = set()

    async def run(self, record: EditRecord, *lanes: Lane) -> Decided:
        """Follows the open attempts of an edit until one decides. Raises `Fenced`."""
        if record.hedge is None and len(lanes) == 1:
            return Decided(record, await self.lanes.followed(record, lanes[0]))
        race = _Race(self, record, lanes)
        try:
            return await race.decided()
        finally:
            await race.leave()

    def follow_on(self, record: EditRecord, outrun: Outrun) -> None:
        """The edit has ended; what its outrun runners cost is learnt when they end, and nobody waits for it."""
        for running, lane in outrun.items():
            task = asyncio.create_task(self._learn(record, lane.attempt.number, running), name=record.id)
            self._outrun.add(task)
            task.add_done_callback(self._outrun.discard)

    async def aclose(self) -> None:
        """Lets go of the outrun: the reconciler asks what they cost."""
        for task in self._outrun:
            task.cancel()
        await asyncio.gather(*self._outrun, return_exceptions=True)

    async def _learn(self, record: EditRecord, number: int, running: asyncio.Task[Over]) -> None:
        try:
            over = await running
            ended = replace(over.attempt, lost=True)
            if ended.state is not AttemptState.UNRESOLVED and record.end is not None:
                said = f"outrun; {ended.provider} {'charged' if ended.cost_micro else 'did not charge'}"
                operation = f"hedge/{number}/{ended.state.value}"
                record = await self._corrections.resolve(record, ended, record.end, operation=operation, note=said)
                self.witness.resolved(record, ended)
        except Exception as error:  # noqa: BLE001 - whatever broke it off, the attempt is unresolved and the reconciler asks
            log.warning("outrun_left_to_reconciler", edit=record.id, attempt=number, error=type(error).__name__)


class _Race:
    """Of one edit. `_cue` is when to look whether a second runner may start; None once that is settled."""

    def __init__(self, races: Races, record: EditRecord, lanes: Iterable[Lane]) -> None:
        self._all, self._record = races, record
        self._accepted = asyncio.Event()
        self._running: Outrun = {}
        self._outrun: Outrun = {}
        self._cue: asyncio.Task[None] | None = None
        for lane in lanes:
            self._start(lane)
        if len(self._running) == 1 and not any(one.beside is not None for one in record.attempts):
            self._first = next(iter(self._running.values()))
            self._first.heard = self._hear
            self._cue = asyncio.create_task(self._wait(0.0), name=record.id)

    def _hear(self, _attempt: AttemptRecord) -> None:
        self._accepted.set()

    def _start(self, lane: Lane) -> None:
        followed = self._all.lanes.followed(self._record, lane)
        self._running[asyncio.create_task(followed, name=self._record.id)] = lane

    async def leave(self) -> None:
        """Whoever still runs here, and is not to be followed on, is broken off."""
        tasks: list[asyncio.Task[Any]] = [*self._running, *([self._cue] if self._cue else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the race -------------------------------------------------------------------------------------------------

    async def decided(self) -> Decided:
        while True:
            await asyncio.wait({*self._running, *([self._cue] if self._cue else [])}, return_when="FIRST_COMPLETED")
            over = await self._over()
            if over is not None:
                return Decided(self._record, over, self._outrun)
            if self._cue and self._cue.done():
                self._cue = None
                await self._second()

    async def _over(self) -> Over | None:
        """The one that decides, once there is one: a refusal, a picture, or the last failure."""
        done = [task for task in self._running if task.done()]
        overs = sorted((_stamped(task.result(), self._running.pop(task)) for task in done), key=_rank)
        while overs:
            over = overs.pop(0)
            if _decides(over) or not (overs or self._running):
                for late in overs:
                    await self._close(replace(late.attempt, lost=late.attempt.failure is None))
                await self._leave_behind()
                return over
            await self._close(over.attempt)
        return None

    async def _leave_behind(self) -> None:
        for task, lane in tuple(self._running.items()):
            lane.outrun = True
            offer = self._all.lanes.place(lane.attempt.offer).offer
            seconds = max(0, self._all.clock.now_ms() - lane.attempt.posted_ms) / 1000
            await self._close(ends.outrun(lane.attempt, offer, seconds))
            if offer.billed:
                self._outrun[task] = self._running.pop(task)

    async def _close(self, attempt: AttemptRecord) -> None:
        closed = await self._all.edits.close(self._record, attempt)
        self._record = with_attempt(self._record, closed)
        self._all.witness.attempt_ended(self._record, closed)

    # --- the second runner ----------------------------------------------------------------------------------------

    async def _wait(self, pause_s: float) -> None:
        """Until the first runner is accepted, and late."""
        await self._accepted.wait()
        runner = self._runner()
        wait_s = max(pause_s, runner.after_s) if runner else 0.0
        if wait_s > 0:
            await self._all.clock.sleep(wait_s)

    def _runner(self) -> SecondRunner | None:
        """Among what the edit has not tried, and what is still sold and not held back for its failures."""
        record = self._record
        first = self._first.attempt
        if record.hedge is None or len(record.attempts) >= ATTEMPTS_PER_EDIT:
            return None
        tried = {one.offer for one in record.attempts} - {first.offer}
        left = {one.provider for one in record.attempts if one.failure and VERDICTS[one.failure].leaves_account}
        left |= self._all.health.spent()
        now = self._all.health.facts()
        fit = tuple(
            as_now(one, now[one.offer]) if one.is_cancellable and one.offer in now else one
            for one in record.plan.candidates
            if one.offer == first.offer
            or (one.offer not in tried and one.provider not in left and self._all.lanes.sells(record, one.offer))
        )
        now_ms = self._all.clock.now_ms()
        running_s = (now_ms - first.opened_ms) / 1000
        left_s = record.left_s(now_ms)
        return second_runner(replace(record.plan, candidates=fit), first.offer, running_s, left_s, record.hedge)

    async def _second(self) -> None:
        """Starts it, or looks again later where its provider is not well or has no place."""
        runner = self._runner()
        if runner is None:
            return
        said = await self._all.health.admit(runner.offer)
        opened = await self._opened(said) if isinstance(said, Admitted) else NoPermit()
        if isinstance(opened, AttemptRecord) and isinstance(said, Admitted):
            self._record = with_attempt(self._record, opened)
            self._start(Lane(opened, said))
        elif opened is not None:
            pause_s = said.wait_s if isinstance(said, NotNow) else self._all.timing.permit_s
            self._cue = asyncio.create_task(self._wait(pause_s), name=self._record.id)

    async def _opened(self, admission: Admitted) -> AttemptRecord | NoPermit | None:
        """None where the money for it is not there, or nobody wants the edit any more: then the first runs alone."""
        first = self._first
        first.attempt = await self._all.edits.store(self._record, first.attempt)
        self._record = with_attempt(self._record, first.attempt)
        try:
            return await self._all.lanes.opened(self._record, admission, beside=first.attempt.number)
        except OverBudget as refusal:
            self._all.witness.denied(refusal)
            return None
        except Cancelled:
            return None


def _stamped(over: Over, lane: Lane) -> Over:
    """With the stamp of an acceptance that the race wrote, and the run itself did not."""
    accepted_ms = over.attempt.accepted_ms or lane.attempt.accepted_ms
    return Over(replace(over.attempt, accepted_ms=accepted_ms), over.result)


def _decides(over: Over) -> bool:
    return _rank(over) < _FAILED


_REFUSED, _DELIVERED, _FAILED = range(3)


def _rank(over: Over) -> int:
    match over.result:
        case Failed(kind=FailureKind.MODERATED):
            return _REFUSED
        case Delivered():
            return _DELIVERED
        case _:
            return _FAILED
