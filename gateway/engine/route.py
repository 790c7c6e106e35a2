"""The one path of an edit, after it was accepted: candidate by candidate until one delivers, refuses, or none is left.

Each attempt is written before it is sent and closed before the next is opened. Resuming after a crash enters the same
path at the place that the record tells; there is no second engine.
"""

from msgspec.structs import replace

from adapters.contract import Failed, FailureKind, Fate
from gateway.clock import Clock
from gateway.current import Current
from gateway.engine import ends
from gateway.engine.attempts import Unresolved
from gateway.engine.delivery import Delivered
from gateway.engine.health import LOOK_S, Admitted, Health, NotNow
from gateway.engine.lanes import Lane, Lanes, Over
from gateway.engine.line import Line, Ticket
from gateway.engine.race import Races
from gateway.engine.timing import Timing
from gateway.engine.witness import Witness
from gateway.state.budgets import OverBudget
from gateway.state.edits import Cancelled, Edits, NoPermit
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Status, with_attempt
from policies.plans import Plan
from policies.react import VERDICTS, Action, Decision, GiveUp, Refuse, Tried, TryOffer, decide


class NotRepeated(GiveUp, frozen=True, kw_only=True):
    """Only the retry budget forbids another attempt."""


_PAST_S = 0.01
"""Beyond the moment until which an edit may wait."""
_NOT_CONFIGURED = "the configuration no longer has {}"


class Route:
    """Follows accepted edits to their end. One for the whole replica."""

    def __init__(
        self,
        current: Current,
        edits: Edits,
        lanes: Lanes,
        line: Line,
        races: Races,
        health: Health,
        witness: Witness,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._current, self._edits, self.lanes, self.line, self._races = current, edits, lanes, line, races
        self._health, self._witness, self._clock, self._timing = health, witness, clock, timing
        self.cancels = lanes.cancels

    # --- entering -------------------------------------------------------------------------------------------------

    async def admitted(self, record: EditRecord, offer: str | None = None) -> Admitted | NotNow:
        """Where the next attempt may be opened now: at `offer`, else at the first of the plan that this edit has not
        tried. Where all of them are sick, a look at one of them now and then. Raises `StoreUnavailable`."""
        choices = self._choices(record, offer)
        waits_s: list[float] = []
        for last in (False, True):
            for choice in choices:
                said = await self._health.admit(choice, last=last)
                if isinstance(said, Admitted):
                    return said
                waits_s.append(said.wait_s)
        return NotNow(min(waits_s))

    def _choices(self, record: EditRecord, offer: str | None) -> list[str]:
        """`offer`, then what failover would go to: the rest of the plan that was not tried, is sold and is in time."""
        tried = {attempt.offer for attempt in record.attempts}
        left = {one.provider for one in record.attempts if one.failure and VERDICTS[one.failure].leaves_account}
        remaining_s = self._remaining_s(record)
        fresh = [
            one.offer
            for one in self._still_sold(record).candidates
            if one.offer not in tried and one.provider not in left and one.expected_s <= remaining_s
        ]
        if offer and fresh and not self.lanes.sells(record, offer):
            return fresh
        return list(dict.fromkeys([offer, *fresh] if offer else fresh or [record.plan.candidates[0].offer]))

    def _still_sold(self, record: EditRecord) -> Plan:
        """The plan without offers that the configuration lost since it was made, or that cannot do the edit now."""
        plan = record.plan
        return replace(plan, candidates=tuple(one for one in plan.candidates if self.lanes.sells(record, one.offer)))

    async def follow(
        self, record: EditRecord, attempt: AttemptRecord | None, admission: Admitted | None = None
    ) -> EditRecord:
        """From the moment of acceptance. `attempt` was opened with it under `admission`, or it could not be opened
        yet. Raises `Fenced`."""
        if attempt is None:
            return await self._open(record, TryOffer(offer=record.plan.candidates[0].offer))
        return await self._run(record, Lane(attempt, admission))

    async def begin(self, record: EditRecord) -> EditRecord:
        """As `follow`, for an edit of ours of which nothing was sent since it was accepted a while ago: what was
        stamped then is stamped anew. Raises `Fenced`."""
        if not record.attempts:
            return await self._begin(record)
        return await self._run(record, Lane(await self._edits.store(record, record.attempts[0])))

    async def resume(self, record: EditRecord) -> EditRecord:
        """From the record of a replica that is gone. Raises `Fenced`."""
        running = [attempt for attempt in record.attempts if attempt.state.is_open]
        if running:
            return await self._rejoin(record, running)
        if not record.attempts:
            return await self._begin(record)
        last = next(one for one in reversed(record.attempts) if one.failure)  # an outrun runner has none
        return await self._after(record, last, _failed_of(last), closed=True)

    async def _rejoin(self, record: EditRecord, running: list[AttemptRecord]) -> EditRecord:
        """One open attempt, or two of a race. What the configuration lost cannot be followed."""
        here = [attempt for attempt in running if self._current.find(attempt.offer)]
        gone = [_gone(record, one) for one in running if one not in here]
        for attempt in gone if here else gone[:-1]:
            record = await self._closed(record, attempt)
        if not here:
            return await self._after(record, gone[-1], _failed_of(gone[-1]))
        return await self._run(record, *[await self.lanes.rejoined(record, attempt) for attempt in here])

    async def aclose(self) -> None:
        await self._races.aclose()

    # --- the path -------------------------------------------------------------------------------------------------

    async def _begin(self, record: EditRecord) -> EditRecord:
        """The first attempt of an edit that was queued under another configuration, perhaps."""
        sold = self._still_sold(record).candidates
        if sold:
            return await self._open(record, TryOffer(offer=sold[0].offer))
        return await self._finish(record, _none_left(record), None)

    async def _open(self, record: EditRecord, step: TryOffer) -> EditRecord:
        """Opens the next attempt when its provider is well and it is the edit's turn there, until the deadline."""
        await self._pause(record, step.after_s)
        seconds = record.plan.candidate(step.offer).expected_s
        offers, fresh = tuple(self._choices(record, step.offer)), not record.attempts
        with self.line.joined(record.id, record.team, offers, seconds, fresh=fresh) as ticket:
            try:
                opened = await self._turn(record, step.offer, ticket)
            except Cancelled:
                opened = None
            except OverBudget as refusal:
                self._witness.denied(refusal)
                opened = ends.over_budget(record.attempts, refusal)
            finally:
                self._health.unqueue(record.id)
        match opened:
            case None:
                return await self._stop(record, None, dropped=ticket.dropped)
            case End() if held := _held(record):  # which may have made it: so it has not failed
                return await self._leave(record, held, held.message, closed=True)
            case End():
                return await self._finish(record, opened, None)
            case Lane(attempt=attempt):
                return await self._run(with_attempt(replace(record, status=Status.RUNNING), attempt), opened)

    async def _turn(self, record: EditRecord, offer: str, ticket: Ticket) -> Lane | End | None:
        """The attempt that was opened, the edit's end for want of time or offers, or None where nobody wants it now.
        Raises `Cancelled` and `OverBudget`."""
        while not (self.cancels.is_asked(record) or ticket.dropped):
            if not any(self.lanes.sells(record, choice) for choice in self._choices(record, offer)):
                return _none_left(record)
            if not ticket.wait_s:
                ticket.woken.clear()
                if lane := await self._placed(record, ticket, await self.admitted(record, offer)):
                    return lane
            if (left_s := self._may_wait_s(record, offer)) < 0:
                late = ends.out_of_service if ticket.stalled else ends.too_late
                return late(record.attempts)
            if ticket.wait_s:
                if not ticket.stalled:
                    self._health.queue(record.id, ticket.account)
                with self._witness.waiting():
                    await self.cancels.pause(record, ticket.sleep(left_s + _PAST_S))
        return None

    async def _placed(self, record: EditRecord, ticket: Ticket, admission: Admitted | NotNow) -> Lane | None:
        """The attempt, where it could be opened; else the ticket knows when to ask again."""
        if isinstance(admission, NotNow):
            ticket.stall(self._pause_s(admission))
            return None
        account = self.lanes.place(admission.offer).provider.name
        if account != ticket.account:
            others = self.line.is_waited_for(account)
            ticket.move(account)
            if others:
                self._health.let_go(admission)
                return None
        opened = await self.lanes.opened(record, admission)
        if isinstance(opened, NoPermit):
            ticket.full(self._pause_s(admission))
            return None
        ticket.take()
        return Lane(opened, admission)

    def _may_wait_s(self, record: EditRecord, offer: str) -> float:
        """For how long something of the plan can still be expected in time."""
        least_s = min(record.plan.candidate(choice).expected_s for choice in self._choices(record, offer))
        return self._remaining_s(record) - least_s

    def _pause_s(self, admission: Admitted | NotNow) -> float:
        """Until the next look: for a permit soon, for a recovery when it may have come."""
        pause_s = self._timing.permit_s
        if isinstance(admission, NotNow):
            pause_s = max(pause_s, min(admission.wait_s, LOOK_S))
        return pause_s * (0.5 + self._clock.chance())

    async def _run(self, record: EditRecord, *lanes: Lane) -> EditRecord:
        """What is open, to the end of the edit."""
        decided = await self._races.run(record, *lanes)
        try:
            ended = await self._concluded(decided.record, decided.over)
        except BaseException:
            for task in decided.outrun:
                task.cancel()
            raise
        self._races.follow_on(ended, decided.outrun)
        return ended

    async def _concluded(self, record: EditRecord, over: Over) -> EditRecord:
        attempt = over.attempt
        match over.result:
            case Delivered(images=()):  # wanted by nobody, by what was heard: the store may have lost that word
                end = ends.cancelled(with_attempt(record, attempt).attempts)
                return await self._finish(record, end, attempt)
            case Delivered():
                late = self._remaining_s(record) < 0
                return await self._finish(record, ends.succeeded(record, attempt, over.result, late=late), attempt)
            case Failed():
                return await self._after(record, attempt, over.result)
            case Unresolved():
                return await self._after(record, attempt, _as_failure(over.result))

    async def _after(
        self, record: EditRecord, attempt: AttemptRecord, failed: Failed, *, closed: bool = False
    ) -> EditRecord:
        """A failure that is proven: the next offer, or the end."""
        record = with_attempt(record, attempt)
        at_risk = _held(record) and failed.kind is not FailureKind.MODERATED
        if at_risk and not self._accepts_risk(record):
            return await self._leave(record, attempt, failed.message, closed=closed)
        if self.cancels.is_asked(record) and failed.kind is not FailureKind.MODERATED:
            return await self._stop(record, None if closed else attempt)
        decision = self._decide(record, failed)
        match decision:
            case TryOffer():
                record = record if closed else await self._closed(record, attempt)
                self._witness.fell_back(attempt, decision.offer, failed.kind)
                return await self._open(record, decision)
            case Refuse():
                return await self._finish(record, ends.refused(record.attempts), None if closed else attempt)
            case GiveUp() if _held(record):
                return await self._leave(record, attempt, failed.message, closed=closed)
            case NotRepeated():
                end = ends.not_repeated(record.attempts, failed.message)
                return await self._finish(record, end, None if closed else attempt)
            case GiveUp():
                end = ends.given_up(record.attempts, decision, failed.message)
                return await self._finish(record, end, None if closed else attempt)
            case _:
                return await self._leave(record, ends.unresolved(attempt, Unresolved(failed.message)), failed.message)

    async def _closed(self, record: EditRecord, attempt: AttemptRecord) -> EditRecord:
        closed = await self._edits.close(record, attempt)
        self.line.freed(attempt.provider)
        record = with_attempt(record, closed)
        self._witness.attempt_ended(record, closed)
        return record

    async def _stop(self, record: EditRecord, attempt: AttemptRecord | None, *, dropped: bool = False) -> EditRecord:
        """Its caller wants no more of it, or is gone (`dropped`). What may still be charged is found out before it
        counts as cancelled."""
        if held := _held(record):
            return await self._leave(record, attempt or held, held.message, closed=attempt is None)
        end = ends.dropped(record.attempts) if dropped else ends.cancelled(record.attempts)
        return await self._finish(record, end, attempt)

    async def _leave(
        self, record: EditRecord, attempt: AttemptRecord, message: str, *, closed: bool = False
    ) -> EditRecord:
        record = with_attempt(record, attempt)
        return await self._finish(record, ends.left_unresolved(record.attempts, message), None if closed else attempt)

    async def _finish(self, record: EditRecord, end: End, attempt: AttemptRecord | None) -> EditRecord:
        """One atomic step: the final state, and the close of the attempt that led to it."""
        try:
            finished = await self._edits.finish(record, end, attempt)
        except Cancelled:
            end = ends.cancelled((with_attempt(record, attempt) if attempt else record).attempts)
            finished = await self._edits.finish(record, end, attempt)
        if attempt is not None:
            self.line.freed(attempt.provider)
            self._witness.attempt_ended(finished, finished.attempts[attempt.number - 1])
        self._witness.edit_ended(finished, end)
        return finished

    # --- deciding -------------------------------------------------------------------------------------------------

    def _decide(self, record: EditRecord, failed: Failed) -> Decision:
        now_ms, final = self._clock.now_ms(), _final_of(record)
        failed = _failed_of(final) if final else failed
        history = tuple(
            Tried(offer=tried.offer, kind=tried.failure, not_before_s=_still_to_wait_s(tried, now_ms))
            for tried in record.attempts
            if tried.failure
        )
        plan = self._still_sold(record)
        remaining_s, chance, spent = self._remaining_s(record), self._clock.chance(), self._health.spent()
        decision = decide(failed, history, plan, remaining_s, chance, spent)
        if spent and isinstance(decision, GiveUp):
            freely = decide(failed, history, plan, remaining_s, chance)
            return decision if isinstance(freely, GiveUp) else NotRepeated(kind=failed.kind)
        return decision

    def _accepts_risk(self, record: EditRecord) -> bool:
        """Whether the edit's team would rather pay twice than wait for the truth about a lost answer."""
        team = self._current.settings.teams.get(record.team)
        return team is not None and team.accepts_risk

    def _remaining_s(self, record: EditRecord) -> float:
        return record.left_s(self._clock.now_ms())

    async def _pause(self, record: EditRecord, seconds: float) -> None:
        if seconds > 0:
            await self.cancels.pause(record, self._clock.sleep(seconds))


def _as_failure(outcome: Unresolved) -> Failed:
    """What nobody could resolve, for a team that goes on all the same: at another offer, since this one may have taken
    the work already."""
    return Failed(kind=FailureKind.UNSUPPORTED, fate=Fate.NOT_RUN, message=outcome.message)


def _gone(record: EditRecord, attempt: AttemptRecord) -> AttemptRecord:
    """An open attempt at an offer that the configuration lost: unresolved, but where nobody bills it has failed."""
    message = _NOT_CONFIGURED.format(attempt.offer)
    if record.plan.candidate(attempt.offer).billed:
        return ends.unresolved(attempt, Unresolved(message))
    kind, fate = FailureKind.TASK_FAILED, Fate.MAY_HAVE_RUN
    return replace(attempt, state=AttemptState.RELEASED, failure=kind, fate=fate, message=message)


def _none_left(record: EditRecord) -> End:
    message = "the configuration no longer has any offer of its plan"
    return ends.given_up(record.attempts, GiveUp(kind=FailureKind.UNSUPPORTED), message)


def _held(record: EditRecord) -> AttemptRecord | None:
    """An attempt of which nobody knows whether it was charged."""
    return next((attempt for attempt in record.attempts if attempt.state is AttemptState.UNRESOLVED), None)


def _still_to_wait_s(attempt: AttemptRecord, now_ms: int) -> float:
    """What is left of the time for which an attempt's provider asked to be left alone, counted from its close."""
    if attempt.retry_after_s is None:
        return 0.0
    passed_s = (now_ms - attempt.closed_ms) / 1000 if attempt.closed_ms else 0.0
    return max(0.0, attempt.retry_after_s - passed_s)


def _failed_of(attempt: AttemptRecord) -> Failed:
    """The failure by which a closed attempt ended, for a replica that did not see it happen."""
    assert attempt.failure is not None
    assert attempt.fate is not None
    return Failed(kind=attempt.failure, fate=attempt.fate, message=attempt.message, retry_after=attempt.retry_after_s)


def _final_of(record: EditRecord) -> AttemptRecord | None:
    """Of a race, the runner after whose failure nothing is tried again, though the other one went on."""
    final = (Action.STOP, Action.REFUSE)
    return next((one for one in record.attempts if one.failure and VERDICTS[one.failure].action in final), None)
