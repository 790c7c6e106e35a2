"""What people use today, written from the documentation of the gateways that offer it, and what nobody can have.

All share: any error but a refusal leads to the next offer at once, each offer is tried once an edit, an attempt is
given up after 60 s (and its picture, if it comes, is paid for nothing). The balancing ones balance over the offers of
the same model and fall back to the others.
"""

from collections.abc import Iterator
from itertools import count

from msgspec import Struct

from adapters.contract import FailureKind
from gateway.lab.draws import uniform
from gateway.lab.simulation import Process, Run
from gateway.lab.world import Reply

TIMEOUT_S = 60.0
COOLDOWN_S = 5.0
PENALTY_S = 1000.0
REMEMBERED = 10


class Baseline:
    """Tries the offers in the order that `first` gives, until one delivers."""

    name = ""

    def follow(self, edit: int, run: Run) -> Process:
        failure: FailureKind | None = FailureKind.BUSY
        left = list(run.world.offers)
        while left and run.remaining_s(edit) > 0:
            offer = self.first(left, edit, run)
            left.remove(offer)
            reply = run.world.submit(edit, offer, run.now_s)
            yield min(reply.after_s, TIMEOUT_S)
            failure = FailureKind.EXPIRED if reply.after_s > TIMEOUT_S else reply.kind
            self.heard(offer, failure, reply, run)
            if failure is None or failure is FailureKind.MODERATED:
                return failure
        return failure

    def first(self, left: list[str], edit: int, run: Run) -> str:
        """The next of `left`, the offers that this edit has not tried."""
        raise NotImplementedError

    def heard(self, offer: str, failure: FailureKind | None, reply: Reply, run: Run) -> None:
        """What became of an attempt."""


def _group(left: list[str], run: Run) -> list[str]:
    """The offers of the best model that is left: equals among which to balance."""
    model = run.world.offers[left[0]].model
    return [offer for offer in left if run.world.offers[offer].model == model]


class Chain(Baseline):
    """A static fallback chain, as written (OpenRouter's `models`, Portkey's and LiteLLM's `fallbacks`)."""

    name = "fallback chain"

    def first(self, left: list[str], edit: int, run: Run) -> str:  # noqa: ARG002 - as written, whatever happens
        return left[0]


class Cooling(Baseline):
    """Leaves an offer alone for 5 s after a failure, while another of its group is not (LiteLLM's `cooldown_time`)."""

    def __init__(self) -> None:
        self._cool_s: dict[str, float] = {}

    def heard(self, offer: str, failure: FailureKind | None, reply: Reply, run: Run) -> None:  # noqa: ARG002 - its time
        if failure is not None and failure is not FailureKind.MODERATED:
            self._cool_s[offer] = run.now_s + COOLDOWN_S

    def warm(self, left: list[str], run: Run) -> list[str]:
        group = _group(left, run)
        return [offer for offer in group if self._cool_s.get(offer, 0.0) <= run.now_s] or group


class RoundRobin(Cooling):
    name = "round robin"

    def __init__(self) -> None:
        super().__init__()
        self._turns: Iterator[int] = count()

    def first(self, left: list[str], edit: int, run: Run) -> str:  # noqa: ARG002 - turns do not ask whose
        warm = self.warm(left, run)
        return warm[next(self._turns) % len(warm)]


class LowestLatency(Cooling):
    """The lowest mean of its last ten times; a timeout counts as 1,000 s (LiteLLM's `latency-based-routing`)."""

    name = "lowest latency"

    def __init__(self) -> None:
        super().__init__()
        self._times: dict[str, tuple[float, ...]] = {}

    def first(self, left: list[str], edit: int, run: Run) -> str:  # noqa: ARG002 - times do not ask whose
        return min(self.warm(left, run), key=self._mean)

    def heard(self, offer: str, failure: FailureKind | None, reply: Reply, run: Run) -> None:
        super().heard(offer, failure, reply, run)
        if failure is None or failure is FailureKind.EXPIRED:
            took = PENALTY_S if failure else reply.after_s
            self._times[offer] = (*self._times.get(offer, ()), took)[-REMEMBERED:]

    def _mean(self, offer: str) -> float:
        times = self._times.get(offer, (0.0,))
        return sum(times) / len(times)


class WeightedShuffle(Cooling):
    """At random, the first provider three times as often (LiteLLM's `simple-shuffle`, Portkey's `loadbalance`)."""

    name = "weighted shuffle"

    def first(self, left: list[str], edit: int, run: Run) -> str:
        warm = self.warm(left, run)
        weights = [3.0 if run.world.offers[offer].provider == "runware" else 1.0 for offer in warm]
        drawn = uniform(run.seed, 8, edit, len(left)) * sum(weights)
        for offer, weight in zip(warm, weights, strict=True):
            drawn -= weight
            if drawn <= 0:
                return offer
        return warm[-1]


class Oracle:
    """Knows every outcome in advance: waits for the right moment and buys the cheapest way that will deliver in time,
    if need be through a failure that costs nothing."""

    name = "oracle"

    def follow(self, edit: int, run: Run) -> Process:
        for start_s in _moments(edit, run):
            found = _best(edit, start_s, run)
            if found is None:
                continue
            yield start_s - run.now_s
            for _ in range(found.attempts):
                reply = run.world.submit(edit, found.offer, run.now_s)
                yield reply.after_s
            return None
        return run.world.foreseen(edit, next(iter(run.world.offers)), run.now_s).kind or FailureKind.EXPIRED


class Way(Struct, frozen=True, order=True):
    """A way to deliver an edit: the last of `attempts` at `offer` succeeds, `seconds` after the first began."""

    charged_micro: int
    seconds: float
    offer: str
    attempts: int


def _moments(edit: int, run: Run) -> list[float]:
    """Now, and whenever a fault begins or ends before the deadline."""
    moments = {run.now_s}
    for fault in run.scenario.faults:
        span = fault.flap_s or fault.to_s - fault.from_s
        moments |= {fault.from_s + turn * span for turn in range(round((fault.to_s - fault.from_s) / span) + 1)}
    last = run.now_s + run.remaining_s(edit)
    return sorted(at_s for at_s in moments if run.now_s <= at_s < last)


def _best(edit: int, start_s: float, run: Run) -> Way | None:
    """The cheapest, and of equals the fastest, of all ways that begin at `start_s` and end in time."""
    left_s = run.now_s + run.remaining_s(edit) - start_s
    open_ = (offer for offer in run.world.offers if start_s > run.now_s or not run.world.limited(offer, start_s))
    ways = (_way(edit, offer, start_s, run) for offer in open_)
    return min((way for way in ways if way and way.seconds <= left_s), default=None)


def _way(edit: int, offer: str, start_s: float, run: Run) -> Way | None:
    charged, at_s = 0, start_s
    for attempt in range(2):
        reply = run.world.foreseen(edit, offer, at_s, attempt)
        charged, at_s = charged + reply.charged_micro, at_s + reply.after_s
        if reply.kind is None:
            return Way(charged, at_s - start_s, offer, attempt + 1)
    return None
