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
DELETIONS = ("over", "erased")
REFUSALS = ("in_flight", "picture_bytes", "checking")
PICTURE_STATES = ("busy", "waiting")
RELOADS = ("applied", "unchanged", "refused")
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
    for result in RELOAD_RESULTS:
        metrics.reloads.labels(result)
    for duty in STORE_DUTIES:
        metrics.store_errors.labels(duty)
    for reason in REFUSALS:
        metrics.refusals.labels(reason)
    for state in PICTURE_STATES:
        metrics.picture_jobs.labels(state)
    for result in RELOADS:
        metrics.reloads.labels(result)
    for result in WEBHOOK_RESULTS:
        metrics.webhooks.labels(result)
    for why in DELETIONS:
        metrics.pictures_deleted.labels(why)
        metrics.picture_bytes_deleted.labels(why)
    for result in CALLBACK_RESULTS:
        metrics.callbacks.labels(result)
    for scope, window in _pairs(BUDGET_SCOPES, BUDGET_WINDOWS):
        metrics.denials.labels(scope, window)


def _pairs(ones: Iterable[str], others: Iterable[str]) -> Iterable[tuple[str, str]]:
    others = tuple(others)
    return ((one, other) for one in ones for other in others)
