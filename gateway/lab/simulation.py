"""The clock of the laboratory: every edit is a process that yields how long it pauses, and a heap wakes it up again."""

from collections.abc import Generator, Sequence
from heapq import heapify, heappop, heappush
from math import log
from typing import Protocol

from msgspec import Struct

from adapters.contract import FailureKind
from gateway.lab.draws import uniform
from gateway.lab.scenarios import Scenario
from gateway.lab.world import Account, World

Process = Generator[float, None, FailureKind | None]
"""Yields seconds to pause; returns None for a delivered edit, else what it failed of."""


class Strategy(Protocol):
    """A way to send edits. One instance follows all edits of one run, and what it learns stays in it."""

    @property
    def name(self) -> str: ...

    def follow(self, edit: int, run: "Run") -> Process: ...


class Ended(Struct, frozen=True, kw_only=True):
    """An edit's end. `failure` None: delivered, `seconds` after it arrived, by the submit that cost `kept_micro`."""

    arrived_s: float
    seconds: float
    failure: FailureKind | None
    charged_micro: int
    kept_micro: int
    submits: int


class Run:
    """One strategy in one world."""

    def __init__(self, world: World, arrivals: Sequence[float]) -> None:
        self.world, self.scenario, self.seed = world, world.scenario, world.seed
        self.arrivals = arrivals
        self.now_s = 0.0

    def play(self, strategy: Strategy) -> list[Ended]:
        """Every edit to its end, in order of arrival."""
        ended: dict[int, Ended] = {}
        waking: list[tuple[float, int, Process]] = [
            (at_s, edit, strategy.follow(edit, self)) for edit, at_s in enumerate(self.arrivals)
        ]
        heapify(waking)
        while waking:
            self.now_s, edit, process = heappop(waking)
            try:
                heappush(waking, (self.now_s + next(process), edit, process))
            except StopIteration as stop:
                ended[edit] = self._ended(edit, stop.value)
        return [ended[edit] for edit in range(len(self.arrivals))]

    def chance(self, *about: int) -> float:
        return uniform(self.seed, 7, *about)

    def remaining_s(self, edit: int) -> float:
        return self.scenario.deadline_s - (self.now_s - self.arrivals[edit])

    def _ended(self, edit: int, failure: FailureKind | None) -> Ended:
        account: Account = self.world.edits[edit]
        return Ended(
            arrived_s=self.arrivals[edit],
            seconds=self.now_s - self.arrivals[edit],
            failure=failure,
            charged_micro=account.charged_micro,
            kept_micro=account.kept_micro,
            submits=account.submits,
        )


def simulated(scenario: Scenario, seed: int, edits: int) -> Run:
    """A run of `edits` that arrive as independent callers do: the gaps between them are exponential."""
    rate = edits / scenario.seconds
    at_s, arrivals = 0.0, list[float]()
    for edit in range(edits):
        at_s -= log(uniform(seed, 5, edit)) / rate
        arrivals.append(at_s)
    return Run(World(scenario, seed, rate), arrivals)
