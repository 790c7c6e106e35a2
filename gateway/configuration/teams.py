"""A team's section: its policy, what it may use, its budgets, and the hashes of its keys."""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from adapters.contract import Offer
from gateway.configuration.place import SettingsError, converted, listed
from gateway.money import micro_from_usd
from gateway.sections import BudgetSection, HedgeSection, KeySection, TeamSection
from gateway.settings import Budget, Key, Team
from policies.hedge import Terms
from policies.policy import Policy

TEAM_NAME = re.compile(r"[a-z0-9_-]{1,64}")


def team(
    name: str, section: dict[str, Any], policies: Mapping[str, Policy], known: Mapping[str, Offer]
) -> tuple[Team, tuple[Key, ...]]:
    place = f"teams.{name}"
    if not TEAM_NAME.fullmatch(name):
        raise SettingsError(f"{place}: a team's name is 1 to 64 of a-z, 0-9, _ and -")
    settings = converted(place, section, TeamSection)
    if settings.policy not in policies:
        raise SettingsError(f"{place}.policy: no policy is named {settings.policy!r}; known are {listed(policies)}")
    _check_offers(place, settings, policies[settings.policy], known)
    keys = tuple(_key(f"{place}.keys[{index}]", name, index, key) for index, key in enumerate(settings.keys))
    found = Team(
        name=name,
        policy=settings.policy,
        offers=settings.offers,
        tier=settings.tier,
        budget=budget(f"{place}.budget", settings.budget),
        accepts_risk=settings.on_unknown == "accept_risk",
        hedge=_hedge(f"{place}.hedge", settings.hedge),
        requires_key=settings.require_idempotency_key,
        share=settings.share,
    )
    return found, keys


def _check_offers(place: str, settings: TeamSection, policy: Policy, known: Mapping[str, Offer]) -> None:
    """Of what the team may use, its policy must name some, now and under each of its rules."""
    if settings.offers is None:
        return
    for index, offer in enumerate(settings.offers):
        if offer not in known:
            raise SettingsError(f"{place}.offers[{index}]: no offer is named {offer!r}; known are {listed(known)}")
    _check_some(place, settings.offers, f"policy {policy.name}", policy.offers)
    for index, rule in enumerate(policy.rules):
        if rule.offers is not None:
            _check_some(place, settings.offers, f"rules[{index}] of policy {policy.name}", rule.offers)


def _check_some(place: str, allowed: tuple[str, ...], whose: str, named: tuple[str, ...]) -> None:
    if not set(named) & set(allowed):
        words = f"the team may use nothing that {whose} names ({listed(named)})"
        raise SettingsError(f"{place}.offers: {words}; add some of it, or give the team another policy")


def _key(place: str, team: str, index: int, key: str | KeySection) -> Key:
    section = KeySection(hash=key) if isinstance(key, str) else key
    scheme, _, digest = section.hash.partition(":")
    if scheme != "sha256" or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise SettingsError(
            f"{place}: expected sha256: and 64 hex digits, as `kontext key new {team}` prints; never the key itself"
        )
    return Key(
        id=section.id or f"{team}-{index}",
        team=team,
        hash=section.hash,
        scopes=section.scopes,
        expires=section.expires,
        budget=budget(f"{place}.budget", section.budget),
        per_minute=section.per_minute,
        concurrency=section.concurrency,
    )


def _hedge(place: str, section: HedgeSection | None) -> Terms | None:
    if section is None:
        return None
    try:
        extra_micro = 0 if section.max_extra_usd is None else micro_from_usd(section.max_extra_usd)
    except ValueError as error:
        raise SettingsError(f"{place}.max_extra_usd: {error}") from None
    if section.after_s is not None and not isfinite(section.after_s):
        raise SettingsError(f"{place}.after_s: {section.after_s:g} is no time; expected seconds, or leave it out")
    return Terms(max_extra_micro=extra_micro, after_s=section.after_s)


def budget(place: str, section: BudgetSection) -> Budget:
    caps: list[int | None] = []
    for window in ("day_usd", "month_usd", "total_usd"):
        text = getattr(section, window)
        try:
            caps.append(None if text is None else micro_from_usd(text))
        except ValueError as error:
            raise SettingsError(f"{place}.{window}: {error}") from None
    return Budget(*caps)
