import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from offers_on_sale import (
    DAY,
    DEV,
    FLOW_MAX,
    FLOW_PRO,
    MAX,
    PREVIEW,
    PRO,
    SHOP,
    edit,
    edits,
    facts,
    policies,
    ruled_policies,
    wishes,
)

from adapters.contract import Abilities, AutoSize, ModelSize, Pixels, ServerState, Tier
from adapters.fit import fit
from policies.candidates import Candidate
from policies.circuit import State
from policies.conditions import When
from policies.facts import Facts, OfferFacts
from policies.fits import fitted, outline
from policies.orders import ORDERS, in_order
from policies.plans import Plan, Policy, plan, unknown_offers, worst_case_micro
from policies.policy import Rule, resolve
from policies.reasons import Reason
from policies.wishes import Wishes

PRODUCTION = Policy(
    name="production",
    tier=Tier.STANDARD,
    offers=("runware/kontext-max", "runware/kontext-pro", "runflow/kontext-pro", "runflow/kontext-max"),
    order=("cheapest",),
)
STANDARD = Wishes(tier=Tier.STANDARD)
NOW = Facts(day=DAY)


def planned(wish: Wishes = STANDARD, policy: Policy = PRODUCTION, now: Facts = NOW, **fields) -> Plan:
    return plan(edit(**fields), wish, policy, SHOP, now)


def candidates(made: Plan) -> list[str]:
    return [candidate.offer for candidate in made.candidates]


def reasons(made: Plan) -> dict[str, Reason]:
    return {exclusion.offer: exclusion.reason for exclusion in made.exclusions}


def about(**offers: OfferFacts) -> Facts:
    return Facts(day=DAY, offers={SHOP_BY_VARIABLE[name]: known for name, known in offers.items()})


SHOP_BY_VARIABLE = {"pro": PRO.name, "max": MAX.name, "flow_pro": FLOW_PRO.name, "flow_max": FLOW_MAX.name}


def test_cheapest_first_and_equals_as_written():
    assert candidates(planned()) == [PRO.name, FLOW_PRO.name, MAX.name, FLOW_MAX.name]


def test_without_an_order_offers_are_tried_as_written():
    assert candidates(planned(policy=Policy(name="x", tier=Tier.DRAFT, offers=PRODUCTION.offers))) == [
        *PRODUCTION.offers
    ]


def test_fastest_goes_by_what_was_measured():
    fast = Policy(name="fast", tier=Tier.STANDARD, offers=PRODUCTION.offers, order=("fastest", "cheapest"))
    now = about(max=OfferFacts(usual_s=4), flow_pro=OfferFacts(usual_s=30))
    made = planned(policy=fast, now=now)
    assert candidates(made) == [MAX.name, PRO.name, FLOW_MAX.name, FLOW_PRO.name]
    assert [candidate.expected_s for candidate in made.candidates] == [4, 10, 10, 30]


def test_named_models_replace_the_policys_offers():
    made = planned(Wishes(tier=Tier.DRAFT, models=(DEV.name, MAX.name)))
    assert candidates(made) == [DEV.name, MAX.name]
    assert reasons(made) == dict.fromkeys([PRO.name, FLOW_PRO.name, FLOW_MAX.name], Reason.NOT_ALLOWED)


def test_a_team_names_only_what_it_may_use():
    made = planned(Wishes(tier=Tier.STANDARD, models=(PRO.name, MAX.name), allowed=(PRO.name,)))
    assert candidates(made) == [PRO.name]
    assert reasons(made)[MAX.name] is Reason.NOT_ALLOWED


def test_the_cap_covers_all_pictures():
    made = planned(Wishes(tier=Tier.DRAFT, models=(DEV.name,), max_cost_micro=45_000), n=3)
    assert [candidate.price_micro for candidate in made.candidates] == [45_000]
    made = planned(Wishes(tier=Tier.DRAFT, models=(DEV.name,), max_cost_micro=44_999), n=3)
    assert made.candidates == ()
    assert made.exclusions[0].reason is Reason.OVER_COST
    assert made.exclusions[0].detail == "costs $0.045000 for 3 picture(s), more than $0.044999"


# Each reason, and the least that brings it about.
EXCLUDED = {
    Reason.INCAPABLE: (STANDARD, NOW, {"n": 2}, "n"),
    Reason.NOT_ALLOWED: (Wishes(tier=Tier.STANDARD, allowed=()), NOW, {}, "models"),
    Reason.BELOW_TIER: (Wishes(tier=Tier.PREMIUM), NOW, {}, "tier"),
    Reason.OVER_COST: (Wishes(tier=Tier.STANDARD, max_cost_micro=39_999), NOW, {}, "max_cost_usd"),
    Reason.TOO_SLOW: (Wishes(tier=Tier.STANDARD, deadline_s=30), Facts(day=DAY, elapsed_s=20.1), {}, "deadline_s"),
    Reason.NOT_READY: (STANDARD, about(pro=OfferFacts(server=ServerState.LOADING)), {}, None),
    Reason.OVERFLOW: (STANDARD, about(pro=OfferFacts(wait_s=31.0)), {}, None),
    Reason.UNHEALTHY: (STANDARD, about(pro=OfferFacts(healthy=False)), {}, None),
    Reason.DISABLED: (STANDARD, about(pro=OfferFacts(disabled="drained")), {}, None),
}


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_names_its_field_and_says_what_would_fit(reason):
    wish, now, fields, field = EXCLUDED[reason]
    policy = Policy(name="pair", tier=Tier.STANDARD, offers=(PRO.name, FLOW_MAX.name))
    made = planned(wish, policy, now, **fields)
    exclusion = next(exclusion for exclusion in made.exclusions if exclusion.offer == PRO.name)
    assert (exclusion.reason, exclusion.field) == (reason, field)
    assert exclusion.detail


def test_permission_speaks_before_ability():
    made = planned(Wishes(tier=Tier.STANDARD, models=(PRO.name,), allowed=()), n=2)
    assert reasons(made)[PRO.name] is Reason.NOT_ALLOWED


def test_where_all_are_sick_all_are_places_to_wait_the_least_sick_first():
    sick, sicker = OfferFacts(healthy=False, sick_s=10), OfferFacts(healthy=False, sick_s=20)
    made = planned(now=about(pro=sicker, max=sick, flow_pro=sicker, flow_max=sick))
    assert candidates(made) == [MAX.name, FLOW_MAX.name, PRO.name, FLOW_PRO.name]
    assert all(candidate.spared for candidate in made.candidates)
    one_left = planned(now=about(pro=sick, max=sick, flow_pro=sick))
    assert candidates(one_left) == [FLOW_MAX.name]
    assert not one_left.candidates[0].spared
    assert set(reasons(one_left).values()) == {Reason.UNHEALTHY}


@pytest.mark.parametrize("state", State)
def test_a_sick_offer_says_what_cures_it(state):
    made = planned(now=about(pro=OfferFacts(healthy=False, circuit=state)))
    said = {exclusion.offer: exclusion.detail for exclusion in made.exclusions}[PRO.name]
    assert ("operator" in said) == (state in (State.NO_CREDENTIAL, State.NO_CREDIT))


LENIENT = Policy(
    name="lenient",
    tier=Tier.STANDARD,
    offers=(DEV.name, PRO.name, MAX.name, PREVIEW.name),
    order=("cheapest",),
    degrade_to=Tier.DRAFT,
)


def test_a_policy_may_degrade_as_a_last_resort_and_the_plan_says_so():
    made = planned(policy=LENIENT)
    assert [(one.offer, one.degraded) for one in made.candidates] == [
        (PRO.name, False),
        (MAX.name, False),
        (DEV.name, True),
    ]
    assert reasons(made) == {PREVIEW.name: Reason.BELOW_TIER}
    sick = OfferFacts(healthy=False)
    assert candidates(planned(policy=LENIENT, now=about(pro=sick, max=sick))) == [DEV.name]


def test_degrading_never_raises_the_floor():
    made = planned(Wishes(tier=Tier.PREVIEW), policy=LENIENT)
    assert candidates(made)[0] == PREVIEW.name
    assert not any(candidate.degraded for candidate in made.candidates)


def test_rules_are_resolved_by_the_plan():
    night = Rule(when=When(utc="20:00-06:00"), offers=(MAX.name,))
    policy = Policy(name="x", tier=Tier.STANDARD, offers=(PRO.name,), rules=(night,))
    assert candidates(planned(policy=policy, now=Facts(day=DAY, minute=60))) == [MAX.name]
    assert candidates(planned(policy=policy, now=Facts(day=DAY, minute=700))) == [PRO.name]


def test_a_sick_offer_is_not_spared_from_anything_else():
    sick = OfferFacts(healthy=False)
    drained = OfferFacts(healthy=False, disabled="drained")
    now = about(pro=drained, max=sick, flow_pro=drained, flow_max=sick)
    assert planned(Wishes(tier=Tier.STANDARD, max_cost_micro=50_000), now=now).candidates == ()


def test_what_nobody_bills_is_free_and_says_so():
    made = planned(Wishes(tier=Tier.PREVIEW, models=(PREVIEW.name, PRO.name), max_cost_micro=40_000))
    assert [(one.price_micro, one.billed) for one in made.candidates] == [(0, False), (40_000, True)]


def test_strict_excludes_what_would_be_adjusted():
    assert planned(strict=True, steps=30).candidates == ()
    assert planned(steps=30).candidates[0].adjustments[0].field == "steps"


def test_the_worst_case_is_the_dearest_candidate():
    assert worst_case_micro(planned()) == 80_000
    assert worst_case_micro(planned(Wishes(tier=Tier.STANDARD, allowed=()))) == 0


def test_unknown_names_are_listed_and_never_planned():
    assert unknown_offers(("runware/kontext-pro", "acme/new"), SHOP) == ("acme/new",)
    made = planned(Wishes(tier=Tier.STANDARD, models=("acme/new",)))
    assert "acme/new" not in candidates(made) + list(reasons(made))


def test_an_unknown_order_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match="'best'; use any of cheapest, fastest"):
        Policy(name="x", tier=Tier.DRAFT, offers=(), order=("best",))


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_keeps_equals_as_written(order):
    alike = [Candidate(offer=f"a/{n}", tier=Tier.DRAFT, price_micro=1, expected_s=1) for n in "dacb"]
    assert in_order(alike, (order,), NOW) == tuple(alike)


@pytest.mark.parametrize("size", [AutoSize(), ModelSize(), Pixels(640, 480)])
def test_a_plan_prices_what_would_be_sent(size):
    made = planned(Wishes(tier=Tier.PREVIEW, models=(DEV.name,)), size=size)
    assert made.candidates[0].price_micro == 15_000


@given(edits, wishes, policies, facts)
def test_a_plan_holds_each_known_offer_exactly_once_and_invents_none(asked, wish, policy, now):
    made = plan(asked, wish, policy, SHOP, now)
    listed = candidates(made) + [exclusion.offer for exclusion in made.exclusions]
    assert sorted(listed) == sorted(set(wish.models) | set(policy.offers))


@given(edits, wishes, policies, facts)
def test_no_wish_is_crossed(asked, wish, policy, now):
    for candidate in plan(asked, wish, policy, SHOP, now).candidates:
        assert candidate.tier.rank >= wish.tier.rank
        assert wish.max_cost_micro is None or candidate.price_micro <= wish.max_cost_micro
        assert candidate.expected_s <= wish.deadline_s - now.elapsed_s
        assert candidate.offer in (wish.models or policy.offers)
        assert wish.allowed is None or candidate.offer in wish.allowed
        assert now.about(SHOP[candidate.offer]).disabled is None


@given(edits, wishes, policies, facts)
def test_filters_never_reorder(asked, wish, policy, now):
    unordered = Policy(name="any", tier=policy.tier, offers=policy.offers)
    made = plan(asked, wish, unordered, SHOP, now)
    written = list(dict.fromkeys((*wish.models, *policy.offers)))
    assert candidates(made) == [name for name in written if name in candidates(made)]


@given(edits, wishes, policies, facts)
def test_only_the_sick_are_left_out_for_health_and_never_all_of_them(asked, wish, policy, now):
    made = plan(asked, wish, policy, SHOP, now)
    for exclusion in made.exclusions:
        if exclusion.reason is Reason.UNHEALTHY:
            assert not now.about(SHOP[exclusion.offer]).healthy
            assert made.candidates


@given(edits, wishes, ruled_policies, facts)
def test_a_floor_is_lowered_only_as_far_as_the_policy_says_and_marked(asked, wish, policy, now):
    now_policy, made = resolve(policy, now), plan(asked, wish, policy, SHOP, now)
    lowest = min(wish.tier.rank, (now_policy.degrade_to or wish.tier).rank)
    for candidate in made.candidates:
        assert candidate.tier.rank >= lowest
        assert candidate.degraded == (candidate.tier.rank < wish.tier.rank)
        assert wish.max_cost_micro is None or candidate.price_micro <= wish.max_cost_micro
        assert candidate.offer in (wish.models or now_policy.offers)
    listed = candidates(made) + [exclusion.offer for exclusion in made.exclusions]
    assert sorted(listed) == sorted(set(wish.models) | set(now_policy.offers))


@given(edits, wishes, ruled_policies, facts)
def test_health_never_empties_a_plan(asked, wish, policy, now):
    well = {name: structs.replace(known, healthy=True) for name, known in now.offers.items()}
    made = plan(asked, wish, policy, SHOP, now)
    could = plan(asked, wish, policy, SHOP, structs.replace(now, offers=well))
    assert bool(made.candidates) == bool(could.candidates)
    assert set(candidates(made)) <= set(candidates(could))


@given(edits, wishes, ruled_policies, facts)
def test_the_same_facts_and_seed_give_the_same_plan(asked, wish, policy, now):
    assert plan(asked, wish, policy, SHOP, now) == plan(asked, wish, policy, dict(reversed(SHOP.items())), now)


@given(edits, st.sampled_from(sorted(SHOP)))
def test_what_is_remembered_of_a_fit_is_the_fit(asked, name):
    assert fitted(asked, outline(asked), SHOP[name]) == fit(asked, SHOP[name])


def test_nothing_is_remembered_of_what_an_edit_says_or_shows():
    asked = edit(prompt="a secret", negative_prompt="another")
    outlined = outline(asked)
    assert outlined is not None
    assert "secret" not in repr(outlined)
    assert "another" not in repr(outlined)
    assert asked.images[0].digest not in repr(outlined)


def test_a_prompt_that_would_set_the_engine_is_judged_by_its_words_however_much_is_remembered():
    reader = structs.replace(PREVIEW, abilities=Abilities(refused_tags=("<extra",)))
    shop = {reader.name: reader}
    policy = Policy(name="any", tier=Tier.PREVIEW, offers=(reader.name,))
    wish = Wishes(tier=Tier.PREVIEW)
    plain, tagged = edit(prompt="make it red!!!"), edit(prompt="red <extra>1</")
    assert candidates(plan(plain, wish, policy, shop, NOW)) == [reader.name]
    made = plan(tagged, wish, policy, shop, NOW)
    assert [(one.reason, one.field) for one in made.exclusions] == [(Reason.INCAPABLE, "prompt")]
