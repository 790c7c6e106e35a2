"""A named way to choose: a floor, a list of offers, an order; and rules that say otherwise at some hours or budgets."""

from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import Tier
from policies.conditions import When, holds
from policies.facts import Facts
from policies.orders import require_orders

Shares = dict[str, float]
"""Offer name to its weight under `weighted`; only their proportions count, and an offer that is not named gets none."""


class Rule(Struct, frozen=True, kw_only=True):
    """While `when` holds, what is given here replaces the policy's own. What is None stays as it is."""

    when: When
    offers: tuple[str, ...] | None = None
    order: tuple[str, ...] | None = None
    tier: Tier | None = None
    degrade_to: Tier | None = None
    shares: Shares | None = None

    def __post_init__(self) -> None:
        require_orders(self.order or ())


class Policy(Struct, frozen=True, kw_only=True):
    """`tier` is the floor where a request names none; `order` are names of `orders.ORDERS`. `degrade_to`: the lowest
    tier that an edit gets, marked, when nothing at its floor is left. `shares` are for `weighted`, `sticky` the
    metadata key whose values stay at one offer. `overflow_after_s`: so long an edit waits for a machine of one's own;
    None is its provider's. `rules`: the first whose condition holds counts.

    Raises `ValueError` for an unknown name in `order` and for a share below 0: a plan made later never meets one.
    """

    name: str
    tier: Tier
    offers: tuple[str, ...]
    order: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    degrade_to: Tier | None = None
    shares: Shares = {}
    sticky: str | None = None
    overflow_after_s: float | None = None

    def __post_init__(self) -> None:
        require_orders(self.order)
        for offer, share in self.shares.items():
            if share < 0:
                raise ValueError(f"shares: {offer} has {share:g}; expected 0 or more")


def rule_of(policy: Policy, facts: Facts) -> int | None:
    """The number (from 0) of the rule that counts now."""
    return next((number for number, rule in enumerate(policy.rules) if holds(rule.when, facts)), None)


def resolve(policy: Policy, facts: Facts) -> Policy:
    """The policy as it stands now, without rules. Who takes `Wishes.tier` from a policy resolves it first."""
    if not policy.rules:
        return policy
    number = rule_of(policy, facts)
    if number is None:
        return replace(policy, rules=())
    rule = policy.rules[number]
    return replace(
        policy,
        rules=(),
        offers=policy.offers if rule.offers is None else rule.offers,
        order=policy.order if rule.order is None else rule.order,
        tier=policy.tier if rule.tier is None else rule.tier,
        degrade_to=policy.degrade_to if rule.degrade_to is None else rule.degrade_to,
        shares=policy.shares if rule.shares is None else rule.shares,
    )
