"""A plan in sentences for a person: why each offer is left out, and why each candidate stands where it stands.

Everything is read from the plan itself, so the explanation of an old edit is the one of its own moment.
"""

from collections.abc import Callable
from math import inf

from policies.candidates import Candidate, Exclusion
from policies.filters import usd
from policies.orders import ORDERS, TOLERANCE, Ranking, expected_cost, in_time, ranking
from policies.plans import Plan
from policies.reasons import Reason

# One sentence per reason; `{detail}` says which wish is not met and what would fit.
EXCLUDED: dict[Reason, str] = {
    Reason.INCAPABLE: "{offer} cannot do the edit as asked: for {field}, it {detail}.",
    Reason.NOT_ALLOWED: "{offer} may not be used for this edit: {detail}.",
    Reason.BELOW_TIER: "{offer} is of lesser quality than asked: it {detail}.",
    Reason.OVER_COST: "{offer} is too dear for this edit: it {detail}.",
    Reason.TOO_SLOW: "{offer} is too slow for this edit: it {detail}.",
    Reason.NOT_READY: "{offer} is not ready: {detail}.",
    Reason.OVERFLOW: "{offer} has enough to do: {detail}.",
    Reason.UNHEALTHY: "{offer} is not well: {detail}.",
    Reason.DISABLED: "{offer} cannot be bought here now: {detail}.",
}

Words = Callable[[Candidate, Ranking], str]


def _price(one: Candidate, _rank: Ranking) -> str:
    if one.most_micro is None:
        return f"it costs {usd(one.price_micro)}"
    return f"it is expected to cost {usd(one.price_micro)}, and at most {usd(one.most_micro)}"


def _speed(one: Candidate, _rank: Ranking) -> str:
    wait = f", {one.queue_s:.1f} s of them before it begins" if one.queue_s else ""
    return f"it usually takes {one.expected_s + one.queue_s:.1f} s{wait}"


def _expected(one: Candidate, rank: Ranking) -> str:
    expected = usd(round(expected_cost(one, rank)))
    return f"it is expected to cost {expected} (price {usd(one.price_micro)}, delivers {one.success:.0%})"


def _draw(_one: Candidate, _rank: Ranking) -> str:
    return "it was drawn by the policy's shares"


# What a person is told of each order, for the candidate that it put there.
RANKED: dict[str, Words] = {"cheapest": _price, "fastest": _speed, "expected_cost": _expected, "weighted": _draw}


def why_excluded(exclusion: Exclusion) -> str:
    return EXCLUDED[exclusion.reason].format(
        offer=exclusion.offer, field=exclusion.field, detail=exclusion.detail.rstrip(".")
    )


def why_ranked(plan: Plan, offer: str) -> str:
    """Why a candidate of the plan is tried at its place. Raises `KeyError` for an offer that is none."""
    one = plan.candidate(offer)
    place = plan.candidates.index(one)
    rank = ranking(plan.candidates, inf if plan.left_s is None else plan.left_s)
    if one.spared:
        return f"{offer} is kept though it is not well: no other is, and the edit goes to the one that recovers first."
    if not place:
        return f"{offer} is tried first: {_merits(one, plan, rank)}."
    ahead = plan.candidates[place - 1]
    return f"{offer} is tried after {ahead.offer}: {_difference(one, ahead, plan, rank)}."


def why_raced(plan: Plan, offer: str, first: str | None, *, lost: bool, is_open: bool) -> str:
    """Why an attempt ran beside another one (`first`, where it is the second), and what it means that it lost.
    `is_open`: what it cost is not known yet."""
    began = "" if first is None else f"It was started beside {first}, which took longer than {_most(plan, first)}. "
    if not lost:
        return f"{began}It ended the race."
    cost = "its price stays held until its cost is known" if is_open else "its cost is the price of the race"
    return f"{began}Another runner was faster than {offer}: {cost}."


def _most(plan: Plan, offer: str) -> str:
    return f"the {plan.candidate(offer).most_s:.0f} s that it keeps 95 times in 100"


def explained(plan: Plan) -> tuple[str, ...]:
    """The whole plan: its candidates in order, then what is left out."""
    ranked = (why_ranked(plan, candidate.offer) for candidate in plan.candidates)
    return (*ranked, *(why_excluded(exclusion) for exclusion in plan.exclusions))


def _merits(one: Candidate, plan: Plan, rank: Ranking) -> str:
    if not plan.order:
        return "the policy names it first"
    said = [RANKED[name](one, rank) for name in plan.order]
    late = in_time(one, rank) > 0
    return ", ".join(said) + (f", though no offer surely makes it in {rank.left_s:.0f} s" if late else "")


def _difference(one: Candidate, ahead: Candidate, plan: Plan, rank: Ranking) -> str:
    """The first thing by which the order told the two apart."""
    if one.degraded and not ahead.degraded:
        return f"it is of tier {one.tier}, below the {plan.tier} asked for, which the policy permits as a last resort"
    if not plan.order:
        return "the policy names it later"
    if in_time(one, rank) > in_time(ahead, rank):
        return f"it may need {one.most_s:.0f} s, and {rank.left_s:.0f} s are left"
    for name in plan.order:
        if name == "weighted" or _apart(name, one, ahead, rank):
            return RANKED[name](one, rank)
    return f"they are equals, and equals share the traffic: {_speed(one, rank)}, delivers {one.success:.0%}"


def _apart(name: str, one: Candidate, ahead: Candidate, rank: Ranking) -> bool:
    key = ORDERS[name]
    return key(one, rank) > key(ahead, rank) * (1.0 + TOLERANCE.get(key, 0.0))
