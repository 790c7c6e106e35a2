from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers_on_sale import DAY, DEV, MAX, PREVIEW, PRO, offer, price

from adapters.contract import Abilities, GpuPrice, Pixels, Range
from adapters.fit import Sent
from adapters.kontext import SHAPES
from policies.price import MissingPrice, gpu_micro, price_micro, quoted_by_time, require_price

# Costs that the providers' own example answers show.
SEEN = [
    *((PRO, Sent(size=size), 40_000) for size in SHAPES.values()),
    *((MAX, Sent(size=size), 80_000) for size in SHAPES.values()),
    (DEV, Sent(size=Pixels(1248, 832), steps=28), 14_300),
    (DEV, Sent(size=Pixels(1248, 832)), 14_300),
    (DEV, Sent(steps=28), 15_000),
    (DEV, Sent(), 15_000),
]


@pytest.mark.parametrize(("bought", "sent", "micro"), SEEN)
def test_what_was_charged_once_is_the_price(bought, sent, micro):
    assert price_micro(bought, sent, DAY) == micro


@pytest.mark.parametrize(
    ("sent", "micro"),
    [
        (Sent(n=3, steps=28), 45_000),
        (Sent(steps=14), 15_000),  # fewer steps promise nothing
        (Sent(steps=56), 30_000),
        (Sent(steps=29), 15_536),  # 15535.7 rounds up
        (Sent(size=Pixels(512, 512)), 15_000),
        (Sent(size=Pixels(1024, 1024)), 15_000),
        (Sent(size=Pixels(2048, 1024)), 30_000),
        (Sent(size=Pixels(2048, 1024), steps=56), 60_000),
        (Sent(size=Pixels(1248, 832), steps=29), 15_536),  # no longer what the cheaper row was seen at
        (Sent(n=2, steps=29), 31_072),  # each picture is rounded up
    ],
)
def test_compute_beyond_what_was_seen_costs_more(sent, micro):
    assert price_micro(DEV, sent, DAY) == micro


@given(st.integers(1, 4), st.integers(28, 200), st.integers(16, 4096), st.integers(16, 4096))
def test_a_scaled_price_is_the_exact_ceiling(n, steps, width, height):
    billed = offer("a/b", 15_000, default_steps=28)
    got = price_micro(billed, Sent(n=n, steps=steps, size=Pixels(width, height)), DAY)
    pixels = max(width * height, 1024 * 1024)
    exact, whole = 15_000 * steps * pixels, 28 * 1024 * 1024
    assert (got // n - 1) * whole < exact <= (got // n) * whole
    assert got % n == 0


def test_the_newest_row_in_force_counts():
    changed = offer("a/b", prices=(price(50_000, date(2026, 6, 1)), price(40_000, date(2026, 1, 1))))
    assert price_micro(changed, Sent(), date(2026, 5, 31)) == 40_000
    assert price_micro(changed, Sent(), date(2026, 6, 1)) == 50_000


def test_an_exact_row_wins_over_a_newer_general_one():
    changed = offer("a/b", prices=(price(10_000, size="1024x1024"), price(40_000, date(2026, 6, 1))))
    assert price_micro(changed, Sent(size=Pixels(1024, 1024)), DAY) == 10_000
    assert price_micro(changed, Sent(size=Pixels(1024, 1025)), DAY) == 40_000


def test_a_row_is_not_scaled_for_what_it_was_seen_at():
    big = offer("a/b", prices=(price(10_000), price(25_000, size="2048x2048", steps=50)), default_steps=28)
    assert price_micro(big, Sent(size=Pixels(2048, 2048), steps=50), DAY) == 25_000
    assert price_micro(big, Sent(size=Pixels(2048, 2048), steps=28), DAY) == 40_000


def test_nobody_bills_nothing_costs():
    assert price_micro(PREVIEW, Sent(n=4), DAY) == 0
    assert require_price(PREVIEW, DAY) is None


@pytest.mark.parametrize(
    "broken",
    [
        offer("a/b", prices=()),
        offer("a/b", prices=(price(40_000, DAY + timedelta(days=1)),)),
        offer("a/b", prices=(price(40_000, size="64x64"),)),
        offer("a/b", prices=(price(40_000, steps=28),)),
    ],
)
def test_a_billed_offer_without_a_price_is_an_error_and_not_free(broken):
    with pytest.raises(MissingPrice, match="a/b"):
        require_price(broken, DAY)
    with pytest.raises(MissingPrice, match="a/b"):
        price_micro(broken, Sent(), DAY)


def test_a_price_of_nothing_refuses_to_start():
    for worthless in (0, -1):
        with pytest.raises(MissingPrice, match="billed = false"):
            require_price(offer("a/b", worthless), DAY)


def test_steps_as_a_dial_need_the_steps_that_the_price_was_seen_at():
    with pytest.raises(MissingPrice, match="default_steps"):
        require_price(offer("a/b", abilities=Abilities(steps=Range(1, 100))), DAY)


sizes = st.none() | st.builds(Pixels, st.integers(16, 4096), st.integers(16, 4096))
sents = st.builds(Sent, n=st.integers(1, 20), size=sizes, steps=st.none() | st.integers(1, 100))


@given(st.sampled_from([PRO, MAX, DEV]), sents, st.integers(0, 2000))
def test_what_may_start_can_be_priced_on_every_later_day(bought, sent, days):
    require_price(bought, DAY)
    assert price_micro(bought, sent, DAY + timedelta(days=days)) > 0


gpus = st.builds(
    GpuPrice,
    second_micro=st.integers(1, 10_000),
    timeout_s=st.floats(1, 900),
    most_micro=st.none() | st.integers(1, 1_000_000),
)
times = st.floats(0, 900)


@given(gpus, times, times)
def test_what_is_held_for_a_machine_covers_whatever_it_may_take(gpu, usual_s, left_s):
    quoted = quoted_by_time(gpu, usual_s, left_s)
    assert quoted.price_micro <= quoted.hold_micro
    assert gpu_micro(gpu, max(gpu.timeout_s, left_s)) == quoted.hold_micro
    assert gpu.most_micro is None or quoted.hold_micro <= gpu.most_micro


@given(gpus, times, times)
def test_more_time_never_costs_less_and_no_time_nothing(gpu, one_s, other_s):
    assert gpu_micro(gpu, 0) == 0
    assert (gpu_micro(gpu, one_s) <= gpu_micro(gpu, other_s)) or one_s > other_s


def test_seconds_are_whole_micro_dollars_rounded_up():
    gpu = GpuPrice(second_micro=417, timeout_s=30)
    assert [gpu_micro(gpu, seconds) for seconds in (0.0001, 1, 1.5, 10)] == [1, 417, 626, 4170]
