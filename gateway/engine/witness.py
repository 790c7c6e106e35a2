"""What is told of an edit to metrics and log: its plan, its attempts, its end. Never a prompt, a picture or a key."""

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum

from adapters.contract import FailureKind, Outcome, Step
from gateway.current import Current
from gateway.engine.comparison import Finding
from gateway.engine.spans import Spans
from gateway.ledger.rows import HEDGE_LOST
from gateway.observe import Metrics, log
from gateway.observe.tracecontext import TraceContext
from gateway.observe.tracing import Tracer, Untraced
from gateway.state.budgets import OverBudget
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Status
from policies.plans import Plan

DUPLICATE, HEDGE = "duplicate", "hedge"


class EditOutcome(StrEnum):
    """How an edit ended, as metrics and log say it. Of these, `deadline`, `failed` and `unresolved` are ours to answer
    for; `invalid`, `budget`, `refused` and `cancelled` are the caller's."""

    OK = "ok"
    LATE = "late"
    DEGRADED = "degraded"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    INVALID = "invalid"
    BUDGET = "budget"
    DEADLINE = "deadline"
    FAILED = "failed"
    UNRESOLVED = "unresolved"


# The kind of the problem that a failed edit ended with, where it is not just `failed`.
_FAILED_AS = {
    "invalid": EditOutcome.INVALID,
    "unsupported": EditOutcome.INVALID,
    "budget": EditOutcome.BUDGET,
    "deadline": EditOutcome.DEADLINE,
}


_OURS = frozenset({EditOutcome.DEADLINE, EditOutcome.FAILED, EditOutcome.UNRESOLVED})


class Witness:
    def __init__(self, metrics: Metrics, current: Current, tracer: Tracer | None = None) -> None:
        self._metrics, self._current = metrics, current
        self._spans = Spans(tracer or Untraced(secrets.token_bytes))

    # --- the way in -----------------------------------------------------------------------------------------------

    def began(self, edit: str, parent: TraceContext | None) -> TraceContext:
        """An edit is about to be accepted; gives its span. It ends with `turned_away`, `edit_ended` or `let_go`."""
        return self._spans.began(edit, parent)

    def turned_away(self, edit: str, why: BaseException) -> None:
        if isinstance(why, OverBudget):
            self.denied(why)
        self._spans.turned_away(edit, type(why).__name__)

    def let_go(self, edit: str) -> None:
        """It is not followed here any more."""
        self._spans.let_go(edit)

    def planned(self, plan: Plan) -> None:
        for exclusion in plan.exclusions:
            self._metrics.exclusions.labels(self._known(exclusion.offer), exclusion.reason.value).inc()

    def adjusted(self, plan: Plan) -> None:
        """What the first candidate of an accepted edit could not be sent as asked."""
        first = plan.candidates[0]
        for adjustment in first.adjustments:
            self._metrics.adjustments.labels(self._known(first.offer), adjustment.field).inc()

    def denied(self, refusal: OverBudget) -> None:
        self._metrics.denials.labels(refusal.scope.value, refusal.window.value).inc()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """While an edit waits for a place at a provider."""
        self._metrics.waiting.inc()
        try:
            yield
        finally:
            self._metrics.waiting.dec()

    # --- attempts -------------------------------------------------------------------------------------------------

    def attempt_began(self, record: EditRecord, attempt: AttemptRecord) -> None:
        self._spans.attempt_began(record, attempt)

    def trace_headers(self, attempt: AttemptRecord) -> dict[str, str]:
        """What the provider is told of the trace."""
        return self._spans.headers(attempt.id)

    def exchanged(self, attempt: AttemptRecord, step: Step, outcome: Outcome) -> None:
        """A call was answered, or was not."""
        proved = type(outcome).__name__.lower()
        if step is Step.POLL:
            self._metrics.polls.labels(attempt.provider, proved).inc()
        self._spans.event(attempt.id, step.value, {"kontext.proved": proved})

    def acknowledged(self, attempt: AttemptRecord, accepted_s: float | None) -> None:
        """`accepted_s`: from the submit to the provider's word that it has the work, where there was one."""
        if accepted_s is not None:
            self._metrics.acceptance_seconds.labels(attempt.provider).observe(accepted_s)

    def fell_back(self, attempt: AttemptRecord, to_offer: str, kind: FailureKind) -> None:
        if to_offer != attempt.offer:
            self._metrics.fallbacks.labels(self._known(attempt.offer), self._known(to_offer), kind.value).inc()

    def attempt_ended(self, record: EditRecord, attempt: AttemptRecord) -> None:
        outcome, offer, exemplar = outcome_of(attempt), self._known(attempt.offer), _exemplar(record)
        seconds = max(0, attempt.closed_ms - attempt.opened_ms) / 1000
        self._metrics.attempts.labels(offer, outcome, str(attempt.number)).inc(exemplar=exemplar)
        self._metrics.attempt_seconds.labels(offer, outcome).observe(seconds, exemplar)
        if attempt.state is AttemptState.UNRESOLVED and not attempt.lost:
            self._metrics.unresolved.labels(offer).inc()
        self._spans.attempt_ended(attempt, outcome)
        self._charged(attempt, HEDGE if attempt.lost else None if attempt.failure is None else outcome)
        log.info(
            "attempt_ended", edit=record.id, attempt=attempt.id, number=attempt.number, offer=attempt.offer,
            outcome=outcome, seconds=seconds, cost_micro=attempt.cost_micro, trace=record.trace_id,
        )  # fmt: skip

    def _charged(self, attempt: AttemptRecord, wasted_as: str | None) -> None:
        if not attempt.cost_micro:
            return
        offer = self._known(attempt.offer)
        self._metrics.cost.add(
            attempt.cost_micro, offer, self._tier(attempt.offer), attempt.cost_source or "table"
        )  # fmt: skip
        if wasted_as is not None:
            self._metrics.wasted.add(attempt.cost_micro, offer, wasted_as)
        drift_micro = attempt.cost_micro - attempt.price_micro
        if drift_micro and attempt.cost_source == "provider":
            self._metrics.cost_drift.add(abs(drift_micro), offer, "over" if drift_micro > 0 else "under")

    # --- late truth -----------------------------------------------------------------------------------------------

    def resolved(self, record: EditRecord, attempt: AttemptRecord) -> None:
        """What became of an unresolved attempt was found out; the edit was counted when it was left unresolved."""
        outcome = outcome_of(attempt)
        twice = record.end is not None and record.end.offer not in (None, attempt.offer)
        beside = HEDGE if attempt.lost else DUPLICATE if twice else None
        self._charged(attempt, outcome if attempt.failure is not None else beside)
        log.warning(
            "attempt_reconciled", edit=record.id, attempt=attempt.id, offer=attempt.offer, state=attempt.state.value,
            outcome=outcome, cost_micro=attempt.cost_micro, status=record.status.value, trace=record.trace_id,
        )  # fmt: skip

    def corrected(self, record: EditRecord, attempt: AttemptRecord, finding: str, difference_micro: int) -> None:
        """The provider charged otherwise than we had booked. A counter cannot take back what it was told too much; the
        ledger can."""
        if difference_micro > 0:
            offer = self._known(attempt.offer)
            self._metrics.cost.add(difference_micro, offer, self._tier(attempt.offer), "provider")
            if finding == Finding.DUPLICATE_CHARGE:
                self._metrics.wasted.add(difference_micro, offer, DUPLICATE)
        log.error(
            "charge_differs", edit=record.id, attempt=attempt.id, offer=attempt.offer, finding=finding,
            difference_micro=difference_micro, trace=record.trace_id,
        )  # fmt: skip

    def reconciled(self, provider: str, finding: str) -> None:
        self._metrics.reconciliations.labels(provider, finding).inc()

    # --- the end --------------------------------------------------------------------------------------------------

    def edit_ended(self, record: EditRecord, end: End) -> None:
        known, exemplar = edit_outcome(record, end), _exemplar(record)
        outcome = known.value
        tier, policy = record.plan.tier.value, self._metrics.known.policy(record.plan.policy)
        seconds = max(0, record.finished_ms - record.created_ms) / 1000
        self._metrics.edits.labels(tier, policy, outcome).inc(exemplar=exemplar)
        self._metrics.edit_seconds.labels(tier, outcome).observe(seconds, exemplar)
        if end.status is Status.SUCCEEDED:
            self._absorbed(record)
        self._spans.ended(record, end, outcome, ours=known in _OURS)
        log.info(
            "edit_ended", edit=record.id, team=record.team, status=end.status.value, outcome=outcome, offer=end.offer,
            seconds=seconds, cost_micro=end.cost_micro, attempts=len(record.attempts), trace=record.trace_id,
        )  # fmt: skip

    def _absorbed(self, record: EditRecord) -> None:
        """The failures that no caller saw."""
        for attempt in record.attempts:
            if attempt.failure is not None:
                self._metrics.absorbed.labels(self._known(attempt.offer), attempt.failure.value).inc()

    def recovered(self, record: EditRecord) -> None:
        self._metrics.recoveries.inc()
        self._spans.resumed(record)
        log.warning("edit_recovered", edit=record.id, epoch=record.epoch, attempts=len(record.attempts))

    # --- small words ----------------------------------------------------------------------------------------------

    def _known(self, offer: str) -> str:
        return self._metrics.known.offer(offer)

    def _tier(self, offer: str) -> str:
        found = self._current.find(offer)
        return found[0].tier.value if found else "other"


def edit_outcome(record: EditRecord, end: End) -> EditOutcome:
    if end.status is Status.SUCCEEDED:
        delivered = next((one for one in record.plan.candidates if one.offer == end.offer), None)
        if delivered is not None and delivered.degraded:
            return EditOutcome.DEGRADED
        return EditOutcome.LATE if end.late else EditOutcome.OK
    if end.status is Status.FAILED:
        return _FAILED_AS.get(end.problem.kind if end.problem else "", EditOutcome.FAILED)
    return EditOutcome(end.status.value)


def outcome_of(attempt: AttemptRecord) -> str:
    """`done`, `unresolved`, `hedge_lost`, the kind of the failure, or where the attempt stands."""
    if attempt.lost and attempt.failure is None:
        return HEDGE_LOST
    if attempt.state is AttemptState.UNRESOLVED:
        return attempt.state.value
    if attempt.failure is not None:
        return attempt.failure.value
    return "done" if attempt.state is AttemptState.SETTLED else attempt.state.value


def _exemplar(record: EditRecord) -> dict[str, str] | None:
    return {"trace_id": record.trace_id} if record.trace_id else None
