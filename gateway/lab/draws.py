"""Chance that belongs to the world and not to who walks through it: a draw is a function of what it is about.

So every strategy meets the same edits, the same slow minutes and the same unlucky attempts, and a difference between
two rows of a table is a difference between two strategies.
"""

from math import exp
from statistics import NormalDist

_MASK = 2**64 - 1
_NORMAL = NormalDist()


def uniform(*about: int) -> float:
    """In (0, 1), evenly: the finaliser of SplitMix64 over what the draw is about."""
    mixed = 0
    for number in about:
        mixed = (mixed + number + 1) * 0x9E3779B97F4A7C15 & _MASK
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
        mixed ^= mixed >> 31
    return (mixed >> 11) * 2.0**-53 + 2.0**-54


def lognormal(median: float, sigma: float, *about: int) -> float:
    """Times have a long tail to the right; `sigma` 0.25 makes the 95th percentile half as much again."""
    return median * exp(sigma * _NORMAL.inv_cdf(uniform(*about)))
