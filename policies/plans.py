"""A plan: which offers an edit may use, in which order and at what price, and why every other one is left out.

Planning is filters, then sort keys. Quoting and running use the same function. Failover is the rest of the list.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import Edit, Offer, ServerState, Tier
from adapters.fit import Fit
from policies.candidates import Candidate, Exclusion
from policies.facts import NOTHING_KNOWN, Facts, OfferFacts, p95_s
from policies.filters import RANK, Case, excluded
from policies.fits import fitted, outline, priced
from policies.orders import Ranking, in_order, ranking, seed_of
from policies.policy import Policy, resolve
from policies.price import Quoted, quoted_by_time
from policies.reasons import Reason
from policies.wishes import Wishes


class Plan(Struct, frozen=True, kw_only=True):
    """`candidates` in the order of trying; failover is the rest of the list. `order` are the keys that made it, and
    `left_s` the time that they went by, kept so that a plan explains itself."""

    policy: str
    tier: Tier
    candidates: tuple[Candidate, ...]
    exclusions: tuple[Exclusion, ...] = ()
    order: tuple[str, ...] = ()
    left_s: float | None = None

    def candidate(self, offer: str) -> Candidate:
        """The candidate of this name. Raises `KeyError` for an offer that the plan does not hold."""
        for candidate in self.candidates:
            if candidate.offer == offer:
                return candidate
        raise KeyError(offer)


def plan(edit: Edit, wishes: Wishes, policy: Policy, offers: Mapping[str, Offer], facts: Facts) -> Plan:
    """Every known offer that the request or the policy names, exactly once: as a candidate or as an exclusion.

    `offers` is all that can be bought here, by name; a name that is not in it is the caller's mistake to report
    (`unknown_offers`). The policy's rules are resolved here. Raises `MissingPrice` for an offer that
    `price.require_price` would have refused.
    """
    policy = resolve(policy, facts)
    judged = _judged(edit, wishes, policy, offers, facts)
    if not any(exclusion is None for _, exclusion in judged):
        judged = _waiting_places(judged)
    left_s = wishes.deadline_s - facts.elapsed_s
    passed = [candidate for candidate, exclusion in judged if candidate and not exclusion]
    ordered = in_order(passed, policy.order, facts, _ranking(passed, wishes, policy, facts, left_s))
    if ordered and ordered[0].spared:
        ordered = tuple(sorted(ordered, key=lambda one: facts.offers[one.offer].sick_s))  # the least sick first
    return Plan(
        policy=policy.name,
        tier=wishes.tier,
        candidates=ordered,
        exclusions=tuple(exclusion for _, exclusion in judged if exclusion),
        order=policy.order,
        left_s=left_s,
    )


def unknown_offers(names: Iterable[str], offers: Mapping[str, Offer]) -> tuple[str, ...]:
    """The names that nothing here can be bought under, for a refusal that lists them."""
    return tuple(name for name in names if name not in offers)


def worst_case_micro(plan: Plan) -> int:
    """What to hold before the first attempt: the dearest candidate, because any of them may deliver. 0 without one."""
    return max((candidate.hold_micro for candidate in plan.candidates), default=0)


Judged = tuple[Candidate | None, Exclusion | None]
"""An offer as a candidate (None where it cannot do the edit) and what speaks against it (None where nothing does)."""


def _judged(edit: Edit, wishes: Wishes, policy: Policy, offers: Mapping[str, Offer], facts: Facts) -> list[Judged]:
    named = dict.fromkeys((*wishes.models, *policy.offers))
    outlined, floor = outline(edit), _floor(wishes.tier, policy.degrade_to)
    judged: list[Judged] = []
    for name in named:
        if offer := offers.get(name):
            fit, known = fitted(edit, outlined, offer), facts.offers.get(name, NOTHING_KNOWN)
            price = _price(offer, fit, known, facts, wishes) if isinstance(fit, Fit) else Quoted()
            patience_s = _patience_s(policy, offer)
            judged.append(_judge(Case(wishes, offer, name, fit, price, facts, known, floor, patience_s)))
    return judged


def _patience_s(policy: Policy, offer: Offer) -> float | None:
    """A policy's is for machines of one's own: elsewhere nobody sees the queue."""
    if policy.overflow_after_s is None or offer.billed:
        return offer.overflow_after_s
    return policy.overflow_after_s


def _price(offer: Offer, fit: Fit, known: OfferFacts, facts: Facts, wishes: Wishes) -> Quoted:
    if offer.gpu is None:
        return Quoted(priced(offer, fit, facts.day))
    usual_s = offer.usual_s if known.usual_s is None else known.usual_s
    return quoted_by_time(offer.gpu, usual_s * fit.sent.n, wishes.deadline_s - facts.elapsed_s)


def _floor(asked: Tier, degrade_to: Tier | None) -> Tier:
    return asked if degrade_to is None or RANK[degrade_to] > RANK[asked] else degrade_to


def _judge(case: Case) -> Judged:
    exclusion = excluded(case)
    if not isinstance(case.fit, Fit) or (exclusion and not _is_waivable(case, exclusion)):
        return None, exclusion
    return _candidate(case, case.fit), exclusion


def _is_waivable(case: Case, exclusion: Exclusion) -> bool:
    if exclusion.reason is Reason.NOT_READY:
        return case.known.server is ServerState.LOADING
    return exclusion.reason in (Reason.UNHEALTHY, Reason.OVERFLOW)


def _candidate(case: Case, fit: Fit) -> Candidate:
    offer, known = case.offer, case.known
    return Candidate(
        offer=case.name,
        tier=offer.tier,
        price_micro=case.price.price_micro,
        most_micro=case.price.most_micro,
        expected_s=offer.usual_s if known.usual_s is None else known.usual_s,
        adjustments=fit.adjustments,
        billed=offer.billed,
        p95_s=p95_s(offer, known),
        queue_s=known.queue_s,
        success=known.success,
        throttled=known.throttled,
        drift=known.drift,
        load=known.in_use / known.limit if known.limit else 0.0,
        degraded=RANK[offer.tier] < RANK[case.wishes.tier],
    )


def _ranking(passed: list[Candidate], wishes: Wishes, policy: Policy, facts: Facts, left_s: float) -> Ranking:
    value = wishes.metadata.get(policy.sticky) if policy.sticky else None
    return ranking(passed, left_s, policy.shares, facts.seed, None if value is None else seed_of(value))


def _waiting_places(judged: list[Judged]) -> list[Judged]:
    """With nothing left but long queues, those are joined. With nothing left but the sick and the loading, all of them
    stay, as places to wait: an edit goes to the one that recovers first.

    The road not taken, sparing the least sick alone: edits that wait there do not see that another has come back.
    """
    if any(exclusion.reason is Reason.OVERFLOW for _, exclusion in judged if exclusion):
        joined = [exclusion and exclusion.reason is Reason.OVERFLOW for _, exclusion in judged]
        return [(one, None if join else why) for (one, why), join in zip(judged, joined, strict=True)]
    return [(replace(one, spared=True), None) if one and exclusion else (one, exclusion) for one, exclusion in judged]
