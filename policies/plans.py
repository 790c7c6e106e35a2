"""A plan: which offers an edit may use, in which order and at what price, and why every other one is left out.

Planning is filters, then sort keys. Quoting and running use the same function. Failover is the rest of the list.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from adapters.contract import Edit, Offer, Tier
from adapters.fit import Fit, fit
from policies.candidates import Candidate, Exclusion
from policies.facts import Facts
from policies.filters import excluded
from policies.orders import ORDERS, in_order
from policies.price import price_micro
from policies.reasons import Reason
from policies.wishes import Wishes


class Policy(Struct, frozen=True, kw_only=True):
    """A named way to choose. `tier` is the floor where a request names none; `order` are names of `orders.ORDERS`.

    Raises `ValueError` for an unknown name in `order`: a plan made later never meets one.
    """

    name: str
    tier: Tier
    offers: tuple[str, ...]
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key in self.order:
            if key not in ORDERS:
                raise ValueError(f"no order is named {key!r}; use any of {', '.join(ORDERS)}, or leave order out")


class Plan(Struct, frozen=True, kw_only=True):
    """`candidates` in the order of trying; failover is the rest of the list."""

    policy: str
    tier: Tier
    candidates: tuple[Candidate, ...]
    exclusions: tuple[Exclusion, ...] = ()

    def candidate(self, offer: str) -> Candidate:
        """The candidate of this name. Raises `KeyError` for an offer that the plan does not hold."""
        for candidate in self.candidates:
            if candidate.offer == offer:
                return candidate
        raise KeyError(offer)


def plan(edit: Edit, wishes: Wishes, policy: Policy, offers: Mapping[str, Offer], facts: Facts) -> Plan:
    """Every known offer that the request or the policy names, exactly once: as a candidate or as an exclusion.

    `offers` is all that can be bought here, by name; a name that is not in it is the caller's mistake to report
    (`unknown_offers`). Raises `MissingPrice` for an offer that `price.require_price` would have refused.
    """
    named = dict.fromkeys((*wishes.models, *policy.offers))
    judged = [_judge(edit, wishes, offers[name], facts) for name in named if name in offers]
    if not any(exclusion is None for _, exclusion in judged):
        judged = _spare_one(judged, policy, facts)
    passed = [candidate for candidate, exclusion in judged if candidate and not exclusion]
    return Plan(
        policy=policy.name,
        tier=wishes.tier,
        candidates=in_order(passed, policy.order, facts),
        exclusions=tuple(exclusion for _, exclusion in judged if exclusion),
    )


def unknown_offers(names: Iterable[str], offers: Mapping[str, Offer]) -> tuple[str, ...]:
    """The names that nothing here can be bought under, for a refusal that lists them."""
    return tuple(name for name in names if name not in offers)


def worst_case_micro(plan: Plan) -> int:
    """What to hold before the first attempt: the dearest candidate, because any of them may deliver. 0 without one."""
    return max((candidate.price_micro for candidate in plan.candidates), default=0)


Judged = tuple[Candidate | None, Exclusion | None]
"""An offer as a candidate (None where it cannot do the edit) and what speaks against it (None where nothing does)."""


def _judge(edit: Edit, wishes: Wishes, offer: Offer, facts: Facts) -> Judged:
    fitted = fit(edit, offer)
    exclusion = excluded(wishes, offer, fitted, facts)
    if not isinstance(fitted, Fit) or (exclusion and exclusion.reason is not Reason.UNHEALTHY):
        return None, exclusion
    return _candidate(offer, fitted, facts), exclusion


def _candidate(offer: Offer, fitted: Fit, facts: Facts) -> Candidate:
    return Candidate(
        offer=offer.name,
        tier=offer.tier,
        price_micro=price_micro(offer, fitted.sent, facts.day),
        expected_s=facts.usual_s(offer),
        adjustments=fitted.adjustments,
        billed=offer.billed,
    )


def _spare_one(judged: list[Judged], policy: Policy, facts: Facts) -> list[Judged]:
    """With nothing left but the sick, the one that would come first stays, as a place to wait.

    Every sick offer is as sick as the next until facts can tell them apart; then the least sick is spared.
    """
    sick = [candidate for candidate, exclusion in judged if candidate and exclusion]
    spared = next(iter(in_order(sick, policy.order, facts)), None)
    return [(candidate, None if candidate and candidate == spared else exclusion) for candidate, exclusion in judged]
