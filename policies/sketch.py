"""How an offer has been doing, in a few hundred bytes that fade: counters and histograms with exponential decay.

Forward decay (Cormode and others, 2009): a sample is not shrunk as it ages; each new one weighs more instead, by
2 ^ (its time since a landmark / half-life). Ratios and quantiles do not care about the common factor, so observing
changes one number, two replicas' sketches add up, and what nobody refreshes fades by being read later. Times go into
buckets 15 % wide, so a quantile is within 15 % of the exact one; a t-digest would be finer, and would not add up.
"""

from enum import StrEnum
from math import log

from msgspec import Struct
from msgspec.structs import replace

HALF_LIFE_S = 60.0
LEAST_S = 0.05
GROWTH = 1.15
BUCKETS = 72  # the last ends above 1,000 s
REBASE_HALF_LIVES = 30

PRIOR_SUCCESS = 0.98
PRIOR_WEIGHT = 4.0
"""What is believed of an offer before it is known, as so many samples: nothing is ruled out by its first failure, and
what was ruled out comes back as the samples against it fade."""

Histogram = tuple[float, ...]
EMPTY: Histogram = (0.0,) * BUCKETS


class Result(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the backend's fault
    REFUSED = "refused"  # for content: says nothing about health
    THROTTLED = "throttled"  # too much of ours at once
    OVERDUE = "overdue"  # not over yet, and already slower than 95 % of those before it


class Sample(Struct, frozen=True, kw_only=True):
    """One attempt's word. `seconds` from submit to picture (for OVERDUE: so far), `accepted_s` from submit to the
    provider's acknowledgement. Money where it was charged."""

    result: Result
    seconds: float | None = None
    accepted_s: float | None = None
    quoted_micro: int = 0
    charged_micro: int = 0


class Sketch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Weights, in units of a sample at `landmark_s`."""

    landmark_s: float = 0.0
    succeeded: float = 0.0
    failed: float = 0.0
    refused: float = 0.0
    throttled: float = 0.0
    quoted: float = 0.0
    charged: float = 0.0
    times: Histogram = EMPTY
    delays: Histogram = EMPTY


def observed(sketch: Sketch, sample: Sample, at_s: float) -> Sketch:
    """The sketch with one more sample. One that comes late weighs as little as it is old."""
    if abs(at_s - sketch.landmark_s) > REBASE_HALF_LIVES * HALF_LIFE_S and at_s > sketch.landmark_s:
        sketch = rebased(sketch, at_s)
    weight = 2.0 ** ((at_s - sketch.landmark_s) / HALF_LIFE_S)
    result = sample.result
    return Sketch(
        landmark_s=sketch.landmark_s,
        succeeded=sketch.succeeded + weight * (result is Result.SUCCEEDED),
        failed=sketch.failed + weight * (result is Result.FAILED),
        refused=sketch.refused + weight * (result is Result.REFUSED),
        throttled=sketch.throttled + weight * (result is Result.THROTTLED),
        quoted=sketch.quoted + weight * sample.quoted_micro,
        charged=sketch.charged + weight * sample.charged_micro,
        times=_added(sketch.times, sample.seconds, weight),
        delays=_added(sketch.delays, sample.accepted_s, weight),
    )


def rebased(sketch: Sketch, landmark_s: float) -> Sketch:
    """The same sketch in units of another landmark."""
    factor = 2.0 ** ((sketch.landmark_s - landmark_s) / HALF_LIFE_S)
    return replace(
        sketch,
        landmark_s=landmark_s,
        succeeded=sketch.succeeded * factor,
        failed=sketch.failed * factor,
        refused=sketch.refused * factor,
        throttled=sketch.throttled * factor,
        quoted=sketch.quoted * factor,
        charged=sketch.charged * factor,
        times=tuple(weight * factor for weight in sketch.times),
        delays=tuple(weight * factor for weight in sketch.delays),
    )


def merged(one: Sketch, other: Sketch) -> Sketch:
    """Both replicas' samples, as if one had seen them all."""
    landmark_s = max(one.landmark_s, other.landmark_s)
    left, right = rebased(one, landmark_s), rebased(other, landmark_s)
    return Sketch(
        landmark_s=landmark_s,
        succeeded=left.succeeded + right.succeeded,
        failed=left.failed + right.failed,
        refused=left.refused + right.refused,
        throttled=left.throttled + right.throttled,
        quoted=left.quoted + right.quoted,
        charged=left.charged + right.charged,
        times=tuple(map(sum, zip(left.times, right.times, strict=True))),
        delays=tuple(map(sum, zip(left.delays, right.delays, strict=True))),
    )


# --- reading --------------------------------------------------------------------------------------------------------


def quantile(histogram: Histogram, share: float) -> float | None:
    """Seconds below which `share` of the samples lie; None without samples. Within a bucket, by interpolation."""
    target, seen = share * sum(histogram), 0.0
    for bucket, weight in enumerate(histogram):
        if weight > 0.0 and seen + weight >= target:
            return LEAST_S * GROWTH ** (bucket - 1 + (target - seen) / weight)
        seen += weight
    return None


def weight(sketch: Sketch, histogram: Histogram, at_s: float) -> float:
    """How many fresh samples a histogram is still worth at `at_s`."""
    return sum(histogram) * _faded(sketch, at_s)


def success_ratio(sketch: Sketch, at_s: float) -> float:
    """The share of attempts that delivered, drawn towards `PRIOR_SUCCESS` where little is known."""
    faded = _faded(sketch, at_s)
    good, bad = sketch.succeeded * faded, sketch.failed * faded
    return (good + PRIOR_SUCCESS * PRIOR_WEIGHT) / (good + bad + PRIOR_WEIGHT)


def throttled_ratio(sketch: Sketch, at_s: float) -> float:
    """The share of submits that were turned away for our own pressure; none where little is known."""
    faded = _faded(sketch, at_s)
    return sketch.throttled * faded / ((sketch.succeeded + sketch.failed + sketch.throttled) * faded + PRIOR_WEIGHT)


def refused_ratio(sketch: Sketch) -> float:
    """The share of answered edits that were refused for their content."""
    answered = sketch.succeeded + sketch.refused
    return sketch.refused / answered if answered > 0.0 else 0.0


def price_drift(sketch: Sketch) -> float:
    """What was charged, relative to what was quoted. 1 where nothing was charged yet."""
    return sketch.charged / sketch.quoted if sketch.quoted > 0.0 and sketch.charged > 0.0 else 1.0


def _faded(sketch: Sketch, at_s: float) -> float:
    return 2.0 ** ((sketch.landmark_s - at_s) / HALF_LIFE_S)


def _added(histogram: Histogram, seconds: float | None, weight: float) -> Histogram:
    if seconds is None:
        return histogram
    bucket = bucket_of(seconds)
    return (*histogram[:bucket], histogram[bucket] + weight, *histogram[bucket + 1 :])


def bucket_of(seconds: float) -> int:
    """Bucket n ends at LEAST_S × GROWTH ** n; the last takes all that is longer."""
    if seconds <= LEAST_S:
        return 0
    return min(BUCKETS - 1, 1 + int(log(seconds / LEAST_S) / log(GROWTH)))
