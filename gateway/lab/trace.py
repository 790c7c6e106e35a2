"""One's own past as a world: a ledger's rows, played again under another policy.

What an offer would have answered at some moment is drawn from the attempts that it really had around that moment. So
the past must hold attempts at the offers that are compared; one without any is left out. Which edit asked for what is
not known to the ledger: every edit is taken as the same ordinary one, and rate limits as they happened.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import date

from msgspec import Struct

from adapters.contract import FailureKind, Offer
from gateway.clock import minute_of
from gateway.lab.draws import uniform
from gateway.lab.scenarios import Scenario
from gateway.lab.simulation import Run
from gateway.lab.world import LOST_AFTER_S, Reply, World

NEIGHBOURS = 20
_SUCCEEDED = ("done", "settled")
_TELLS_NOTHING = ("released", "hedge_lost")
"""How long such an attempt would have taken, and to what end, nobody waited to see."""


class Line(Struct, frozen=True, kw_only=True):
    """What the laboratory reads of a ledger row; further fields are ignored. Times in epoch milliseconds."""

    kind: str
    edit: str
    at_ms: int
    offer: str | None = None
    attempt: int | None = None
    outcome: str | None = None
    settled_micro: int | None = None


class Past(Struct, frozen=True, kw_only=True):
    """Arrivals, and each offer's attempts by when they began. Seconds from the first arrival, at `began_ms`."""

    began_ms: int
    arrivals: tuple[float, ...]
    attempts: dict[str, tuple[tuple[float, Reply], ...]]


class UnreadableLedger(ValueError):  # noqa: N818 - the name is the fact
    """The export holds nothing to learn from, or a line that is no ledger row."""


def past_of(rows: Iterable[Line]) -> Past:
    """The past as a ledger tells it. Raises `UnreadableLedger`."""
    rows = tuple(rows)
    undone = {row.edit for row in rows if row.kind == "finish" and row.outcome == "undone"}
    accepted = sorted(row.at_ms for row in rows if row.kind == "accept" and row.edit not in undone)
    if not accepted:
        raise UnreadableLedger("no row of kind accept: export the ledger's rows, not its sums")
    began = {(row.edit, row.attempt): row.at_ms for row in rows if row.kind == "open"}
    attempts: dict[str, list[tuple[float, Reply]]] = {}
    for row in rows:
        if row.kind == "close" and row.offer and row.outcome not in _TELLS_NOTHING and (row.edit, row.attempt) in began:
            start_ms = began[row.edit, row.attempt]
            attempts.setdefault(row.offer, []).append(((start_ms - accepted[0]) / 1000, _reply(row, start_ms)))
    return Past(
        began_ms=accepted[0],
        arrivals=tuple((at_ms - accepted[0]) / 1000 for at_ms in accepted),
        attempts={name: tuple(sorted(found, key=lambda one: one[0])) for name, found in attempts.items()},
    )


def replayed(past: Past, offers: Mapping[str, Offer], seed: int, deadline_s: float, today: date) -> Run:
    """The past as a run. `offers` is what can be bought `today`, by name: plans go by today's prices, and charged is
    what was charged. Raises `UnreadableLedger` if none of it was tried."""
    known = tuple(offer for name, offer in offers.items() if name in past.attempts)
    if not known:
        raise UnreadableLedger(f"no attempt at any of {', '.join(sorted(offers)) or 'no offers'}")
    scenario = Scenario(
        name="ledger",
        about=f"{len(past.arrivals)} edits of the ledger",
        offers=known,
        seconds=past.arrivals[-1] + 1.0,
        midnight_s=past.arrivals[-1] + 1.0,
        deadline_s=deadline_s,
        eve=today,
        minute=minute_of(past.began_ms),
    )
    return Run(Replay(scenario, seed, past), past.arrivals)


class Replay(World):
    """A world whose providers answer as they did around that time."""

    def __init__(self, scenario: Scenario, seed: int, past: Past) -> None:
        super().__init__(scenario, seed, rate=1.0)
        self._attempts = past.attempts

    def foreseen(self, edit: int, offer: str, at_s: float, tries: int = 0) -> Reply:
        found = self._attempts[offer]
        place = bisect_left(found, at_s, key=lambda one: one[0])
        first = max(0, min(place - NEIGHBOURS // 2, len(found) - NEIGHBOURS))
        near = found[first : first + NEIGHBOURS]
        drawn = uniform(self.seed, edit, sum(offer.encode()), tries, 11)
        return near[int(drawn * len(near))][1]


def _reply(row: Line, start_ms: int) -> Reply:
    seconds, charged = max(0.0, (row.at_ms - start_ms) / 1000), row.settled_micro or 0
    if row.outcome in _SUCCEEDED:
        return Reply(None, seconds, charged)
    known = row.outcome in list(FailureKind)
    kind = FailureKind(row.outcome) if known else FailureKind.LOST
    return Reply(kind, seconds, charged, done_s=max(seconds, LOST_AFTER_S))
