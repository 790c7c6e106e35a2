from typing import Any

import pytest
from hypothesis import given
from offers_on_sale import DAY, DEV, FLOW_PRO, MAX, PREVIEW, PRO, SHOP, edit, edits, facts, ruled_policies, wishes

from adapters.contract import Tier
from policies.candidates import Exclusion
from policies.explain import EXCLUDED, RANKED, explained, why_excluded, why_raced, why_ranked
from policies.facts import Facts, OfferFacts
from policies.orders import ORDERS
from policies.plans import Plan, plan
from policies.policy import Policy
from policies.reasons import Reason
from policies.wishes import Wishes


def planned(
    *offers: str, order: tuple[str, ...] = ("expected_cost",), known: dict[str, OfferFacts] | None = None, **fields: Any
) -> Plan:
    policy = Policy(name="p", tier=Tier.STANDARD, offers=offers, order=order, **fields)
    return plan(edit(), Wishes(tier=Tier.STANDARD), policy, SHOP, Facts(day=DAY, offers=known or {}))


def test_every_reason_and_every_order_has_its_sentence():
    assert set(EXCLUDED) == set(Reason)
    assert set(RANKED) == set(ORDERS)


@pytest.mark.parametrize("reason", Reason)
def test_a_sentence_names_the_offer_and_the_detail(reason):
    said = why_excluded(Exclusion(offer="a/b", reason=reason, field="size", detail="the very detail"))
    assert said.startswith("a/b ")
    assert "the very detail." in said
    assert "None" not in why_excluded(Exclusion(offer="a/b", reason=reason, field="size", detail="x"))


def test_the_first_is_explained_by_its_merits():
    assert why_ranked(planned(PRO.name, MAX.name), PRO.name) == (
        "runware/kontext-pro is tried first: it is expected to cost $0.040880 (price $0.040000, delivers 98%)."
    )


# Each reason for a later place, and the words that tell it.
LATER = [
    (planned(PRO.name, MAX.name), MAX.name, "expected to cost $0.0"),
    (planned(PRO.name, MAX.name, order=("cheapest",)), MAX.name, "it costs $0.080000"),
    (planned(PRO.name, MAX.name, order=("fastest",), known={MAX.name: OfferFacts(usual_s=30)}), MAX.name, "30.0 s"),
    (planned(PRO.name, MAX.name, order=("weighted",), shares={PRO.name: 1.0}), MAX.name, "the policy's shares"),
    (planned(PRO.name, MAX.name, order=()), MAX.name, "names it later"),
    (planned(PRO.name, FLOW_PRO.name), FLOW_PRO.name, "equals share the traffic"),
    (planned(PRO.name, FLOW_PRO.name, known={FLOW_PRO.name: OfferFacts(p95_s=130)}), FLOW_PRO.name, "130 s, and 120 s"),
    (planned(PRO.name, DEV.name, degrade_to=Tier.DRAFT), DEV.name, "below the standard asked for"),
]


@pytest.mark.parametrize(("made", "offer", "words"), LATER)
def test_a_later_place_is_explained_by_the_first_difference(made, offer, words):
    assert made.candidates[-1].offer == offer
    assert f"{offer} is tried after {PRO.name}: " in why_ranked(made, offer)
    assert words in why_ranked(made, offer)


def test_a_place_to_wait_says_so():
    made = planned(PRO.name, known={PRO.name: OfferFacts(healthy=False)})
    assert "kept though it is not well" in why_ranked(made, PRO.name)


@given(edits, wishes, ruled_policies, facts)
def test_every_plan_can_be_told(asked, wish, policy, now):
    made = plan(asked, wish, policy, SHOP, now)
    told = explained(made)
    assert len(told) == len(made.candidates) + len(made.exclusions)
    assert all(sentence.endswith(".") and "None" not in sentence for sentence in told)


def test_the_preview_is_explained_too():
    assert "lesser quality" in explained(planned(PREVIEW.name))[0]


def test_both_runners_of_a_race_are_told():
    made = planned(PRO.name, FLOW_PRO.name)
    won = why_raced(made, FLOW_PRO.name, PRO.name, lost=False, is_open=False)
    assert won.startswith(f"It was started beside {PRO.name}, which took longer than the ")
    assert won.endswith("It ended the race.")
    lost = "Another runner was faster than runware/kontext-pro: "
    open_ = why_raced(made, PRO.name, None, lost=True, is_open=True)
    assert open_ == lost + "its price stays held until its cost is known."
    assert why_raced(made, PRO.name, None, lost=True, is_open=False) == lost + "its cost is the price of the race."
