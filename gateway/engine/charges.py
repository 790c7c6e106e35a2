"""What was booked, held against what providers charged: every attempt that ended lately is looked at once, from the
books, so that a restart forgets none."""

from collections import Counter

import msgspec

from adapters.contract import Done, Failed, Unclear
from gateway.clock import Clock
from gateway.current import Current
from gateway.engine.comparison import (
    Closed,
    Comparison,
    Finding,
    account_of,
    compare,
    recently_closed,
    unknown_to_them,
)
from gateway.engine.inquiry import Inquiry, Truth
from gateway.engine.late import place_of
from gateway.engine.timing import Timing
from gateway.engine.witness import Witness
from gateway.ledger.accounts import Account, AttemptAccount
from gateway.ledger.book import Book
from gateway.ledger.rows import Mark
from gateway.observe import log
from gateway.state.corrections import Corrections
from gateway.state.edits import Edits, IllegalMove
from gateway.state.records import AttemptRecord, EditRecord

MOST_A_ROUND = 100
ASKED_TIMES = 3
"""So often a provider is asked for what it does not show, before its silence counts as its word: it may be away."""


class Charges:
    def __init__(
        self,
        current: Current,
        book: Book,
        edits: Edits,
        corrections: Corrections,
        inquiry: Inquiry,
        witness: Witness,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._current, self._book, self._edits, self._corrections = current, book, edits, corrections
        self._inquiry, self._witness, self._clock, self._timing = inquiry, witness, clock, timing
        self._compared: set[Closed] = set()
        self._silent: Counter[Closed] = Counter()

    async def compare(self) -> None:
        """One round. Raises `LedgerUnavailable` and `StoreUnavailable`; the next round goes on."""
        now_ms, timing = self._clock.now_ms(), self._timing
        since_ms, until_ms = now_ms - 1000 * timing.compare_within_s, now_ms - 1000 * timing.compare_after_s
        closed = await recently_closed(self._book, round(since_ms), round(until_ms))
        self._compared &= set(closed)
        self._silent = Counter({one: count for one, count in self._silent.items() if one in closed})
        for one in [one for one in closed if one not in self._compared][:MOST_A_ROUND]:
            try:
                is_compared = await self._is_compared(one)
            except (msgspec.DecodeError, ValueError) as error:  # this release cannot read it: the others go on
                log.error("edit_unreadable", edit=one.edit, error=str(error))
                continue
            if is_compared:
                self._compared.add(one)

    async def _is_compared(self, one: Closed) -> bool:
        """Whether there is nothing more to learn of it. An edit under way is looked at when it has ended: only then it
        is known whether a charge was a second one, or may be."""
        each = await account_of(self._book, one.edit)
        if each is None or each.outcome is None:
            return False
        record = await self._edits.get(one.edit)
        ours = next((found for found in each.attempts if found.number == one.number), None)
        attempt = next((found for found in record.attempts if ours and found.id == ours.id), None) if record else None
        place = place_of(self._current, attempt) if attempt else None
        if record is None or ours is None or attempt is None or place is None:
            return True
        truth = await self._inquiry.ask(record, attempt, place.provider, place.offer)
        comparison = self._judged(one, ours, each, truth)
        if comparison is not None:
            await self._tell(record, attempt, ours, comparison, truth)
        return comparison is not None

    def _judged(self, one: Closed, ours: AttemptAccount, each: Account, truth: Truth) -> Comparison | None:
        if not isinstance(truth, Unclear):
            return compare(ours, each, truth)
        self._silent[one] += 1
        return unknown_to_them(ours) if self._silent[one] >= ASKED_TIMES else None

    async def _tell(
        self, record: EditRecord, attempt: AttemptRecord, ours: AttemptAccount, found: Comparison, truth: Truth
    ) -> None:
        self._witness.reconciled(attempt.provider, found.finding)
        if found.finding is Finding.OURS_ONLY:
            log.warning("charge_not_shown", edit=record.id, attempt=attempt.id, offer=attempt.offer)
        if not found.difference_micro:
            return
        has_figure = isinstance(truth, (Done, Failed)) and truth.cost_micro is not None
        charged = ours.charged_micro
        try:
            await self._corrections.correct(
                record,
                attempt.number,
                found.difference_micro,
                operation=f"reconcile/{attempt.number}/{charged}-{charged + found.difference_micro}",
                source="provider" if has_figure else "table",
                note=f"the reconciler: {found.finding}",
                mark=Mark.DUPLICATE_CHARGE if found.finding is Finding.DUPLICATE_CHARGE else None,
            )
        except IllegalMove as error:
            log.error("correction_refused", edit=record.id, attempt=attempt.id, error=str(error))
            return
        self._witness.corrected(record, attempt, found.finding, found.difference_micro)
