"""What is bounded, among teams: who still finds room, and when to ask again.

A team may hold at most four times its share of what is still free: so one that takes all it can leaves a fifth, others
always find room, and the less is free, the less the greedy may hold (the dynamic threshold of shared-memory switches,
Choudhury and Hahne 1998). The road not taken, a fixed part for each team: most teams are idle, and so were their parts.
"""

from math import ceil

from msgspec import Struct

AMPLE = 4.0
SOONEST_S, LATEST_S = 1, 60


class Standing(Struct, frozen=True, kw_only=True):
    """What is bounded, at this moment: how much there may be, how much is taken, and how much of it by the team that
    asks. `alone`: there is no other team to leave room for."""

    limit: int
    taken: int
    mine: int
    share: float = 1.0
    alone: bool = False


def fits(standing: Standing, amount: int) -> bool:
    """Whether the team may take `amount` more. Who holds nothing is let in wherever there is room."""
    free = standing.limit - standing.taken
    if amount > free:
        return False
    return standing.alone or standing.mine == 0 or standing.mine < AMPLE * standing.share * free


def retry_after_s(ahead: float, usual_s: float, places: float) -> int:
    """Whole seconds until `ahead` have gone, each of which takes `usual_s` in one of `places`. Bounded: callers shall
    not stay away from a gateway that has recovered."""
    return min(LATEST_S, max(SOONEST_S, ceil(ahead * usual_s / max(places, 1.0))))
