"""Filters: each takes one offer for one edit and either lets it pass (None) or says why it is left out.

A filter sees one offer and never the list, so it can neither reorder nor invent. `FILTERS` is the pipeline, in the
order of its reasons: an offer is excluded by the first that speaks. Permission comes before ability, so that nobody
is told how to change an edit for an offer that they may not use; health comes last, because it alone can be waived.
"""

from collections.abc import Callable

from adapters.contract import Offer
from adapters.fit import Fit, Unfit
from policies.candidates import Exclusion
from policies.facts import Facts
from policies.price import price_micro
from policies.reasons import Reason
from policies.wishes import Wishes

Filter = Callable[[Wishes, Offer, Fit | Unfit, Facts], Exclusion | None]


def allowed(wishes: Wishes, offer: Offer, _fit: Fit | Unfit, _facts: Facts) -> Exclusion | None:
    if wishes.models and offer.name not in wishes.models:
        return _exclusion(offer, Reason.NOT_ALLOWED, "models", "the request names other models")
    if wishes.allowed is not None and offer.name not in wishes.allowed:
        return _exclusion(offer, Reason.NOT_ALLOWED, "models", "your team may not use it")
    return None


def enabled(_wishes: Wishes, offer: Offer, _fit: Fit | Unfit, facts: Facts) -> Exclusion | None:
    why = facts.about(offer).disabled
    return None if why is None else _exclusion(offer, Reason.DISABLED, None, why)


def capable(_wishes: Wishes, offer: Offer, fit: Fit | Unfit, _facts: Facts) -> Exclusion | None:
    return _exclusion(offer, Reason.INCAPABLE, fit.field, fit.why) if isinstance(fit, Unfit) else None


def within_tier(wishes: Wishes, offer: Offer, _fit: Fit | Unfit, _facts: Facts) -> Exclusion | None:
    """A tier is a floor: above it is the price cap's business."""
    if offer.tier.rank >= wishes.tier.rank:
        return None
    detail = f"is of tier {offer.tier}; ask for tier {offer.tier} to accept it"
    return _exclusion(offer, Reason.BELOW_TIER, "tier", detail)


def within_cost(wishes: Wishes, offer: Offer, fit: Fit | Unfit, facts: Facts) -> Exclusion | None:
    if wishes.max_cost_micro is None or isinstance(fit, Unfit):
        return None
    price = price_micro(offer, fit.sent, facts.day)
    if price <= wishes.max_cost_micro:
        return None
    detail = f"costs {_usd(price)} for {fit.sent.n} picture(s), more than {_usd(wishes.max_cost_micro)}"
    return _exclusion(offer, Reason.OVER_COST, "max_cost_usd", detail)


def within_deadline(wishes: Wishes, offer: Offer, _fit: Fit | Unfit, facts: Facts) -> Exclusion | None:
    usual, left = facts.usual_s(offer), wishes.deadline_s - facts.elapsed_s
    if usual <= left:
        return None
    detail = f"usually takes {usual:.1f} s, and {max(left, 0.0):.1f} s are left"
    return _exclusion(offer, Reason.TOO_SLOW, "deadline_s", detail)


def healthy(_wishes: Wishes, offer: Offer, _fit: Fit | Unfit, facts: Facts) -> Exclusion | None:
    """The only filter that a plan waives, for one offer, where nothing else is left to wait at."""
    if facts.about(offer).healthy:
        return None
    return _exclusion(offer, Reason.UNHEALTHY, None, "is failing at the moment; it comes back by itself")


FILTERS: tuple[Filter, ...] = (allowed, enabled, capable, within_tier, within_cost, within_deadline, healthy)


def excluded(wishes: Wishes, offer: Offer, fit: Fit | Unfit, facts: Facts) -> Exclusion | None:
    """The first objection of the pipeline."""
    for exclude in FILTERS:
        if exclusion := exclude(wishes, offer, fit, facts):
            return exclusion
    return None


def _exclusion(offer: Offer, reason: Reason, field: str | None, detail: str) -> Exclusion:
    return Exclusion(offer=offer.name, reason=reason, field=field, detail=detail)


def _usd(micro: int) -> str:
    return f"${micro // 1_000_000}.{micro % 1_000_000:06d}"
