"""The one path of an edit, after it was accepted: candidate by candidate until one delivers, refuses, or none is left.

Each attempt is written before it is sent and closed before the next is opened. Resuming after a crash enters the same
path at the place that the record tells; there is no second engine.
"""

from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import Attempt, Done, Failed, FailureKind, Fate, Next, Offer
from gateway.clock import Clock
from gateway.current import Current
from gateway.engine import ends
from gateway.engine.attempts import Ran, Runner, Unresolved, attempt_id
from gateway.engine.delivery import Delivered, Delivery
from gateway.engine.health import LOOK_S, Admitted, Health, NotNow
from gateway.engine.terms import caps
from gateway.engine.timing import Timing
from gateway.engine.witness import Witness
from gateway.settings import Provider
from gateway.state.budgets import Caps, OverBudget
from gateway.state.edits import Edits, NoPermit, Permit
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Status
from policies.plans import Plan
from policies.react import VERDICTS, Decision, GiveUp, Refuse, Tried, TryOffer, decide


class Place(Struct, frozen=True):
    """Where an attempt goes: the offer, and the account that it is bought from."""

    offer: Offer
    provider: Provider

    @property
    def permit(self) -> Permit:
        return Permit(account=self.provider.name, limit=self.provider.max_concurrency)


class NotRepeated(GiveUp, frozen=True, kw_only=True):
    """Only the retry budget forbids another attempt."""


class Route:
    """Follows accepted edits to their end. One for the whole replica."""

    def __init__(
        self,
        current: Current,
        edits: Edits,
        runner: Runner,
        delivery: Delivery,
        health: Health,
        witness: Witness,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._current, self._edits, self._runner, self._delivery = current, edits, runner, delivery
        self._health, self._witness, self._clock, self._timing = health, witness, clock, timing

    # --- entering -------------------------------------------------------------------------------------------------

    def place(self, offer: str) -> Place:
        """Raises `KeyError` for an offer that neither this configuration has nor one before it in this process."""
        if found := self._current.find(offer):
            return Place(*found)
        raise KeyError(offer)

    def prepared(self, record: EditRecord, offer: str) -> AttemptRecord:
        """The next attempt of an edit at `offer`, as intent: pure, nothing is sent."""
        place = self.place(offer)
        count = sum(attempt.offer == offer for attempt in record.attempts)
        identity = attempt_id(record.origin, offer, count)
        number = len(record.attempts) + 1
        step: Next = place.provider.adapter.submit(
            Attempt(id=identity, number=number, edit=record.edit, offer=place.offer)
        )
        return AttemptRecord(
            id=identity,
            number=number,
            offer=offer,
            provider=place.provider.name,
            price_micro=record.plan.candidate(offer).price_micro,
            pictures=record.edit.n,
            state=AttemptState.INTENT,
            call=step.call,
        )

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
            for one in _still_sold(record.plan, self._current).candidates
            if one.offer not in tried and one.provider not in left and one.expected_s <= remaining_s
        ]
        return list(dict.fromkeys([offer, *fresh] if offer else fresh or [record.plan.candidates[0].offer]))

    async def follow(
        self, record: EditRecord, attempt: AttemptRecord | None, admission: Admitted | None = None
    ) -> EditRecord:
        """From the moment of acceptance. `attempt` was opened with it under `admission`, or it could not be opened
        yet. Raises `Fenced`."""
        if attempt is None:
            return await self._open(record, TryOffer(offer=record.plan.candidates[0].offer))
        return await self._run(record, attempt, admission)

    async def begin(self, record: EditRecord) -> EditRecord:
        """As `follow`, for an edit of ours of which nothing was sent since it was accepted a while ago: what was
        stamped then is stamped anew. Raises `Fenced`."""
        if not record.attempts:
            return await self._begin(record)
        return await self._run(record, await self._edits.store(record, record.attempts[0]), None)

    async def resume(self, record: EditRecord) -> EditRecord:
        """From the record of a replica that is gone. Raises `Fenced`."""
        last = record.attempts[-1] if record.attempts else None
        if last is None:
            return await self._begin(record)
        if last.state.is_open and not self._current.find(last.offer):
            lost = Unresolved(f"the configuration no longer has {last.offer}")
            return await self._leave(record, ends.unresolved(last, lost), lost.message)
        if last.state.is_open:
            return await self._run(record, last, None, resumed=True)
        return await self._after(record, last, _failed_of(last), closed=True)

    # --- the path -------------------------------------------------------------------------------------------------

    async def _begin(self, record: EditRecord) -> EditRecord:
        """The first attempt of an edit that was queued under another configuration, perhaps."""
        sold = _still_sold(record.plan, self._current).candidates
        if sold:
            return await self._open(record, TryOffer(offer=sold[0].offer))
        message = "the configuration no longer has any offer of its plan"
        return await self._finish(record, ends.given_up((), GiveUp(kind=FailureKind.UNSUPPORTED), message), None)

    async def _open(self, record: EditRecord, step: TryOffer) -> EditRecord:
        """Opens the next attempt when its provider is well and has a place for it, until the deadline."""
        await self._sleep(step.after_s)
        while True:
            admission = await self.admitted(record, step.offer)
            if isinstance(admission, Admitted):
                try:
                    opened = await self._opened(record, admission)
                except OverBudget as refusal:
                    self._witness.denied(refusal)
                    return await self._finish(record, ends.over_budget(record.attempts, refusal), None)
                if not isinstance(opened, NoPermit):
                    record = _with(replace(record, status=Status.RUNNING), opened)
                    return await self._run(record, opened, admission)
            if not self._may_wait(record, step.offer):
                late = ends.out_of_service if isinstance(admission, NotNow) else ends.too_late
                return await self._finish(record, late(record.attempts), None)
            with self._witness.waiting():
                await self._sleep(self._pause_s(admission))

    async def _opened(self, record: EditRecord, admission: Admitted) -> AttemptRecord | NoPermit:
        """The attempt, written; what `admission` took is free again where it was not."""
        attempt, permit = self.prepared(record, admission.offer), self.place(admission.offer).permit
        opened = NoPermit()
        try:
            opened = await self._edits.open(record, attempt, permit, caps=self._caps(record))
        finally:
            if isinstance(opened, NoPermit):
                self._health.let_go(admission)
        return opened

    def _may_wait(self, record: EditRecord, offer: str) -> bool:
        """Whether something of the plan can still be expected in time."""
        least_s = min(record.plan.candidate(choice).expected_s for choice in self._choices(record, offer))
        return self._remaining_s(record) >= least_s

    def _pause_s(self, admission: Admitted | NotNow) -> float:
        """Until the next look: for a permit soon, for a recovery when it may have come."""
        pause_s = self._timing.permit_s
        if isinstance(admission, NotNow):
            pause_s = max(pause_s, min(admission.wait_s, LOOK_S))
        return pause_s * (0.5 + self._clock.chance())

    async def _run(
        self, record: EditRecord, attempt: AttemptRecord, admission: Admitted | None, *, resumed: bool = False
    ) -> EditRecord:
        place = self.place(attempt.offer)
        if not resumed:
            self._health.submitted(attempt.provider, repeat=_is_repeat(record, attempt))
        self._witness.attempt_began(record, attempt)
        with self._health.watching(attempt, record.plan.candidate(attempt.offer).most_s, admission) as watch:
            ran = await self._runner.run(record, place.provider, place.offer, attempt, resumed=resumed)
            if not resumed:
                self._witness.acknowledged(attempt, ran.accepted_s)
            result = await self._result(record, place, ran)
            ended = _ended(ran, result, place.offer)
            watch.ended(ended, None if resumed else ran.accepted_s, timed=not resumed)
        match result:
            case Delivered():
                late = self._remaining_s(record) < 0
                return await self._finish(record, ends.succeeded(record, ended, result, late=late), ended)
            case Failed():
                return await self._after(record, ended, result)
            case Unresolved():
                return await self._after(record, ended, _as_failure(result))

    async def _result(self, record: EditRecord, place: Place, ran: Ran) -> Delivered | Failed | Unresolved:
        if not isinstance(ran.outcome, Done):
            return ran.outcome
        return await self._delivery.deliver(record, place.provider, place.offer, ran.attempt.id, ran.outcome)

    async def _after(
        self, record: EditRecord, attempt: AttemptRecord, failed: Failed, *, closed: bool = False
    ) -> EditRecord:
        """A failure that is proven: the next offer, or the end."""
        record = _with(record, attempt)
        if attempt.state is AttemptState.UNRESOLVED and not self._accepts_risk(record):
            return await self._leave(record, attempt, failed.message)
        decision = self._decide(record, failed)
        match decision:
            case TryOffer():
                if not closed:
                    attempt = await self._edits.close(record, attempt)
                    record = _with(record, attempt)
                    self._witness.attempt_ended(record, attempt)
                self._witness.fell_back(attempt, decision.offer, failed.kind)
                return await self._open(record, decision)
            case Refuse():
                return await self._finish(record, ends.refused(record.attempts), None if closed else attempt)
            case GiveUp() if _holds_unresolved(record):
                return await self._leave(record, attempt, failed.message, closed=closed)
            case NotRepeated():
                end = ends.not_repeated(record.attempts, failed.message)
                return await self._finish(record, end, None if closed else attempt)
            case GiveUp():
                end = ends.given_up(record.attempts, decision, failed.message)
                return await self._finish(record, end, None if closed else attempt)
            case _:
                return await self._leave(record, ends.unresolved(attempt, Unresolved(failed.message)), failed.message)

    async def _leave(
        self, record: EditRecord, attempt: AttemptRecord, message: str, *, closed: bool = False
    ) -> EditRecord:
        record = _with(record, attempt)
        return await self._finish(record, ends.left_unresolved(record.attempts, message), None if closed else attempt)

    async def _finish(self, record: EditRecord, end: End, attempt: AttemptRecord | None) -> EditRecord:
        """One atomic step: the final state, and the close of the attempt that led to it."""
        finished = await self._edits.finish(record, end, attempt)
        if attempt is not None:
            self._witness.attempt_ended(finished, finished.attempts[attempt.number - 1])
        self._witness.edit_ended(finished, end)
        return finished

    # --- deciding -------------------------------------------------------------------------------------------------

    def _decide(self, record: EditRecord, failed: Failed) -> Decision:
        now_ms = self._clock.now_ms()
        history = tuple(
            Tried(offer=tried.offer, kind=tried.failure, not_before_s=_still_to_wait_s(tried, now_ms))
            for tried in record.attempts
            if tried.failure
        )
        plan = _still_sold(record.plan, self._current)
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

    def _caps(self, record: EditRecord) -> Caps:
        return caps(self._current.settings, record.team, record.key_id)

    def _remaining_s(self, record: EditRecord) -> float:
        """Of the deadline; all of it for an edit that is only about to be accepted."""
        now_ms = self._clock.now_ms()
        return record.wish.deadline_s - (now_ms - (record.created_ms or now_ms)) / 1000

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)


def _with(record: EditRecord, attempt: AttemptRecord) -> EditRecord:
    """The record with `attempt` in the place of its number, whether it was there or comes next."""
    return replace(record, attempts=(*record.attempts[: attempt.number - 1], attempt))


def _ended(ran: Ran, result: Delivered | Failed | Unresolved, offer: Offer) -> AttemptRecord:
    """The attempt as it will be closed."""
    done = ran.outcome if isinstance(ran.outcome, Done) else None
    match result:
        case Delivered():
            assert done is not None
            return ends.delivered(ran.attempt, done, result, offer)
        case Failed():
            return ends.failed(ran.attempt, result, offer, done)
        case Unresolved():
            return ends.unresolved(ran.attempt, result)


def _is_repeat(record: EditRecord, attempt: AttemptRecord) -> bool:
    """Its provider has failed this edit before."""
    return any(one.provider == attempt.provider and one.number < attempt.number for one in record.attempts)


def _as_failure(outcome: Unresolved) -> Failed:
    """What nobody could resolve, for a team that goes on all the same: at another offer, since this one may have taken
    the work already."""
    return Failed(kind=FailureKind.UNSUPPORTED, fate=Fate.NOT_RUN, message=outcome.message)


def _holds_unresolved(record: EditRecord) -> bool:
    return any(attempt.state is AttemptState.UNRESOLVED for attempt in record.attempts)


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


def _still_sold(plan: Plan, current: Current) -> Plan:
    """The plan without offers that the configuration lost since it was made."""
    return replace(plan, candidates=tuple(found for found in plan.candidates if current.sells(found.offer)))
