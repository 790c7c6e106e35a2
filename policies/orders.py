"""Sort keys, by the names that a configuration uses: least first.

Every named order is "the first that will make it": degraded offers come last, and before any key an offer whose 95th
percentile does not fit what is left of the deadline goes behind one that does. What a key finds equal goes to the
faster and healthier one; with a seed it spreads over equals in proportion, so that no snapshot, however stale, sends
every edit to the same one. Without a seed it is simply the better one first, and what is equal there stays as written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import inf, log

from msgspec import Struct

from policies.candidates import Candidate
from policies.facts import Facts

FAILED_BILL = 0.1
"""The share of failed attempts that are billed all the same (bad pictures, expired results): a cautious guess."""
LOSS = 10.0
"""An edit that is not delivered costs its caller this many times its price."""
SPEED_POWER = 3
LEAST_FREE = 0.02
LEAST_FAILING = 0.02


class Ranking(Struct, frozen=True):
    """What a key knows beyond its candidate: the time that is left, the two cheapest offers to fall back on, the
    policy's shares and the edit's seeds."""

    left_s: float
    fallbacks: tuple[Candidate, ...]
    shares: Mapping[str, float] = {}
    seed: int | None = None
    sticky: int | None = None


SortKey = Callable[[Candidate, Ranking], float]


def ranking(
    candidates: Sequence[Candidate],
    left_s: float,
    shares: Mapping[str, float] | None = None,
    seed: int | None = None,
    sticky: int | None = None,
) -> Ranking:
    cheap = sorted(candidates, key=lambda one: (one.degraded, one.price_micro))[:2]
    return Ranking(left_s, tuple(cheap), shares or {}, seed, seed if sticky is None else sticky)


# --- the keys -------------------------------------------------------------------------------------------------------


def in_time(candidate: Candidate, rank: Ranking) -> float:
    """0 where its 95th percentile fits what is left of the deadline, else 1."""
    return candidate.most_s > rank.left_s


def cheapest(candidate: Candidate, _rank: Ranking) -> float:
    """Micro-dollars for the whole edit (exact in a float below nine billion dollars)."""
    return candidate.price_micro


def fastest(candidate: Candidate, _rank: Ranking) -> float:
    """Seconds to a picture: measured, else the catalogue's; the wait before it begins included."""
    return candidate.expected_s + candidate.queue_s


def expected_cost(candidate: Candidate, rank: Ranking) -> float:
    """Micro-dollars that the edit is expected to cost in the end if this offer is tried first:

        price × drift × (success + FAILED_BILL × (1 − success)) + (1 − success) × fallback

    `fallback` is what follows a failure: the price of the cheapest other offer if that still fits the deadline after
    this one took its 95th percentile to fail (the same offer again where there is no other), else the edit is lost,
    at `LOSS` times the price. So a sick cheap offer stays first only as long as trying it really saves money.
    """
    price, failing = candidate.price_micro * candidate.drift, 1.0 - candidate.success
    return price * (candidate.success + FAILED_BILL * failing) + failing * _fallback(candidate, rank)


def weighted(candidate: Candidate, rank: Ranking) -> float:
    """A draw in proportion to the policy's shares (weighted rendezvous hashing): deterministic for the sticky value or
    the seed, and a change of one share moves only the edits that it must. Offers without a share come last."""
    share = rank.shares.get(candidate.offer, 0.0)
    if share <= 0.0:
        return inf
    return -log(drawn(candidate.offer, rank.sticky or 0)) / share


ORDERS: dict[str, SortKey] = {
    "cheapest": cheapest,
    "fastest": fastest,
    "expected_cost": expected_cost,
    "weighted": weighted,
}

TOLERANCE: dict[SortKey, float] = {expected_cost: 0.01, fastest: 0.05}
"""What a key cannot tell apart, as a share: estimates that differ by less are equals. The others are exact."""


def require_orders(order: Iterable[str]) -> None:
    """Raises `ValueError` for a name that is no order."""
    for key in order:
        if key not in ORDERS:
            raise ValueError(f"no order is named {key!r}; use any of {', '.join(ORDERS)}, or leave order out")


# --- sorting --------------------------------------------------------------------------------------------------------


def in_order(
    candidates: Iterable[Candidate], order: tuple[str, ...], facts: Facts, rank: Ranking | None = None
) -> tuple[Candidate, ...]:
    """Sorted by the first key, then the second…; no key leaves them as written. `Policy` has checked the names."""
    listed = list(candidates)
    known = ranking(listed, inf, seed=facts.seed) if rank is None else rank
    keys: tuple[SortKey, ...] = (in_time, *(ORDERS[name] for name in order)) if order else ()
    whole = [one for one in listed if not one.degraded]
    degraded = [one for one in listed if one.degraded]
    return (*_sorted(whole, keys, known, order), *_sorted(degraded, keys, known, order))


def _sorted(
    candidates: list[Candidate], keys: tuple[SortKey, ...], rank: Ranking, order: tuple[str, ...]
) -> list[Candidate]:
    if len(candidates) < 2 or not order:
        return candidates
    if not keys:
        return _spread(candidates, rank)
    ordered: list[Candidate] = []
    for equals in _groups(candidates, keys[0], rank):
        ordered += _sorted(equals, keys[1:], rank, order)
    return ordered


def _groups(candidates: list[Candidate], key: SortKey, rank: Ranking) -> list[list[Candidate]]:
    """Runs of candidates that the key cannot tell apart, each measured from its least."""
    ranked = sorted((key(candidate, rank), place) for place, candidate in enumerate(candidates))
    if ranked[-1][0] <= ranked[0][0]:
        return [candidates]
    tolerance, groups, most = 1.0 + TOLERANCE.get(key, 0.0), list[list[Candidate]](), -inf
    for value, place in ranked:
        if value > most:
            groups.append([])
            most = value * tolerance
        groups[-1].append(candidates[place])
    return groups


def preference(candidate: Candidate) -> float:
    """How much of the traffic of equals one should get: fast, sound, free and not throttled. The 95th percentile
    counts as much as the median: it is the first to rise when an offer turns slow."""
    seconds = max((candidate.expected_s + candidate.queue_s + candidate.most_s) / 2, 0.1)
    odds = candidate.success / (1.0 - candidate.success + LEAST_FAILING)
    free = max(LEAST_FREE, 1.0 - candidate.load) * max(LEAST_FREE, 1.0 - candidate.throttled)
    return odds * free / seconds**SPEED_POWER


def _spread(equals: list[Candidate], rank: Ranking) -> list[Candidate]:
    """Equals in an order drawn in proportion to their preference (Efraimidis and Spirakis, 2006).

    The road not taken, the lesser loaded of two random ones: with two offers it always compares the same two, and
    every replica with the same stale snapshot picks the same one.
    """
    if rank.seed is None:
        return sorted(equals, key=lambda one: -preference(one))
    seed = rank.seed
    return sorted(equals, key=lambda one: log(drawn(one.offer, seed)) / preference(one), reverse=True)


def drawn(offer: str, seed: int) -> float:
    """A number in (0, 1) for an offer and a seed: evenly spread, and always the same (the finaliser of SplitMix64)."""
    mixed = (_number(offer) ^ (seed * 0x9E3779B97F4A7C15)) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((mixed ^ (mixed >> 31)) + 0.5) / 2.0**64 if mixed != _MASK else 1.0 - 2.0**-53


_MASK = 2**64 - 1


@lru_cache(4096)
def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def seed_of(value: str) -> int:
    """A seed for a text: equal texts have equal seeds."""
    return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "big")


def _fallback(candidate: Candidate, rank: Ranking) -> float:
    cheap = rank.fallbacks
    other = cheap[0] if candidate is not cheap[0] else cheap[1] if len(cheap) > 1 else candidate
    if candidate.most_s + other.queue_s + other.expected_s <= rank.left_s:
        return other.price_micro
    return LOSS * max(candidate.price_micro, other.price_micro)
