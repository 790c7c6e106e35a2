from typing import Any

from adapters.contract import Tier
from policies.candidates import Candidate
from policies.hedge import SecondRunner, Terms, second_runner, to_hold_micro, worst_case_extra_micro
from policies.plans import Plan


def candidate(offer: str, price_micro: int = 40_000, **fields) -> Candidate:
    given: dict[str, Any] = {"tier": Tier.STANDARD, "expected_s": 10.0, "p95_s": 15.0} | fields
    return Candidate(offer=offer, price_micro=price_micro, **given)


def planned(*candidates: Candidate) -> Plan:
    return Plan(policy="any", tier=Tier.STANDARD, candidates=candidates)


A, B, LOCAL = candidate("a/pro"), candidate("b/pro"), candidate("local/dev", 0, billed=False, expected_s=30.0)
BOUGHT = Terms(max_extra_micro=40_000)


def test_nothing_runs_twice_that_was_not_bought():
    assert second_runner(planned(A, B), "a/pro", 60, 60, None) is None
    assert worst_case_extra_micro(planned(A, B), None) == 0


def test_a_second_runner_starts_past_the_firsts_p95():
    assert second_runner(planned(A, B), "a/pro", 5, 100, BOUGHT) == SecondRunner(
        offer="b/pro", after_s=10, extra_micro=40_000
    )
    late = second_runner(planned(A, B), "a/pro", 20, 100, BOUGHT)
    assert late is not None
    assert late.after_s == 0


def test_a_team_may_ask_for_more_patience_and_not_for_less():
    for asked, expected in ((30.0, 25.0), (1.0, 10.0)):
        found = second_runner(planned(A, B), "a/pro", 5, 100, Terms(max_extra_micro=40_000, after_s=asked))
        assert found is not None
        assert found.after_s == expected


def test_the_local_offer_is_preferred():
    found = second_runner(planned(A, B, LOCAL), "a/pro", 15, 100, BOUGHT)
    assert found == SecondRunner(offer="local/dev", after_s=0, extra_micro=0)


def test_nobody_runs_who_is_too_dear_too_slow_or_unwell():
    assert second_runner(planned(A, candidate("b/max", 80_000)), "a/pro", 15, 100, BOUGHT) is None
    assert second_runner(planned(A, B), "a/pro", 15, 9.9, BOUGHT) is None
    assert second_runner(planned(A, candidate("b/pro", spared=True)), "a/pro", 15, 100, BOUGHT) is None
    assert second_runner(planned(A), "a/pro", 15, 100, BOUGHT) is None


def test_what_is_held_covers_whoever_may_run():
    assert worst_case_extra_micro(planned(A, candidate("b/max", 80_000), LOCAL), BOUGHT) == 40_000
    assert worst_case_extra_micro(planned(candidate("b/max", 80_000)), BOUGHT) == 0


def test_beside_an_only_candidate_nothing_is_held():
    assert worst_case_extra_micro(planned(A), BOUGHT) == 0


def test_both_prices_are_held_and_never_more_than_the_edit_may_cost():
    assert to_hold_micro(planned(A, B), None, None) == 40_000
    assert to_hold_micro(planned(A, B), BOUGHT, None) == 80_000
    assert to_hold_micro(planned(A, B), BOUGHT, 70_000) == 70_000


def test_a_machine_with_a_price_is_preferred_where_its_longest_time_was_bought():
    machine = candidate("gpu/dev", 8_000, billed=False, most_micro=40_000)
    found = second_runner(planned(A, B, machine), "a/pro", 15, 100, BOUGHT)
    assert found == SecondRunner(offer="gpu/dev", after_s=0, extra_micro=40_000)
    dearer = candidate("gpu/dev", 8_000, billed=False, most_micro=40_001)
    assert second_runner(planned(A, dearer), "a/pro", 15, 100, BOUGHT) is None
    assert worst_case_extra_micro(planned(A, dearer), BOUGHT) == 40_000
