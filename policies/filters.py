"""Filters: each takes one offer for one edit and either lets it pass (None) or says why it is left out.

A filter sees one offer and never the list, so it can neither reorder nor invent. `FILTERS` is the pipeline, in the
order of its reasons: an offer is excluded by the first that speaks. Permission comes before ability, so that nobody
is told how to change an edit for an offer that they may not use; health and a long queue come last, because they can be
waived.
"""

from collections.abc import Callable

from msgspec import Struct

from adapters.contract import Offer, ServerState, Tier
from adapters.fit import Fit, Unfit
from policies.candidates import Exclusion
from policies.circuit import State
from policies.facts import Facts, OfferFacts
from policies.load import NOT_READY_WORDS
from policies.price import Quoted
from policies.reasons import Reason
from policies.wishes import Wishes

RANK = {tier: tier.rank for tier in Tier}

# What the caller is told of a sick offer: the state of its circuit or its account's, and what cures it.
SICK_WORDS: dict[State, str] = {
    State.CLOSED: "is failing at the moment; it comes back by itself",
    State.OPEN: "is failing at the moment; it is tried again by itself",
    State.HALF_OPEN: "is being tried again after failures",
    State.PROBING: "is being tried again after failures, by another edit at the moment",
    State.NO_CREDENTIAL: "its provider refuses our key; an operator must set another",
    State.NO_CREDIT: "our account at its provider is empty; an operator must top it up",
}


class Case(Struct, frozen=True, gc=False):
    """One offer for one edit, as every filter gets it. `price` is for all pictures, nothing where the offer cannot
    do the edit; `floor` is the lowest tier that the policy permits. `overflow_after_s`: the longest wait for it."""

    wishes: Wishes
    offer: Offer
    name: str
    fit: Fit | Unfit
    price: Quoted
    facts: Facts
    known: OfferFacts
    floor: Tier
    overflow_after_s: float | None = None


Filter = Callable[[Case], Exclusion | None]


def allowed(case: Case) -> Exclusion | None:
    if case.wishes.models and case.name not in case.wishes.models:
        return _exclusion(case, Reason.NOT_ALLOWED, "models", "the request names other models")
    if case.wishes.allowed is not None and case.name not in case.wishes.allowed:
        return _exclusion(case, Reason.NOT_ALLOWED, "models", "your team may not use it")
    return None


def enabled(case: Case) -> Exclusion | None:
    why = case.known.disabled
    return None if why is None else _exclusion(case, Reason.DISABLED, None, why)


def capable(case: Case) -> Exclusion | None:
    fit = case.fit
    return _exclusion(case, Reason.INCAPABLE, fit.field, fit.why) if isinstance(fit, Unfit) else None


def within_tier(case: Case) -> Exclusion | None:
    """A tier is a floor, lowered only by the policy: above it is the price cap's business."""
    tier = case.offer.tier
    if RANK[tier] >= RANK[case.floor]:
        return None
    return _exclusion(case, Reason.BELOW_TIER, "tier", f"is of tier {tier}; ask for tier {tier} to accept it")


def within_cost(case: Case) -> Exclusion | None:
    most = case.wishes.max_cost_micro
    if most is None or isinstance(case.fit, Unfit):
        return None
    if case.price.hold_micro <= most:
        return None
    costs = "costs" if case.price.most_micro is None else "may cost up to"
    detail = f"{costs} {usd(case.price.hold_micro)} for {case.fit.sent.n} picture(s), more than {usd(most)}"
    return _exclusion(case, Reason.OVER_COST, "max_cost_usd", detail)


def within_deadline(case: Case) -> Exclusion | None:
    usual = case.offer.usual_s if case.known.usual_s is None else case.known.usual_s
    left = case.wishes.deadline_s - case.facts.elapsed_s
    if usual + case.known.wait_s <= left:
        return None
    wait = f" after a wait of {case.known.wait_s:.1f} s" if case.known.wait_s else ""
    detail = f"usually takes {usual:.1f} s{wait}, and {max(left, 0.0):.1f} s are left"
    return _exclusion(case, Reason.TOO_SLOW, "deadline_s", detail)


def ready(case: Case) -> Exclusion | None:
    """A plan waives it for a server that is loading, where nothing else is left."""
    state = case.known.server
    if state is None or state is ServerState.READY:
        return None
    return _exclusion(case, Reason.NOT_READY, None, NOT_READY_WORDS[state])


def within_queue(case: Case) -> Exclusion | None:
    """A plan waives it where nothing else is left: a long queue is better than none."""
    most, wait = case.overflow_after_s, case.known.wait_s
    if most is None or wait <= most:
        return None
    detail = f"an edit waits {wait:.0f} s there, longer than the {most:g} s after which edits go elsewhere"
    return _exclusion(case, Reason.OVERFLOW, None, detail)


def healthy(case: Case) -> Exclusion | None:
    """A plan waives it for all that are sick, where nothing else is left."""
    if case.known.healthy:
        return None
    return _exclusion(case, Reason.UNHEALTHY, None, SICK_WORDS[case.known.circuit])


FILTERS: tuple[Filter, ...] = (
    allowed,
    enabled,
    capable,
    within_tier,
    within_cost,
    within_deadline,
    ready,
    healthy,
    within_queue,
)


def excluded(case: Case) -> Exclusion | None:
    """The first objection of the pipeline."""
    for exclude in FILTERS:
        if (exclusion := exclude(case)) is not None:
            return exclusion
    return None


def usd(micro: int) -> str:
    return f"${micro // 1_000_000}.{micro % 1_000_000:06d}"


def _exclusion(case: Case, reason: Reason, field: str | None, detail: str) -> Exclusion:
    return Exclusion(offer=case.name, reason=reason, field=field, detail=detail)
