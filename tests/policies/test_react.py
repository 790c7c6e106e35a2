from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Failed, FailureKind, Fate, Tier
from policies.candidates import Candidate
from policies.plans import Plan
from policies.react import (
    ATTEMPTS_PER_EDIT,
    ATTEMPTS_PER_OFFER,
    VERDICTS,
    Action,
    Decision,
    GiveUp,
    Refuse,
    Resolve,
    Tried,
    TryOffer,
    Verdict,
    backoff_s,
    decide,
    verdict,
)


def candidate(offer: str, expected_s: float = 10, billed: bool = True) -> Candidate:
    return Candidate(offer=offer, tier=Tier.DRAFT, price_micro=40_000, expected_s=expected_s, billed=billed)


def planned(*candidates: Candidate) -> Plan:
    return Plan(policy="any", tier=Tier.DRAFT, candidates=candidates)


A, A2, B, LOCAL = candidate("a/pro"), candidate("a/max"), candidate("b/pro"), candidate("local/dev", billed=False)
TWO = planned(A, B)


def failure(kind: FailureKind, retry_after: float | None = None, fate: Fate = Fate.NOT_RUN) -> Failed:
    return Failed(kind=kind, fate=fate, message="", retry_after=retry_after)


def after(
    *story: tuple[str, FailureKind],
    plan: Plan = TWO,
    remaining_s: float = 100,
    retry_after: float | None = None,
    chance: float = 0.5,
    fate: Fate = Fate.NOT_RUN,
) -> Decision:
    history = tuple(Tried(offer=offer, kind=kind) for offer, kind in story)
    return decide(failure(story[-1][1], retry_after, fate), history, plan, remaining_s, chance)


def test_every_failure_kind_has_one_verdict():
    assert set(VERDICTS) == set(FailureKind)
    assert {judged.action for judged in VERDICTS.values()} == set(Action)


# What follows the first failure at the first of two healthy offers; the promise to callers, kind by kind.
FIRST_FAILURE = {
    FailureKind.INVALID: GiveUp(kind=FailureKind.INVALID),
    FailureKind.UNSUPPORTED: TryOffer(offer="b/pro"),
    FailureKind.MODERATED: Refuse(),
    FailureKind.CREDENTIAL: TryOffer(offer="b/pro"),
    FailureKind.CREDIT: TryOffer(offer="b/pro"),
    FailureKind.RATE_LIMITED: TryOffer(offer="b/pro"),
    FailureKind.BUSY: TryOffer(offer="b/pro"),
    FailureKind.NOT_SENT: TryOffer(offer="b/pro"),
    FailureKind.LOST: Resolve(),
    FailureKind.TASK_FAILED: TryOffer(offer="b/pro"),
    FailureKind.BAD_PICTURE: GiveUp(kind=FailureKind.BAD_PICTURE),
    FailureKind.EXPIRED: GiveUp(kind=FailureKind.EXPIRED),
}


@pytest.mark.parametrize("kind", FailureKind)
def test_what_follows_a_first_failure(kind):
    assert after(("a/pro", kind)) == FIRST_FAILURE[kind]


# With no other offer: who may be asked once more, after a backoff.
@pytest.mark.parametrize("kind", FailureKind)
def test_what_follows_where_no_other_offer_is_left(kind):
    repeated = {FailureKind.RATE_LIMITED, FailureKind.BUSY, FailureKind.NOT_SENT, FailureKind.TASK_FAILED}
    decision = after(("a/pro", kind), plan=planned(A))
    assert isinstance(decision, TryOffer) == (kind in repeated)
    if kind in repeated:
        assert decision == TryOffer(offer="a/pro", after_s=0.25)


def test_sickness_is_the_backends_and_not_the_requests():
    well = {FailureKind.INVALID, FailureKind.UNSUPPORTED, FailureKind.MODERATED, FailureKind.RATE_LIMITED}
    assert {kind for kind in FailureKind if not VERDICTS[kind].sick} == well


def test_an_account_that_failed_is_left_with_all_its_offers():
    for kind in (FailureKind.CREDENTIAL, FailureKind.CREDIT):
        assert after(("a/pro", kind), plan=planned(A, A2, B)) == TryOffer(offer="b/pro")
        assert after(("a/pro", kind), plan=planned(A, A2)) == GiveUp(kind=kind)
    assert after(("a/pro", FailureKind.BUSY), plan=planned(A, A2, B)) == TryOffer(offer="a/max")


def test_a_rate_limit_is_waited_out_where_the_wait_is_known_and_leaves_a_way_out():
    limited = ("a/pro", FailureKind.RATE_LIMITED)
    assert after(limited, retry_after=5) == TryOffer(offer="a/pro", after_s=5)
    assert after(limited, retry_after=5, remaining_s=15) == TryOffer(offer="a/pro", after_s=5)
    assert after(limited, retry_after=5, remaining_s=14.9) == TryOffer(offer="b/pro", skipped=("a/pro",))
    slow_way_out = planned(A, candidate("b/pro", expected_s=40))
    assert after(limited, plan=slow_way_out, retry_after=70) == TryOffer(offer="b/pro")
    assert after(limited, limited, retry_after=5) == TryOffer(offer="b/pro")


def test_retry_after_is_honoured_up_to_the_deadline_and_ignored_where_absurd():
    busy = ("a/pro", FailureKind.BUSY)
    alone = planned(A)
    assert after(busy, plan=alone, retry_after=90) == TryOffer(offer="a/pro", after_s=90)
    assert after(busy, plan=alone, retry_after=90.1) == GiveUp(kind=FailureKind.BUSY, skipped=("a/pro",))
    assert after(busy, plan=alone, retry_after=3601) == TryOffer(offer="a/pro", after_s=0.25)
    assert after(busy, plan=alone, retry_after=3600, remaining_s=4000) == TryOffer(offer="a/pro", after_s=3600)


def test_an_earlier_offer_is_left_alone_for_as_long_as_it_asked():
    history = (
        Tried(offer="a/pro", kind=FailureKind.BUSY, not_before_s=30),
        Tried(offer="b/pro", kind=FailureKind.UNSUPPORTED),
    )
    decision = decide(failure(FailureKind.UNSUPPORTED), history, TWO, 100, 0.5)
    assert decision == TryOffer(offer="a/pro", after_s=30)


def test_when_all_have_failed_the_first_is_tried_again_after_a_backoff():
    busy_a, busy_b = ("a/pro", FailureKind.BUSY), ("b/pro", FailureKind.BUSY)
    assert after(busy_a, busy_b, chance=0.5) == TryOffer(offer="a/pro", after_s=0.5)
    assert after(busy_a, busy_b, busy_a, chance=0.5) == TryOffer(offer="b/pro", after_s=1.0)
    assert after(busy_a, busy_b, busy_a, busy_b) == GiveUp(kind=FailureKind.BUSY)
    # b cannot do it at all, a was only busy
    assert after(busy_a, ("b/pro", FailureKind.UNSUPPORTED), chance=0.5) == TryOffer(offer="a/pro", after_s=0.5)


def test_an_offer_that_left_the_plan_after_it_was_tried_still_counts():
    gone = ("a/gone", FailureKind.CREDENTIAL)
    assert after(gone, plan=TWO) == TryOffer(offer="b/pro")
    assert after(("a/gone", FailureKind.LOST), plan=planned(B)) == Resolve()
    assert after(("a/gone", FailureKind.BUSY), plan=planned()) == GiveUp(kind=FailureKind.BUSY)


def test_four_attempts_are_all_however_many_offers_there_are():
    plan = planned(*(candidate(f"{provider}/pro") for provider in "abcde"))
    busy = [(f"{provider}/pro", FailureKind.BUSY) for provider in "abcd"]
    assert after(*busy[:3], plan=plan) == TryOffer(offer="d/pro")
    assert after(*busy, plan=plan) == GiveUp(kind=FailureKind.BUSY)


def test_what_cannot_finish_in_time_is_skipped_by_name():
    plan = planned(A, candidate("b/slow", 50), B)
    busy = ("a/pro", FailureKind.BUSY)
    assert after(busy, plan=plan, remaining_s=50) == TryOffer(offer="b/slow")
    assert after(busy, plan=plan, remaining_s=49.9) == TryOffer(offer="b/pro", skipped=("b/slow",))
    assert after(busy, plan=plan, remaining_s=9) == GiveUp(kind=FailureKind.BUSY, skipped=("a/pro", "b/slow", "b/pro"))


def test_a_provider_whose_retry_budget_is_used_up_gets_no_second_attempt_of_an_edit():
    spent = frozenset({"a"})
    for kind in (FailureKind.BUSY, FailureKind.RATE_LIMITED):
        history = (Tried(offer="a/pro", kind=kind),)
        failed = failure(kind, retry_after=5)
        assert decide(failed, history, planned(A, A2, B), 100, 0.5, spent) == TryOffer(offer="b/pro")
        assert decide(failed, history, planned(A, A2), 100, 0.5, spent) == GiveUp(kind=kind)
    failed_over = (Tried(offer="b/pro", kind=FailureKind.BUSY),)
    assert decide(failure(FailureKind.BUSY), failed_over, TWO, 100, 0.5, spent) == TryOffer(offer="a/pro")


def test_after_a_rate_limit_other_accounts_come_before_the_same_ones_other_offers():
    limited = ("a/pro", FailureKind.RATE_LIMITED)
    assert after(limited, plan=planned(A, A2, B)) == TryOffer(offer="b/pro")
    assert after(limited, ("b/pro", FailureKind.BUSY), plan=planned(A, A2, B)) == TryOffer(offer="a/max")


def test_a_lost_answer_where_nobody_bills_is_a_failure():
    lost = ("local/dev", FailureKind.LOST)
    for fate in Fate:
        assert after(lost, plan=planned(LOCAL, B), fate=fate) == TryOffer(offer="b/pro")
        assert after(lost, plan=planned(LOCAL), fate=fate, chance=0.5) == TryOffer(offer="local/dev", after_s=0.25)
    assert verdict(FailureKind.LOST, billed=True) == Verdict(action=Action.RESOLVE, sick=True)


def test_a_refused_resubmit_does_not_prove_that_the_first_submit_did_not_run():
    for kind in (FailureKind.RATE_LIMITED, FailureKind.CREDENTIAL, FailureKind.BUSY, FailureKind.NOT_SENT):
        assert after(("a/pro", kind), fate=Fate.MAY_HAVE_RUN) == Resolve()
    # the provider's word about our own task is proof, whatever it charges
    failed = after(("a/pro", FailureKind.TASK_FAILED), fate=Fate.MAY_HAVE_RUN)
    assert failed == TryOffer(offer="b/pro")


@given(st.integers(1, 60), st.floats(0, 1, exclude_max=True))
def test_backoff_is_full_jitter_below_a_cap(failures, chance):
    assert 0 <= backoff_s(failures, chance) <= min(20, 0.5 * 2 ** (failures - 1))
    assert backoff_s(failures, 0) == 0


# --- whole stories --------------------------------------------------------------------------------------------------

offers = st.lists(
    st.builds(
        candidate,
        st.sampled_from(["a/1", "a/2", "b/1", "b/2", "c/1"]),
        expected_s=st.floats(0, 60),
        billed=st.booleans(),
    ),
    min_size=1,
    unique_by=lambda one: one.offer,
)
kinds = st.sampled_from([kind for kind in FailureKind if VERDICTS[kind].repeatable]) | st.sampled_from(FailureKind)
fates = st.just(Fate.NOT_RUN) | st.sampled_from(Fate)
failures = st.lists(
    st.builds(failure, kinds, st.none() | st.floats(0, 9000), fates),
    min_size=10,
    max_size=10,
)


def play(plan: Plan, script: list[Failed], deadline_s: float, chance: float) -> tuple[list[Tried], Decision]:
    """One edit whose every attempt fails as scripted; attempts take no time, waits do."""
    offer, elapsed, history = plan.candidates[0].offer, 0.0, list[Tried]()
    for failed in script:
        history.append(Tried(offer=offer, kind=failed.kind))
        decision = decide(failed, tuple(history), plan, deadline_s - elapsed, chance)
        if not isinstance(decision, TryOffer):
            return history, decision
        assert elapsed + decision.after_s + plan.candidate(decision.offer).expected_s <= deadline_s + 1e-9
        assert decision.offer not in decision.skipped
        offer, elapsed = decision.offer, elapsed + decision.after_s
    raise AssertionError("an edit must end")


@given(offers, failures, st.floats(0, 200), st.floats(0, 1, exclude_max=True))
def test_no_story_breaks_the_rules(candidates, script, deadline_s, chance):
    plan = planned(*candidates)
    history, end = play(plan, script, deadline_s, chance)
    assert len(history) <= ATTEMPTS_PER_EDIT == 4
    assert max(Counter(tried.offer for tried in history).values()) <= ATTEMPTS_PER_OFFER == 2
    left: set[str] = set()
    for tried, failed in zip(history, script, strict=False):
        provider, billed = tried.offer.partition("/")[0], plan.candidate(tried.offer).billed
        assert provider not in left
        is_last = tried is history[-1]
        if tried.kind is FailureKind.LOST and billed:
            assert is_last
            assert end == Resolve()
        if tried.kind is FailureKind.MODERATED:
            assert is_last
            assert end == Refuse()
        if billed and failed.fate is Fate.MAY_HAVE_RUN and tried.kind is not FailureKind.TASK_FAILED:
            assert is_last
        if tried.kind in (FailureKind.CREDENTIAL, FailureKind.CREDIT):
            left.add(provider)
