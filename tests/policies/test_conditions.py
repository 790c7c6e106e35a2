import pytest
from offers_on_sale import DAY

from adapters.contract import Tier
from policies.conditions import When, holds
from policies.facts import Facts
from policies.policy import Policy, Rule, resolve


def at(time: str | None = None, budget_left: float | None = None) -> Facts:
    minute = None if time is None else int(time[:2]) * 60 + int(time[3:])
    return Facts(day=DAY, minute=minute, budget_left=budget_left)


NIGHT = When(utc="20:00-06:00")
DAYTIME = When(utc="08:30-17:00")
SHORT = When(budget_left_below=0.2)
BOTH = When(utc="20:00-06:00", budget_left_below=0.2)

HOLDS = [
    (NIGHT, at("19:59"), False),
    (NIGHT, at("20:00"), True),
    (NIGHT, at("23:59"), True),
    (NIGHT, at("00:00"), True),
    (NIGHT, at("05:59"), True),
    (NIGHT, at("06:00"), False),
    (DAYTIME, at("08:29"), False),
    (DAYTIME, at("08:30"), True),
    (DAYTIME, at("16:59"), True),
    (DAYTIME, at("17:00"), False),
    (NIGHT, at(), False),  # the hour is not known
    (SHORT, at(budget_left=0.2), False),
    (SHORT, at(budget_left=0.19), True),
    (SHORT, at(), False),  # nobody limits the budget
    (BOTH, at("21:00", 0.5), False),
    (BOTH, at("12:00", 0.1), False),
    (BOTH, at("21:00", 0.1), True),
    (When(), at(), True),
]


@pytest.mark.parametrize(("when", "facts", "expected"), HOLDS)
def test_when_a_condition_holds(when, facts, expected):
    assert holds(when, facts) is expected


@pytest.mark.parametrize("span", ["8-17", "20:00", "24:00-06:00", "20:60-06:00", "06:00-06:00", "20:00-06:00 UTC"])
def test_a_span_that_cannot_be_meant_is_refused_with_what_can(span):
    with pytest.raises(ValueError, match="utc = "):
        When(utc=span)


@pytest.mark.parametrize("share", [0, -1, 1.01, 20])
def test_a_budget_is_a_share(share):
    with pytest.raises(ValueError, match="share"):
        When(budget_left_below=share)


POLICY = Policy(
    name="p",
    tier=Tier.STANDARD,
    offers=("a/pro", "b/pro"),
    order=("fastest",),
    rules=(Rule(when=SHORT, order=("cheapest",), tier=Tier.DRAFT), Rule(when=NIGHT, offers=("b/pro",))),
)


def test_the_first_rule_that_holds_counts_and_says_only_what_it_changes():
    short = resolve(POLICY, at("21:00", 0.1))
    assert (short.order, short.tier, short.offers) == (("cheapest",), Tier.DRAFT, POLICY.offers)
    night = resolve(POLICY, at("21:00", 0.9))
    assert (night.order, night.tier, night.offers) == (("fastest",), Tier.STANDARD, ("b/pro",))
    usual = resolve(POLICY, at("12:00", 0.9))
    assert (usual.order, usual.tier, usual.offers) == (POLICY.order, POLICY.tier, POLICY.offers)


def test_a_resolved_policy_stays_as_it_is():
    short = resolve(POLICY, at("21:00", 0.1))
    assert resolve(short, at("12:00", 0.9)) == short


def test_a_rule_refuses_an_unknown_order():
    with pytest.raises(ValueError, match="'best'"):
        Rule(when=NIGHT, order=("best",))


def test_a_share_below_nothing_is_refused():
    with pytest.raises(ValueError, match="a/pro has -1"):
        Policy(name="p", tier=Tier.DRAFT, offers=(), shares={"a/pro": -1})
