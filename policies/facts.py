"""What a plan may know of the moment: the day, the edit's age, and how each offer is doing.

A snapshot taken outside and handed in, so that the same facts always give the same plan. An offer without facts is
taken as healthy and as quick as its catalogue says: nothing is known against it.
"""

from datetime import date

from msgspec import Struct

from adapters.contract import Offer, ServerState
from policies.circuit import CLOSED, Circuit, State, admits, due, sick_s
from policies.sketch import (
    PRIOR_SUCCESS,
    Sketch,
    price_drift,
    quantile,
    refused_ratio,
    success_ratio,
    throttled_ratio,
    weight,
)

LEAST_WEIGHT = 3.0
"""Measured times count only while they are worth this many fresh samples; below, the catalogue is believed again."""
USUAL_SPREAD = 1.8
"""p95 / median where only the catalogue's usual time is known."""
MOST_DRIFT = 4.0


class OfferFacts(Struct, frozen=True, kw_only=True):
    """How one offer is doing. Seconds and shares; None is not measured.

    `usual_s` and `p95_s`: time to a picture, median and 95th percentile. `accept_s`: 95th percentile of the
    acceptance delay. `success`, `refused`, `throttled`: shares of attempts. `drift`: charged over quoted. `healthy`:
    its circuit and its account's let edits through; `circuit` is the worse of the two states, `sick_s` how long until
    it may be tried. `in_use` of `limit` permits are taken, here and elsewhere. `queue_s`: the wait before it would
    begin (a provider's Retry-After, a queue), `wait_s` that in a queue of one's own. `server`: what its server says
    that it is, where one is asked. `disabled` says why, in words for the caller, where the offer cannot be bought here
    at all.
    """

    usual_s: float | None = None
    healthy: bool = True
    disabled: str | None = None
    p95_s: float | None = None
    accept_s: float | None = None
    success: float = PRIOR_SUCCESS
    refused: float = 0.0
    throttled: float = 0.0
    drift: float = 1.0
    circuit: State = State.CLOSED
    sick_s: float = 0.0
    in_use: int = 0
    limit: int | None = None
    queue_s: float = 0.0
    wait_s: float = 0.0
    server: ServerState | None = None


NOTHING_KNOWN = OfferFacts()


class Facts(Struct, frozen=True, kw_only=True):
    """`day` chooses the prices, `minute` is the minute of that day (both UTC). `elapsed_s` is how long the edit has
    existed. `budget_left` is the share left of the tightest budget. `seed` spreads equals over offers, differently
    for every edit and alike for its quote; None keeps them as written. `offers` by offer name."""

    day: date
    elapsed_s: float = 0.0
    offers: dict[str, OfferFacts] = {}
    minute: int | None = None
    budget_left: float | None = None
    seed: int | None = None

    def about(self, offer: Offer) -> OfferFacts:
        return self.offers.get(offer.name, NOTHING_KNOWN)

    def usual_s(self, offer: Offer) -> float:
        """The measured time to a picture, else the catalogue's."""
        measured = self.about(offer).usual_s
        return offer.usual_s if measured is None else measured


def p95_s(offer: Offer, known: OfferFacts) -> float:
    """The measured 95th percentile, else what the usual time leads to expect."""
    if known.p95_s is not None:
        return known.p95_s
    return USUAL_SPREAD * (offer.usual_s if known.usual_s is None else known.usual_s)


def measured(
    sketch: Sketch,
    at_s: float,
    *,
    circuit: Circuit = CLOSED,
    account: Circuit = CLOSED,
    disabled: str | None = None,
    in_use: int = 0,
    limit: int | None = None,
    queue_s: float = 0.0,
) -> OfferFacts:
    """The facts of one offer at `at_s`, from what the replicas share about it and its account."""
    known = weight(sketch, sketch.times, at_s) >= LEAST_WEIGHT
    worse = max((account, circuit), key=lambda one: sick_s(one, at_s))
    return OfferFacts(
        usual_s=quantile(sketch.times, 0.5) if known else None,
        p95_s=quantile(sketch.times, 0.95) if known else None,
        accept_s=quantile(sketch.delays, 0.95),
        success=success_ratio(sketch, at_s),
        refused=refused_ratio(sketch),
        throttled=throttled_ratio(sketch, at_s),
        drift=min(max(price_drift(sketch), 1 / MOST_DRIFT), MOST_DRIFT),
        healthy=admits(circuit, at_s) and admits(account, at_s),
        circuit=due(worse, at_s).state,
        sick_s=sick_s(worse, at_s),
        disabled=disabled,
        in_use=in_use,
        limit=limit,
        queue_s=queue_s,
    )
