"""A contest of the laboratory: which policies in which worlds, played with a progress bar."""

import time
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

import rich_click as click
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress

from adapters.contract import Offer
from gateway.cli.config import ConfigurationRefused
from gateway.cli.exits import Exit
from gateway.clock import SystemClock, day_of
from gateway.configuration import environment
from gateway.lab.books import past_at
from gateway.lab.promises import Promise, promises
from gateway.lab.run import BALANCED, BASELINES, OFFERS, compared, run
from gateway.lab.scenarios import MARKET, SCENARIOS, Scenario, second_at
from gateway.lab.tables import Table
from gateway.lab.trace import Past, UnreadableLedger, replayed
from gateway.ledger.connection import LedgerRefused, LedgerUnavailable
from gateway.money import MICRO
from gateway.secret import read_secret
from gateway.settings import Settings
from policies.policy import Policy

Played = Callable[[str, str], None]


class Contest(Struct, frozen=True, kw_only=True):
    """`seconds`: how long it took to play."""

    seed: int
    seconds: float
    tables: tuple[Table, ...]
    promises: tuple[Promise, ...] = ()

    @property
    def edits(self) -> int:
        return sum(table.edits for table in self.tables)

    @property
    def broken(self) -> bool:
        return any(not one.kept and not one.elsewhere for one in self.promises)


def in_scenarios(
    settings: Settings | None, names: Sequence[str], asked: Sequence[str], second_usd: Decimal | None, seed: int,
    edits: int,
) -> Contest:  # fmt: skip
    """The shipped policy, and with settings their own."""
    worlds = _worlds(asked, second_usd)
    own = _own(settings, names, OFFERS, "the simulated market sells") if settings else []
    policies = [BALANCED, *own]
    tables, seconds = _timed(len(worlds), policies, lambda played: run(worlds, seed, edits, policies, played))
    kept = tuple(one for table in tables for one in promises(table, BALANCED.name))
    return Contest(seed=seed, seconds=seconds, tables=tables, promises=kept)


def in_the_past(settings: Settings, names: Sequence[str], ledger: str, seed: int, deadline_s: float) -> Contest:
    try:
        past = past_at(_where(ledger))
        policies = _own(settings, names, tuple(past.attempts), "the past holds attempts at")
        fresh = partial(replayed, past, _sold(settings, policies, past), seed, deadline_s, _today())
    except (UnreadableLedger, LedgerRefused) as refused:
        raise ConfigurationRefused(f"--ledger: {refused}") from None
    except LedgerUnavailable as error:
        click.echo(str(error), err=True)
        raise SystemExit(Exit.UNREACHABLE) from None
    tables, seconds = _timed(1, policies, lambda played: (compared(fresh, policies, played),))
    return Contest(seed=seed, seconds=seconds, tables=tables)


def _worlds(asked: Sequence[str], second_usd: Decimal | None) -> list[Scenario]:
    known = [one.name for one in SCENARIOS]
    for name in asked:
        if name not in known:
            words = f"no scenario is named {name!r}; known are {', '.join(known)}"
            raise click.BadParameter(words, param_hint="--scenario")
    chosen = [one for one in SCENARIOS if not asked or one.name in asked]
    if second_usd is None:
        return chosen
    return [*chosen, *(second_at(one, int(second_usd * MICRO)) for one in chosen if one.offers == MARKET)]


def _own(settings: Settings, names: Sequence[str], sold: Sequence[str], who: str) -> list[Policy]:
    """The named policies, else every one that can buy something there."""
    for name in names:
        if name not in settings.policies:
            known = ", ".join(sorted(settings.policies)) or "none"
            raise ConfigurationRefused(f"--policy: no policy is named {name!r}; known are {known}")
    chosen = [policy for name, policy in settings.policies.items() if not names or name in names]
    fitting = [policy for policy in chosen if set(policy.offers) & set(sold)]
    missed = [policy.name for policy in chosen if policy not in fitting]
    if not fitting or (names and missed):
        whose = f"policy {', '.join(missed)}" if missed else "the configuration"
        raise ConfigurationRefused(f"--policy: {whose} names no offer that {who}: {', '.join(sold) or 'none'}")
    return fitting


def _sold(settings: Settings, policies: Sequence[Policy], past: Past) -> dict[str, Offer]:
    """What the past can tell about, in the order in which policies name it: a chain follows that."""
    named = dict.fromkeys(offer for policy in policies for offer in policy.offers)
    return {name: settings.offers[name] for name in named if name in past.attempts}


def _where(ledger: str) -> str:
    """An address may hold a password, and so may stand in the environment."""
    if not ledger.startswith("env:"):
        return ledger
    try:
        return read_secret(ledger, environment(), Path()).reveal()
    except ValueError as error:
        raise ConfigurationRefused(f"--ledger: {error}") from None


def _today() -> date:
    return day_of(SystemClock().now_ms())


def _timed(
    worlds: int, policies: Sequence[Policy], play: Callable[[Played], tuple[Table, ...]]
) -> tuple[tuple[Table, ...], float]:
    began_s = time.perf_counter()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("playing", total=worlds * (len(policies) + len(BASELINES)))
        tables = play(lambda _scenario, _strategy: progress.advance(task))
    return tables, time.perf_counter() - began_s
