"""Series that begin at zero, so that their first increase is seen: a rate needs a value before.

Only where the set is small and known: not every failover that could be is a series.
"""

from collections.abc import Iterable, Mapping

from adapters.contract import FailureKind, Offer
from gateway.observe.known import Known
from gateway.observe.metrics import Metrics
from policies.policy import Policy

RELOAD_RESULTS = ("applied", "unchanged", "refused")
STORE_DUTIES = ("request", "edit", "beat", "health", "reconcile", "reading", "webhooks", "retention")
RESULTS_DUTIES = ("request", "edit", "retention")
DELETIONS = ("over", "erased")
REFUSALS = ("in_flight", "picture_bytes", "queued", "wait", "checking")
GONE = ("unaccepted", "queued", "accepted")
PICTURE_STATES = ("busy", "waiting")
WEBHOOK_RESULTS = ("delivered", "answered", "no_answer", "refused", "given_up")
CALLBACK_RESULTS = ("signed", "hint", "late", "repeated", "forged")
BUDGET_SCOPES = ("gateway", "team", "key")
BUDGET_WINDOWS = ("day", "month", "total")
CHARGED_FAILURES = (
    FailureKind.MODERATED.value, FailureKind.TASK_FAILED.value, FailureKind.BAD_PICTURE.value,
    FailureKind.EXPIRED.value, "duplicate", "hedge",
)  # fmt: skip


def close_labels(metrics: Metrics, offers: Mapping[str, Offer], policies: Mapping[str, Policy]) -> None:
    """The labels of a configuration, at the start and whenever another one takes effect. What stands for an offer that
    is gone goes; the rest is told again within seconds."""
    for gauge in (metrics.available, metrics.circuit_state, metrics.price_age, metrics.provider_slots,
                  metrics.provider_slots_in_use, metrics.server_state, metrics.server_edits,
                  metrics.budget_used):  # fmt: skip
        gauge.clear()
    metrics.known = Known(
        offers={name: offer.tier.value for name, offer in offers.items()},
        policies={name: policy.tier.value for name, policy in policies.items()},
    )
    for name, offer in offers.items():
        _offer(metrics, name, offer)
    for name, policy in policies.items():
        for outcome in ("ok", "failed"):
            metrics.edits.labels(policy.tier.value, name, outcome)
    _each(metrics)


def _offer(metrics: Metrics, name: str, offer: Offer) -> None:
    metrics.attempts.labels(name, "done", "1")
    metrics.unresolved.labels(name)
    metrics.acceptance_seconds.labels(offer.provider)
    if offer.gpu is not None:
        metrics.cost.add(0, name, offer.tier.value, "gpu_seconds")
        for reason in (*CHARGED_FAILURES, FailureKind.LOST.value):
            metrics.wasted.add(0, name, reason)
    if not offer.billed:
        return
    metrics.cost.add(0, name, offer.tier.value, "provider")
    for sign in ("over", "under"):
        metrics.cost_drift.add(0, name, sign)
    for reason in CHARGED_FAILURES:
        metrics.wasted.add(0, name, reason)


def _each(metrics: Metrics) -> None:
    single = (
        (metrics.reloads, RELOAD_RESULTS),
        (metrics.store_errors, STORE_DUTIES),
        (metrics.results_errors, RESULTS_DUTIES),
        (metrics.refusals, REFUSALS),
        (metrics.callers_gone, GONE),
        (metrics.picture_jobs, PICTURE_STATES),
        (metrics.webhooks, WEBHOOK_RESULTS),
        (metrics.pictures_deleted, DELETIONS),
        (metrics.picture_bytes_deleted, DELETIONS),
        (metrics.callbacks, CALLBACK_RESULTS),
    )
    for metric, values in single:
        for value in values:
            metric.labels(value)
    for scope, window in _pairs(BUDGET_SCOPES, BUDGET_WINDOWS):
        metrics.denials.labels(scope, window)


def _pairs(ones: Iterable[str], others: Iterable[str]) -> Iterable[tuple[str, str]]:
    others = tuple(others)
    return ((one, other) for one in ones for other in others)
