"""What the replicas measure of the offers: here each attempt, while it runs and when it ends; elsewhere as told."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

from gateway.clock import Clock
from gateway.state.health import Told
from gateway.state.records import GPU_SECONDS, AttemptRecord
from policies.candidates import provider_of
from policies.react import VERDICTS
from policies.sketch import Result, Sample, Sketch, merged, observed

_SAID = {"moderated": Result.REFUSED, "rate_limited": Result.THROTTLED}


class Watch:
    """One attempt while it runs. What it comes to is told by `ended`."""

    def __init__(self, offer: str, began_s: float, most_s: float) -> None:
        self.offer, self.began_s, self.most_s = offer, began_s, most_s
        self.ended_as: AttemptRecord | None = None
        self.accepted_s: float | None = None
        self.timed = True

    def ended(self, attempt: AttemptRecord, accepted_s: float | None = None, *, timed: bool = True) -> None:
        """The attempt as it will be closed. `accepted_s`: from submit to acknowledgement. Not `timed`: its beginning
        was another replica's, and how long it took is not known here."""
        self.ended_as, self.accepted_s, self.timed = attempt, accepted_s, timed


class Measuring:
    """Sketches by offer, and the attempts that run here."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.own: dict[str, Sketch] = {}
        self._others: dict[str, Sketch] = {}
        self._running: dict[str, Watch] = {}

    def sketch(self, offer: str) -> Sketch:
        own, others = self.own.get(offer), self._others.get(offer)
        if own and others:
            return merged(own, others)
        return own or others or Sketch()

    def running(self, account: str) -> int:
        return sum(provider_of(watch.offer) == account for watch in self._running.values())

    @contextmanager
    def watching(self, attempt: AttemptRecord, most_s: float) -> Generator[Watch]:
        watch = self._running[attempt.id] = Watch(attempt.offer, self._clock.monotonic(), most_s)
        try:
            yield watch
        finally:
            if self._running.get(attempt.id) is watch:
                del self._running[attempt.id]
            if watch.ended_as is not None:
                self._observe(watch.offer, _sample(watch, watch.ended_as, self._clock.monotonic() - watch.began_s))

    def overdue(self) -> None:
        """What already takes longer than it nearly ever does says so, and again at every doubling: without that, an
        offer that turned slow looks fast until its first slow picture is done."""
        now_s = self._clock.monotonic()
        for watch in self._running.values():
            while watch.most_s > 0 and now_s - watch.began_s >= watch.most_s:
                watch.most_s *= 2
                self._observe(watch.offer, Sample(result=Result.OVERDUE, seconds=watch.most_s))

    def take(self, others: Iterable[Told]) -> None:
        """What the other replicas measured, in the place of what they had told before."""
        known: dict[str, Sketch] = {}
        for word in others:
            for offer, sketch in word.sketches.items():
                known[offer] = merged(known[offer], sketch) if offer in known else sketch
        self._others = known

    def _observe(self, offer: str, sample: Sample | None) -> None:
        if sample is not None:
            self.own[offer] = observed(self.own.get(offer, Sketch()), sample, self._clock.now_ms() / 1000)


def _sample(watch: Watch, attempt: AttemptRecord, seconds: float) -> Sample | None:
    """What an attempt says of its offer; None where it says nothing but that the request was wrong. Only a picture has
    a time: a failure that comes at once is not quick."""
    result = _result(attempt)
    if result is None:
        return None
    charged_micro = 0 if attempt.cost_source == GPU_SECONDS else attempt.cost_micro or 0  # time is no drift of a price
    return Sample(
        result=result,
        seconds=seconds if result is Result.SUCCEEDED and watch.timed else None,
        accepted_s=watch.accepted_s,
        quoted_micro=attempt.price_micro if charged_micro else 0,
        charged_micro=charged_micro,
    )


def _result(attempt: AttemptRecord) -> Result | None:
    kind = attempt.failure
    if kind is None:
        return Result.SUCCEEDED
    return _SAID.get(kind.value) or (Result.FAILED if VERDICTS[kind].sick else None)
