from math import ceil

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from policies.sketch import (
    BUCKETS,
    EMPTY,
    GROWTH,
    HALF_LIFE_S,
    LEAST_S,
    PRIOR_SUCCESS,
    Result,
    Sample,
    Sketch,
    bucket_of,
    merged,
    observed,
    price_drift,
    quantile,
    refused_ratio,
    success_ratio,
    throttled_ratio,
    weight,
)

results = st.sampled_from(Result)
times = st.floats(LEAST_S, 900)
samples = st.lists(st.tuples(st.floats(0, 4000), st.builds(Sample, result=results, seconds=times)), max_size=30)


def sketched(*seen: tuple[float, Sample]) -> Sketch:
    sketch = Sketch()
    for at_s, sample in sorted(seen, key=lambda one: one[0]):
        sketch = observed(sketch, sample, at_s)
    return sketch


def took(seconds: float, result: Result = Result.SUCCEEDED) -> Sample:
    return Sample(result=result, seconds=seconds)


@given(st.lists(times, min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_quantile_is_within_a_bucket_of_the_exact_one(seconds, share):
    assume(abs(share * len(seconds) - round(share * len(seconds))) > 1e-6)  # between two samples, either is right
    exact = sorted(seconds)[ceil(share * len(seconds)) - 1]
    found = quantile(sketched(*((0.0, took(one)) for one in seconds)).times, share)
    assert found is not None
    assert exact / GROWTH <= found * (1 + 1e-9)
    assert found <= exact * GROWTH * (1 + 1e-9)


@given(samples, st.floats(4000, 5000))
def test_counters_are_the_exact_decayed_sums(seen, now_s):
    exact = {
        result: sum(0.5 ** ((now_s - at_s) / HALF_LIFE_S) for at_s, one in seen if one.result is result)
        for result in Result
    }
    sketch, good, bad = sketched(*seen), exact[Result.SUCCEEDED], exact[Result.FAILED]
    assert weight(sketch, sketch.times, now_s) == pytest.approx(sum(exact.values()), abs=1e-6)
    assert success_ratio(sketch, now_s) == pytest.approx((good + 4 * PRIOR_SUCCESS) / (good + bad + 4), abs=1e-6)
    if good + exact[Result.REFUSED] > 1e-6:
        refused = exact[Result.REFUSED]
        assert refused_ratio(sketch) == pytest.approx(refused / (good + refused), abs=1e-3)


@given(samples, samples, st.floats(4000, 5000))
def test_two_replicas_add_up_to_one_that_saw_it_all(here, there, now_s):
    whole, both = sketched(*here, *there), merged(sketched(*here), sketched(*there))
    assert success_ratio(both, now_s) == pytest.approx(success_ratio(whole, now_s), abs=1e-6)
    assert weight(both, both.times, now_s) == pytest.approx(weight(whole, whole.times, now_s), abs=1e-6)
    assert merged(sketched(*there), sketched(*here)).times == pytest.approx(both.times)


def test_an_old_sample_weighs_half_after_each_half_life():
    sketch = sketched((0, took(10, Result.FAILED)))
    assert weight(sketch, sketch.times, HALF_LIFE_S) == pytest.approx(0.5)
    assert weight(sketch, sketch.times, 3 * HALF_LIFE_S) == pytest.approx(0.125)
    assert success_ratio(sketch, 0) < 0.8 < 0.97 < success_ratio(sketch, 10 * HALF_LIFE_S)


def test_new_times_push_old_ones_out():
    sketch = sketched(*((0, took(10)) for _ in range(100)), *((600, took(100)) for _ in range(10)))
    median = quantile(sketch.times, 0.5)
    assert median is not None
    assert median > 85


def test_a_sketch_never_overflows_however_long_it_lives():
    sketch = sketched((0, took(10)), (1e9, took(20)), (2e9, took(30)))
    assert weight(sketch, sketch.times, 2e9) == pytest.approx(1)


def test_little_is_known_at_first_and_nothing_is_measured():
    assert quantile(EMPTY, 0.5) is None
    assert success_ratio(Sketch(), 0) == PRIOR_SUCCESS
    assert (price_drift(Sketch()), throttled_ratio(Sketch(), 0), refused_ratio(Sketch())) == (1.0, 0.0, 0.0)


def test_price_drift_is_charged_over_quoted():
    bill = Sample(result=Result.SUCCEEDED, quoted_micro=40_000, charged_micro=50_000)
    assert price_drift(sketched((0, bill), (50, bill))) == pytest.approx(1.25)


def test_pressure_is_no_failure():
    sketch = sketched(*((0, took(10, Result.THROTTLED)) for _ in range(20)))
    assert success_ratio(sketch, 0) == PRIOR_SUCCESS
    assert throttled_ratio(sketch, 0) == pytest.approx(20 / 24)


@given(st.floats(0, 1e6))
def test_every_time_has_a_bucket(seconds):
    bucket = bucket_of(seconds)
    assert 0 <= bucket < BUCKETS
    if LEAST_S < seconds < 900:
        assert LEAST_S * GROWTH ** (bucket - 1) <= seconds * (1 + 1e-9)
        assert seconds <= LEAST_S * GROWTH**bucket * (1 + 1e-9)


@given(samples)
def test_a_sketch_survives_the_wire(seen):
    sketch = sketched(*seen)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sketch), type=Sketch) == sketch


def test_sketches_of_another_year_add_up_without_overflow():
    one, other = observed(Sketch(), took(10), 2e9), sketched((0, took(20)))
    assert weight(merged(one, other), merged(other, one).times, 2e9) == pytest.approx(1)
