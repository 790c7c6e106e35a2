"""Sort keys, by the names that a configuration uses: least first. Equals keep the order in which they are written."""

from collections.abc import Callable, Iterable

from policies.candidates import Candidate
from policies.facts import Facts

SortKey = Callable[[Candidate, Facts], float]


def cheapest(candidate: Candidate, _facts: Facts) -> float:
    """Micro-dollars for the whole edit (exact in a float below nine billion dollars)."""
    return candidate.price_micro


def fastest(candidate: Candidate, _facts: Facts) -> float:
    """Seconds to a picture: measured, else the catalogue's."""
    return candidate.expected_s


ORDERS: dict[str, SortKey] = {"cheapest": cheapest, "fastest": fastest}


def in_order(candidates: Iterable[Candidate], order: tuple[str, ...], facts: Facts) -> tuple[Candidate, ...]:
    """Sorted by the first key, then the second…; no key leaves them as written. `Policy` has checked the names."""
    keys = [ORDERS[name] for name in order]
    return tuple(sorted(candidates, key=lambda candidate: tuple(key(candidate, facts) for key in keys)))
