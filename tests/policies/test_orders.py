from collections import Counter
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers_on_sale import DAY, seeds

from adapters.contract import Tier
from policies.candidates import Candidate
from policies.facts import Facts
from policies.orders import FAILED_BILL, LOSS, drawn, expected_cost, in_order, ranking, seed_of

NOW = Facts(day=DAY)


def candidate(offer: str, price_micro: int = 40_000, expected_s: float = 10, p95_s: float = 15, **fields) -> Candidate:
    return Candidate(
        offer=offer, tier=Tier.STANDARD, price_micro=price_micro, expected_s=expected_s, p95_s=p95_s, **fields
    )


def names(ordered) -> list[str]:
    return [one.offer for one in ordered]


def ordered(*candidates: Candidate, by: str, left_s: float = inf, seed: int | None = None, shares=None, sticky=None):
    return names(in_order(candidates, (by,), NOW, ranking(candidates, left_s, shares, seed, sticky)))


def firsts(*candidates: Candidate, by: str, **fields) -> Counter[str]:
    return Counter(ordered(*candidates, by=by, seed=seed, **fields)[0] for seed in range(2000))


# --- the cheapest that will make it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["cheapest", "fastest", "expected_cost", "weighted"])
def test_what_surely_makes_it_goes_before_what_may_not(by):
    risky, safe = candidate("a/cheap", 1_000, 5, 61), candidate("b/dear", 90_000, 50, 60)
    shares = {"a/cheap": 1e9, "b/dear": 1.0}
    assert ordered(risky, safe, by=by, left_s=60, shares=shares) == ["b/dear", "a/cheap"]
    assert ordered(risky, safe, by=by, left_s=61, shares=shares) == ["a/cheap", "b/dear"]


def test_a_queue_counts_against_the_deadline_and_the_speed():
    queued, free = candidate("a/x", queue_s=20), candidate("b/x", expected_s=20, p95_s=25)
    assert ordered(queued, free, by="cheapest", left_s=30) == ["b/x", "a/x"]
    assert ordered(queued, free, by="fastest") == ["b/x", "a/x"]


def test_what_is_degraded_comes_last_whatever_it_costs():
    cheap = candidate("a/dev", 1_000, degraded=True)
    assert ordered(cheap, candidate("b/pro"), by="cheapest") == ["b/pro", "a/dev"]


# --- expected cost --------------------------------------------------------------------------------------------------


def test_expected_cost_is_the_price_and_what_a_failure_leads_to():
    sick, sound = candidate("a/x", 40_000, success=0.5), candidate("b/x", 50_000, success=1.0)
    rank = ranking((sick, sound), 120)
    assert expected_cost(sound, rank) == 50_000
    assert expected_cost(sick, rank) == pytest.approx(0.5 * 40_000 + 0.5 * FAILED_BILL * 40_000 + 0.5 * 50_000)


def test_without_time_for_another_try_a_failure_loses_the_edit():
    sick, sound = candidate("a/x", 40_000, success=0.5), candidate("b/x", 50_000, success=1.0)
    assert expected_cost(sick, ranking((sick, sound), 24)) == pytest.approx(
        0.5 * 40_000 * (1 + FAILED_BILL) + 0.5 * LOSS * 50_000
    )
    assert ordered(sick, sound, by="expected_cost", left_s=120) == ["a/x", "b/x"]  # the try saves money
    assert ordered(sick, sound, by="expected_cost", left_s=24) == ["b/x", "a/x"]


def test_a_provider_that_charges_more_than_it_quotes_is_ranked_by_what_it_charges():
    drifting, honest = candidate("a/x", 40_000, drift=1.5), candidate("b/x", 45_000)
    assert ordered(drifting, honest, by="expected_cost") == ["b/x", "a/x"]
    assert ordered(drifting, honest, by="cheapest") == ["a/x", "b/x"]


# --- equals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "worse",
    [{"expected_s": 20, "p95_s": 30}, {"success": 0.6}, {"throttled": 0.8}, {"load": 0.95}, {"p95_s": 60}],
)
def test_of_equal_prices_the_faster_and_healthier_goes_first(worse):
    better, other = candidate("b/x"), candidate("a/x", **worse)
    assert ordered(other, better, by="cheapest") == ["b/x", "a/x"]
    assert firsts(other, better, by="cheapest")["b/x"] > 1500


def test_equals_share_the_traffic_instead_of_following_a_stale_snapshot():
    shared = firsts(candidate("a/x"), candidate("b/x"), candidate("c/x"), by="expected_cost")
    assert all(550 < shared[offer] < 790 for offer in ("a/x", "b/x", "c/x"))


def test_without_a_seed_equals_stay_as_written():
    assert ordered(candidate("b/x"), candidate("a/x"), by="expected_cost") == ["b/x", "a/x"]


# --- weighted -------------------------------------------------------------------------------------------------------


def test_a_canary_gets_its_share():
    shares = {"a/old": 95.0, "b/new": 5.0}
    got = firsts(candidate("a/old"), candidate("b/new"), by="weighted", shares=shares)
    assert 60 < got["b/new"] < 145


def test_a_sticky_value_stays_whatever_the_seed():
    shares = {"a/old": 1.0, "b/new": 1.0}
    for value in ("ann", "bob", "eve"):
        got = firsts(candidate("a/old"), candidate("b/new"), by="weighted", shares=shares, sticky=seed_of(value))
        assert len(got) == 1


def test_a_greater_share_moves_nobody_away():
    pair = candidate("a/old"), candidate("b/new")
    for value in range(300):
        before = ordered(*pair, by="weighted", shares={"a/old": 90.0, "b/new": 10.0}, seed=value)[0]
        after = ordered(*pair, by="weighted", shares={"a/old": 50.0, "b/new": 50.0}, seed=value)[0]
        assert before == "a/old" or after == "b/new"


def test_no_share_comes_last():
    assert ordered(candidate("a/x"), candidate("b/x"), by="weighted", shares={"b/x": 0.001}) == ["b/x", "a/x"]


@given(st.text(), seeds)
def test_a_draw_is_a_number_between_nothing_and_one(offer, seed):
    assert 0 < drawn(offer, seed) < 1
    assert drawn(offer, seed) == drawn(offer, seed)
