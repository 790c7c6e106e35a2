import pytest
from hypothesis import given
from offers_on_sale import DAY, DEV, FLOW_MAX, FLOW_PRO, MAX, PREVIEW, PRO, SHOP, edit, edits, facts, policies, wishes

from adapters.contract import AutoSize, ModelSize, Pixels, Tier
from policies.candidates import Candidate
from policies.facts import Facts, OfferFacts
from policies.orders import ORDERS, in_order
from policies.plans import Plan, Policy, plan, unknown_offers, worst_case_micro
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


def test_the_last_offer_is_kept_though_it_is_sick():
    sick = OfferFacts(healthy=False)
    made = planned(now=about(pro=sick, max=sick, flow_pro=sick, flow_max=sick))
    assert candidates(made) == [PRO.name]  # what the order puts first
    assert set(reasons(made).values()) == {Reason.UNHEALTHY}
    assert candidates(planned(now=about(pro=sick, max=sick, flow_pro=sick))) == [FLOW_MAX.name]


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
