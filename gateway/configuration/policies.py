"""A policy's section with its rules, checked so that no plan made later meets what could never be meant."""

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from msgspec.structs import replace

from adapters.contract import Offer, Tier
from gateway.configuration.place import SettingsError, converted, listed
from gateway.sections import PolicySection, RuleSection
from policies.conditions import When
from policies.orders import require_orders
from policies.policy import Policy, Rule, Shares

BALANCED = ("expected_cost",)
"""What `order = "balanced"` stands for: the price, and what a failure is expected to add to it."""


def policy(name: str, section: dict[str, Any], known: Mapping[str, Offer]) -> Policy:
    place = f"policies.{name}"
    given = converted(place, section, PolicySection)
    _check_offers(f"{place}.offers", given.offers, known)
    found = Policy(
        name=name,
        tier=given.tier,
        offers=given.offers,
        order=_order(f"{place}.order", given.order),
        rules=tuple(_rule(f"{place}.rules[{index}]", rule, known) for index, rule in enumerate(given.rules)),
        degrade_to=given.degrade_to,
        shares=_shares(f"{place}.shares", given.shares),
        sticky=given.sticky,
        overflow_after_s=given.overflow_after_s,
    )
    _check_shares(place, found)
    _check_degradation(place, found)
    return found


def _rule(place: str, given: RuleSection, known: Mapping[str, Offer]) -> Rule:
    if given.when == When():
        words = 'expected utc = "20:00-06:00", budget_left_below = 0.2, or both'
        raise SettingsError(f"{place}.when: {words}; what always holds belongs to the policy itself")
    if given == RuleSection(when=given.when):
        raise SettingsError(f"{place}: changes nothing; give offers, order, tier, degrade_to or shares")
    if given.offers is not None:
        _check_offers(f"{place}.offers", given.offers, known)
    return Rule(
        when=given.when,
        offers=given.offers,
        order=None if given.order is None else _order(f"{place}.order", given.order),
        tier=given.tier,
        degrade_to=given.degrade_to,
        shares=None if given.shares is None else _shares(f"{place}.shares", given.shares),
    )


def _check_offers(place: str, names: Iterable[str], known: Mapping[str, Offer]) -> None:
    for index, offer in enumerate(names):
        if offer not in known:
            names = listed(known) if known else "none (no provider is configured)"
            raise SettingsError(f"{place}[{index}]: no offer is named {offer!r}; known are {names}")


def _order(place: str, given: str | tuple[str, ...]) -> tuple[str, ...]:
    order = BALANCED if isinstance(given, str) else given
    try:
        require_orders(order)
    except ValueError as error:
        raise SettingsError(f"{place}: {error}") from None
    return order


def _shares(place: str, shares: Shares) -> Shares:
    for offer, share in shares.items():
        if not isfinite(share) or share < 0:
            raise SettingsError(f'{place}."{offer}": {share:g} is no share; expected a number of 0 or more')
    return shares


# --- what must fit together -----------------------------------------------------------------------------------------


def _standings(place: str, found: Policy) -> Iterator[tuple[str, Policy]]:
    """The policy as it stands without its rules, and under each of them, with the place that makes it so."""
    plain = replace(found, rules=())
    yield place, plain
    for index, rule in enumerate(found.rules):
        fields = ("offers", "order", "tier", "degrade_to", "shares")
        changed = {field: getattr(rule, field) for field in fields if getattr(rule, field) is not None}
        yield f"{place}.rules[{index}]", replace(plain, **changed)


def _check_shares(place: str, found: Policy) -> None:
    """Shares stand where `weighted` reads them, for offers that are there, and are not all nothing."""
    standings = list(_standings(place, found))
    if not any("weighted" in standing.order for _, standing in standings):
        for field, given in (("shares", found.shares), ("sticky", found.sticky)):
            if given:
                raise SettingsError(f'{place}.{field}: only "weighted" reads it; write order = ["weighted"]')
    _check_names(place, found)
    for where, standing in standings:
        if "weighted" in standing.order and not any(standing.shares.get(offer) for offer in standing.offers):
            example = f'shares = {{ "{standing.offers[0] if standing.offers else "provider/model"}" = 1 }}'
            raise SettingsError(f'{where}.shares: "weighted" needs a share above 0 for one of its offers; {example}')


def _check_names(place: str, found: Policy) -> None:
    """A share may be for an offer that only a rule brings in."""
    offers = {*found.offers, *(offer for rule in found.rules for offer in rule.offers or ())}
    given = [(place, found.shares), *((f"{place}.rules[{n}]", rule.shares or {}) for n, rule in enumerate(found.rules))]
    for where, shares in given:
        for offer in shares.keys() - offers:
            words = f"is not among the policy's offers, {listed(offers)}"
            raise SettingsError(f'{where}.shares."{offer}": {words}; add it there, or leave its share out')


def _check_degradation(place: str, found: Policy) -> None:
    """Each that is given is below its own floor. What a rule inherits may be no step down any more, and then does
    nothing."""
    _check_below(place, found.degrade_to, found.tier)
    for index, rule in enumerate(found.rules):
        _check_below(f"{place}.rules[{index}]", rule.degrade_to, rule.tier or found.tier)


def _check_below(place: str, lowest: Tier | None, floor: Tier) -> None:
    if lowest is None or lowest.rank < floor.rank:
        return
    below = ", ".join(tier.value for tier in Tier if tier.rank < floor.rank)
    expected = f"expected one of {below}" if below else "nothing is; leave it out"
    raise SettingsError(f"{place}.degrade_to: {lowest.value} is not below tier {floor.value}; {expected}")
