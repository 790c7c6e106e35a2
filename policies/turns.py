"""Whose turn it is where many wait for a place: teams take turns in proportion to their shares, not to their queues.

Start-time fair queueing (Goyal, Vin and Cheng 1996). A team's next turn has a time on a clock of its own that moves by
the work it was given over its share; the earliest is next. Who comes anew stands where the clock is, so idling earns no
credit, and a long queue no priority.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct


class Turns(Struct, frozen=True):
    """`now`: the time of the turn that was taken last. `due`: by team, of its next one; `now` for those it lacks."""

    now: float = 0.0
    due: Mapping[str, float] = {}


def next_team(turns: Turns, waiting: Iterable[str]) -> str:
    """Of those who wait, in the order in which they came for a tie."""
    return min(waiting, key=lambda team: turns.due.get(team, turns.now))


def taken(turns: Turns, team: str, seconds: float, share: float) -> Turns:
    """The team took its turn, with work of so many seconds."""
    now = max(turns.now, turns.due.get(team, turns.now))
    ahead = {other: due for other, due in turns.due.items() if due > now}
    return Turns(now, {**ahead, team: now + seconds / share})


def ahead_s(queued_s: Mapping[str, float], shares: Mapping[str, float], team: str) -> float:
    """The seconds of work that come before one more of `team`: all that it has queued itself, and of the others' what
    their shares give them until then; at least a turn of each, as long as one of ours."""
    own = queued_s.get(team, 0.0)
    rounds = own / shares.get(team, 1.0)
    others = ((shares.get(other, 1.0), work) for other, work in queued_s.items() if other != team)
    return own + sum(min(work, rounds * share) for share, work in others)
