"""The late truth about attempts that were left unresolved: their provider is asked again, now and then, until it knows.

What was made is settled and delivered, what failed is released, and what is not known stays as it is. Nothing is sent
that could buy, so an attempt that never arrived is found out by an operator alone, unless the provider's silence is
declared to be proof (Runflow's `absent_after_s`).
"""

from collections.abc import Iterable

from msgspec.structs import replace

from adapters.contract import Done, Failed
from gateway.clock import Clock
from gateway.current import Current
from gateway.engine import ends
from gateway.engine.comparison import Finding
from gateway.engine.delivery import Delivered, Delivery
from gateway.engine.handover import HandOver
from gateway.engine.inquiry import Inquiry
from gateway.engine.lanes import Place
from gateway.engine.timing import Timing
from gateway.engine.witness import Witness
from gateway.observe import log
from gateway.state.corrections import Corrections
from gateway.state.edits import IllegalMove
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Status

PATIENCE = 0.1  # of its age, an attempt is left alone after it was asked for
LONGEST_PAUSE_S = 3_600.0


class Resolver:
    def __init__(
        self,
        current: Current,
        corrections: Corrections,
        inquiry: Inquiry,
        delivery: Delivery,
        handover: HandOver,
        witness: Witness,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._current, self._corrections, self._inquiry = current, corrections, inquiry
        self._delivery, self._handover, self._witness = delivery, handover, witness
        self._clock, self._timing = clock, timing
        self._asked_ms: dict[str, int] = {}

    async def resolve(self, records: Iterable[EditRecord]) -> None:
        """Asks for every unresolved attempt whose time has come; `records` are all edits that have one."""
        waiting = [(record, attempt) for record in records for attempt in unresolved(record)]
        known = {attempt.id for _, attempt in waiting}
        self._asked_ms = {one: at_ms for one, at_ms in self._asked_ms.items() if one in known}
        for record in {record.id: record for record, attempt in waiting if self._is_due(record, attempt)}.values():
            try:
                await self._edit(record)
            except IllegalMove as error:  # an operator was faster
                log.info("reconcile_too_late", edit=record.id, error=str(error))

    def _is_due(self, record: EditRecord, attempt: AttemptRecord) -> bool:
        now_ms = self._clock.now_ms()
        age_s = (now_ms - (attempt.first_posted_ms or record.created_ms)) / 1000
        asked_ms = self._asked_ms.get(attempt.id)
        if age_s > self._timing.forget_s:
            return False
        return asked_ms is None or now_ms - asked_ms >= 1000 * min(LONGEST_PAUSE_S, PATIENCE * age_s)

    async def _edit(self, record: EditRecord) -> None:
        """Failures first: a success is delivered with the last attempt that ends, since the edit ends with it."""
        found = [(attempt, await self._truth(record, attempt)) for attempt in unresolved(record)]
        told = [(attempt, truth) for attempt, truth in found if truth is not None]
        for attempt, truth in sorted(told, key=lambda each: isinstance(each[1], Done)):
            others = len(unresolved(record)) - 1
            if isinstance(truth, Done) and others and len(told) < len(found):
                continue
            record = await self._end(record, attempt, truth, is_last=not others)

    async def _truth(self, record: EditRecord, attempt: AttemptRecord) -> Done | Failed | None:
        place = place_of(self._current, attempt)
        if place is None:
            return None
        self._asked_ms[attempt.id] = self._clock.now_ms()
        truth = await self._inquiry.ask(record, attempt, place.provider, place.offer)
        return truth if isinstance(truth, (Done, Failed)) else None

    async def _end(
        self, record: EditRecord, attempt: AttemptRecord, truth: Done | Failed, *, is_last: bool
    ) -> EditRecord:
        place = place_of(self._current, attempt)
        assert place is not None
        clean = replace(attempt, failure=None, fate=None, message="", retry_after_s=None)
        result = truth if isinstance(truth, Failed) else await self._delivered(record, place, attempt, truth, is_last)
        done = truth if isinstance(truth, Done) else None
        if isinstance(result, Failed):
            ended = ends.failed(clean, result, place.offer, done)
        else:
            assert done is not None
            ended = ends.delivered(clean, done, result, place.offer)
        if ended.state is AttemptState.UNRESOLVED:
            return record
        return await self._write(record, ended, ends.found_out(record, ended, result))

    async def _delivered(
        self, record: EditRecord, place: Place, attempt: AttemptRecord, done: Done, is_last: bool
    ) -> Delivered | Failed:
        """The pictures, where the edit ends with this attempt; one that another attempt delivered keeps its own,
        one that was cancelled wants none, and one that was refused gets none."""
        wanted = record.status is Status.UNRESOLVED and not (record.cancel_ms or ends.was_refused(record.attempts))
        if not (wanted and is_last):
            return Delivered((), ())
        return await self._delivery.deliver(record, place.provider, place.offer, attempt.id, done)

    async def _write(self, record: EditRecord, ended: AttemptRecord, end: End) -> EditRecord:
        said = f"the reconciler: {ended.provider} says that it {'charged' if ended.cost_micro else 'did not charge'}"
        operation = f"reconcile/{ended.number}/{ended.state.value}"
        was = record.status
        record = await self._corrections.resolve(record, ended, end, operation=operation, note=said)
        finding = Finding.SETTLED if ended.state is AttemptState.SETTLED else Finding.RELEASED
        self._witness.reconciled(ended.provider, finding)
        self._witness.resolved(record, ended)
        if was is Status.UNRESOLVED:
            self._handover.begin(record)
        return record


def unresolved(record: EditRecord) -> tuple[AttemptRecord, ...]:
    return tuple(attempt for attempt in record.attempts if attempt.state is AttemptState.UNRESOLVED)


def place_of(current: Current, attempt: AttemptRecord) -> Place | None:
    """None for an offer that nobody bills, or that the configuration no longer has."""
    found = current.find(attempt.offer)
    return Place(*found) if found and found[0].billed else None
