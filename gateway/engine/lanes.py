"""One attempt from its opening to its result: written before it is sent, watched while it runs, its pictures kept.

A route opens one lane after another. Only a race has two at once.
"""

from msgspec import Struct

from adapters.contract import Attempt, Done, Failed, Next, Offer
from adapters.fit import Fit, fit
from gateway.current import Current
from gateway.engine import ends
from gateway.engine.attempts import Accepted, Ran, Runner, Unresolved, attempt_id
from gateway.engine.callbacks import Addresses
from gateway.engine.cancels import Cancels
from gateway.engine.delivery import Delivered, Delivery
from gateway.engine.health import Admitted, Health
from gateway.engine.terms import caps
from gateway.engine.witness import Witness
from gateway.settings import Provider
from gateway.state.connection import StoreUnavailable
from gateway.state.edits import Edits, NoPermit, Permit
from gateway.state.records import AttemptRecord, AttemptState, EditRecord

Result = Delivered | Failed | Unresolved


class Place(Struct, frozen=True):
    """Where an attempt goes: the offer, and the account that it is bought from."""

    offer: Offer
    provider: Provider

    @property
    def permit(self) -> Permit:
        return Permit(account=self.provider.name, limit=self.provider.max_concurrency)


class Over(Struct, frozen=True):
    """An attempt as it will be closed, and what it came to."""

    attempt: AttemptRecord
    result: Result


class Lane:
    """An attempt while it is followed. `heard` is told when its provider works on it. `outrun`: another one has ended
    the edit, so its pictures are nobody's."""

    def __init__(
        self,
        attempt: AttemptRecord,
        admission: Admitted | None = None,
        *,
        resumed: bool = False,
        heard: Accepted | None = None,
    ) -> None:
        self.attempt, self.admission, self.resumed, self.heard = attempt, admission, resumed, heard
        self.outrun = False

    def __repr__(self) -> str:
        return f"Lane({self.attempt.number}: {self.attempt.offer}{', outrun' if self.outrun else ''})"

    def accepted(self, attempt: AttemptRecord) -> None:
        self.attempt = attempt
        if self.heard is not None:
            self.heard(attempt)


class Lanes:
    def __init__(
        self,
        current: Current,
        edits: Edits,
        runner: Runner,
        delivery: Delivery,
        health: Health,
        witness: Witness,
        addresses: Addresses | None = None,
    ) -> None:
        self._addresses = addresses or Addresses()
        self._current, self._edits, self._runner, self._delivery = current, edits, runner, delivery
        self._health, self._witness = health, witness
        self._unsent: set[tuple[str, int, int]] = set()
        self.cancels = Cancels()

    def place(self, offer: str) -> Place:
        """Raises `KeyError` for an offer that neither this configuration has nor one before it in this process."""
        if found := self._current.find(offer):
            return Place(*found)
        raise KeyError(offer)

    def sells(self, record: EditRecord, offer: str) -> bool:
        """Whether `offer` can still be bought for this edit, under the configuration of now."""
        return self._current.sells(offer) and isinstance(fit(record.edit, self.place(offer).offer), Fit)

    def prepared(self, record: EditRecord, offer: str, *, beside: int | None = None) -> AttemptRecord:
        """The next attempt of an edit at `offer`, as intent: pure, nothing is sent."""
        place = self.place(offer)
        count = sum(attempt.offer == offer for attempt in record.attempts)
        identity = attempt_id(record.origin, offer, count)
        number = len(record.attempts) + 1
        callback_url = self._addresses.of(self._current.settings, place.provider, record.id, number)
        step: Next = place.provider.adapter.submit(
            Attempt(id=identity, number=number, edit=record.edit, offer=place.offer, callback_url=callback_url)
        )
        return AttemptRecord(
            id=identity,
            number=number,
            offer=offer,
            provider=place.provider.name,
            price_micro=record.plan.candidate(offer).hold_micro,
            pictures=record.edit.n,
            state=AttemptState.INTENT,
            call=step.call,
            beside=beside,
            callback_url=callback_url,
        )

    async def opened(
        self, record: EditRecord, admission: Admitted, *, beside: int | None = None
    ) -> AttemptRecord | NoPermit:
        """The attempt, written; what `admission` took is free again where it was not. Raises `OverBudget`
        and `Cancelled`."""
        attempt = self.prepared(record, admission.offer, beside=beside)
        budgets = caps(self._current.settings, record.team, record.key_id)
        opened = NoPermit()
        try:
            opened = await self._edits.open(record, attempt, self.place(admission.offer).permit, caps=budgets)
        except StoreUnavailable:
            self._unsent.add((record.id, record.epoch, attempt.number))
            raise
        finally:
            if isinstance(opened, NoPermit):
                self._health.let_go(admission)
        return opened

    async def rejoined(self, record: EditRecord, attempt: AttemptRecord) -> Lane:
        """An open attempt of a path that broke off. One of which only the opening was not confirmed was not sent by us,
        and in this epoch by nobody else: it begins, with a new stamp."""
        opening = (record.id, record.epoch, attempt.number)
        if opening not in self._unsent:
            return Lane(attempt, resumed=True)
        return Lane(await self._edits.store(record, attempt))

    async def followed(self, record: EditRecord, lane: Lane) -> Over:
        """To the attempt's end. Raises `Fenced`."""
        attempt, place = lane.attempt, self.place(lane.attempt.offer)
        self._unsent.discard((record.id, record.epoch, attempt.number))
        if not lane.resumed:
            self._health.submitted(attempt.provider, repeat=_is_repeat(record, attempt))
        self._witness.attempt_began(record, attempt)
        with self._health.watching(attempt, record.plan.candidate(attempt.offer).most_s, lane.admission) as watch:
            ran = await self._ran(record, place, lane)
            if ran is None:
                return Over(ends.let_go(attempt, place.offer, self._runner.worked_s(attempt)), Delivered((), ()))
            if not lane.resumed:
                self._witness.acknowledged(attempt, ran.accepted_s)
            result = await self._result(record, place, lane, ran)
            ended = _ended(ran, result, place.offer)
            watch.ended(ended, None if lane.resumed else ran.accepted_s, timed=not lane.resumed)
        return Over(ended, result)

    async def _ran(self, record: EditRecord, place: Place, lane: Lane) -> Ran | None:
        """None where its caller wants no more of it and nobody bills for it: the connection is dropped, and the machine
        is free for the next."""
        run = self._runner.run(
            record, place.provider, place.offer, lane.attempt, resumed=lane.resumed, accepted=lane.accepted
        )
        return await (run if place.offer.billed else self.cancels.unless_asked(record, run))

    async def _result(self, record: EditRecord, place: Place, lane: Lane, ran: Ran) -> Result:
        if not isinstance(ran.outcome, Done):
            return ran.outcome
        if lane.outrun or self.cancels.is_asked(record):  # paid for, and wanted by nobody
            return Delivered((), ())
        return await self._delivery.deliver(record, place.provider, place.offer, ran.attempt.id, ran.outcome)


def _ended(ran: Ran, result: Result, offer: Offer) -> AttemptRecord:
    """The attempt as it will be closed."""
    done = ran.outcome if isinstance(ran.outcome, Done) else None
    match result:
        case Delivered():
            assert done is not None
            return ends.delivered(ran.attempt, done, result, offer, ran.seconds)
        case Failed():
            return ends.failed(ran.attempt, result, offer, done, ran.seconds)
        case Unresolved():
            return ends.unresolved(ran.attempt, result)


def _is_repeat(record: EditRecord, attempt: AttemptRecord) -> bool:
    """Its provider has failed this edit before."""
    return any(
        one.provider == attempt.provider and one.failure and one.number < attempt.number for one in record.attempts
    )
