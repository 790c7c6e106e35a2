"""What is told of an edit to metrics and log: its plan, its attempts, its end. Never a prompt, a picture or a key."""

from adapters.contract import FailureKind, Offer
from gateway.observe import Metrics, log
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Status
from policies.plans import Plan


class Witness:
    def __init__(self, metrics: Metrics, offers: dict[str, Offer]) -> None:
        self._metrics, self._offers = metrics, offers

    def planned(self, plan: Plan) -> None:
        for exclusion in plan.exclusions:
            self._metrics.exclusions.labels(exclusion.offer, exclusion.reason.value).inc()

    def fell_back(self, attempt: AttemptRecord, to_offer: str, kind: FailureKind) -> None:
        if to_offer != attempt.offer:
            self._metrics.fallbacks.labels(attempt.offer, to_offer, kind.value).inc()

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        outcome = outcome_of(attempt)
        seconds = max(0, attempt.closed_ms - attempt.opened_ms) / 1000
        self._metrics.attempts.labels(attempt.offer, outcome, str(attempt.number)).inc()
        self._metrics.attempt_seconds.labels(attempt.offer, outcome).observe(seconds)
        if attempt.state is AttemptState.UNRESOLVED:
            self._metrics.unresolved.labels(attempt.offer).inc()
        self._charged(attempt, outcome)
        log.info(
            "attempt_ended", attempt=attempt.id, number=attempt.number, offer=attempt.offer, outcome=outcome,
            seconds=seconds, cost_micro=attempt.cost_micro,
        )  # fmt: skip

    def _charged(self, attempt: AttemptRecord, outcome: str) -> None:
        if not attempt.cost_micro:
            return
        tier = self._offers[attempt.offer].tier.value if attempt.offer in self._offers else "other"
        self._metrics.cost.add(attempt.cost_micro, attempt.offer, tier, attempt.cost_source or "table")
        if attempt.failure is not None:
            self._metrics.wasted.add(attempt.cost_micro, attempt.offer, outcome)
        drift_micro = attempt.cost_micro - attempt.price_micro
        if drift_micro and attempt.cost_source == "provider":
            self._metrics.cost_drift.add(abs(drift_micro), attempt.offer, "over" if drift_micro > 0 else "under")

    def resolved(self, record: EditRecord, attempt: AttemptRecord) -> None:
        """What became of an unresolved attempt was found out; the edit was counted when it was left unresolved."""
        outcome = outcome_of(attempt)
        self._charged(attempt, outcome)
        log.warning(
            "attempt_reconciled", edit=record.id, attempt=attempt.id, offer=attempt.offer, state=attempt.state.value,
            outcome=outcome, cost_micro=attempt.cost_micro, status=record.status.value,
        )  # fmt: skip

    def corrected(self, record: EditRecord, attempt: AttemptRecord, finding: str, difference_micro: int) -> None:
        """The provider charged otherwise than we had booked."""
        if difference_micro > 0:
            tier = self._offers[attempt.offer].tier.value if attempt.offer in self._offers else "other"
            self._metrics.cost.add(difference_micro, attempt.offer, tier, "provider")
        log.error(
            "charge_differs", edit=record.id, attempt=attempt.id, offer=attempt.offer, finding=finding,
            difference_micro=difference_micro,
        )  # fmt: skip

    def reconciled(self, provider: str, finding: str) -> None:
        self._metrics.reconciliations.labels(provider, finding).inc()

    def edit_ended(self, record: EditRecord, end: End) -> None:
        outcome = end.status.value if end.status is not Status.SUCCEEDED else "late" if end.late else "ok"
        seconds = max(0, record.finished_ms - record.created_ms) / 1000
        self._metrics.edits.labels(record.plan.tier.value, record.plan.policy, outcome).inc()
        self._metrics.edit_seconds.labels(record.plan.tier.value, outcome).observe(seconds)
        log.info(
            "edit_ended", edit=record.id, team=record.team, status=end.status.value, offer=end.offer,
            seconds=seconds, cost_micro=end.cost_micro, attempts=len(record.attempts),
        )  # fmt: skip

    def recovered(self, record: EditRecord) -> None:
        self._metrics.recoveries.inc()
        log.warning("edit_recovered", edit=record.id, epoch=record.epoch, attempts=len(record.attempts))


def outcome_of(attempt: AttemptRecord) -> str:
    """`done`, `unresolved`, the kind of the failure, or where the attempt stands."""
    if attempt.state is AttemptState.UNRESOLVED:
        return attempt.state.value
    if attempt.failure is not None:
        return attempt.failure.value
    return "done" if attempt.state is AttemptState.SETTLED else attempt.state.value
