"""Whether a second runner starts beside a slow first one, and with which offer.

A slow attempt is not a failure, and a paid edit is not safe to run twice: so only a team that bought it, in dollars,
gets a second runner, only when the first is slower than 95 % of those before it, and only one. One that can be
cancelled comes first: a machine of one's own, whose work is dropped at what it has cost so far when the other runner
wins.
"""

from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import ServerState
from policies.candidates import Candidate
from policies.facts import OfferFacts
from policies.plans import Plan, worst_case_micro


class Terms(Struct, frozen=True, kw_only=True):
    """What the team bought: at most so many micro-dollars for a second runner, not before `after_s` (None: the first
    runner's 95th percentile decides alone)."""

    max_extra_micro: int
    after_s: float | None = None


class SecondRunner(Struct, frozen=True, kw_only=True):
    """Start `offer` beside the first, `after_s` from now, once `extra_micro` is held too."""

    offer: str
    after_s: float
    extra_micro: int


def second_runner(
    plan: Plan, first: str, running_s: float, remaining_s: float, terms: Terms | None
) -> SecondRunner | None:
    """What to do about an attempt at `first` that has been running for `running_s`; None: nothing. `remaining_s` is
    what is left of the deadline."""
    if terms is None:
        return None
    after_s = max(0.0, _start_s(plan.candidate(first), terms) - running_s)
    fit = [one for one in plan.candidates if _may_run(one, first, terms, remaining_s - after_s)]
    if not fit:
        return None
    second = max(
        fit, key=lambda one: one.is_cancellable
    )  # of those, and else of the rest, the first in the plan's order
    return SecondRunner(offer=second.offer, after_s=after_s, extra_micro=second.hold_micro)


def as_now(one: Candidate, known: OfferFacts) -> Candidate:
    """A candidate of a plan that was made a while ago, as its machine stands now: its queue grows, and it may have
    gone."""
    gone = known.server is not None and known.server is not ServerState.READY
    return replace(one, queue_s=known.queue_s, spared=one.spared or gone)


def to_hold_micro(plan: Plan, terms: Terms | None, most_micro: int | None) -> int:
    """What an edit holds before its first attempt: its dearest candidate and a second runner, never more than it may
    cost in all. Where `most_micro` leaves a second runner too little, none starts."""
    worst_micro = worst_case_micro(plan) + worst_case_extra_micro(plan, terms)
    return worst_micro if most_micro is None else min(worst_micro, most_micro)


def worst_case_extra_micro(plan: Plan, terms: Terms | None) -> int:
    """What to hold for a second runner before the first begins: the dearest that the terms permit. Beside an only
    candidate nobody can run."""
    if terms is None or len(plan.candidates) == 1:
        return 0
    permitted = (one.hold_micro for one in plan.candidates if one.hold_micro <= terms.max_extra_micro)
    return max(permitted, default=0)


def _start_s(first: Candidate, terms: Terms) -> float:
    return max(first.most_s, terms.after_s or 0.0)


def _may_run(one: Candidate, first: str, terms: Terms, left_s: float) -> bool:
    """Another offer, within what was bought, that still makes it; never one that only waits for its health."""
    affordable = one.hold_micro <= terms.max_extra_micro
    return one.offer != first and affordable and one.queue_s + one.expected_s <= left_s and not one.spared
