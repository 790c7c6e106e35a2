"""The retry budget of a provider: repeats are a fifth of its submits of the last ten seconds, or three.

A *repeat* is a submit to a provider that has already failed the same edit. Failover to another provider is none: with
one of two providers down, half of all edits fail over, and a budget for that would refuse what the second one is for.
Where the budget is exhausted the edit fails over or fails; it never queues for it (gRPC A6, Finagle's 20 %).
"""

from policies.window import Window, counted, totals

SHARE = 0.2
FLOOR = 3

NO_SUBMITS = Window()


def submitted(budget: Window, at_s: float, *, repeat: bool) -> Window:
    """The budget after one more submit. Its window counts first submits as good and repeats as bad."""
    return counted(budget, at_s, bad=1) if repeat else counted(budget, at_s, good=1)


def may_repeat(budget: Window, at_s: float) -> bool:
    firsts, repeats = totals(budget, at_s)
    return repeats < max(FLOOR, SHARE * (firsts + repeats))
