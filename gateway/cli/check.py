"""`kontext check`: is a configuration valid, and what would it do with an edit, and why?"""

import json
from collections.abc import Mapping
from typing import Any

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.config import config_option, load_settings
from gateway.cli.wishes import fields_of
from gateway.money import usd
from gateway.settings import Settings
from policies.explain import why_excluded, why_ranked
from policies.facts import Facts
from policies.plans import Plan
from policies.policy import Policy, rule_of


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--explain", is_flag=True, help="Say why each offer stands where it stands, in sentences.")
@click.option("--prompt", default="Make the mug blue", help="The sample request's.")
@click.option("--picture", default="1024x1024", show_default=True, help="How large its picture is.")
@click.option("--size", help="The size that it asks for.")
@click.option("--tier", help="Its floor: preview, draft, standard or premium; else the team's or the policy's.")
@click.option("--policy", help="This policy alone.")
@click.option("--model", "models", multiple=True, help="The offers that it names.")
@click.option("--max-cost", help="The most that all its pictures may cost, in dollars.")
@click.option("--deadline", type=float, help="Its seconds.")
@click.option("-n", type=int, help="How many pictures it asks for.")
@click.option("--set", "extra", multiple=True, metavar="FIELD=VALUE", help="Any other field of it.")
@click.option("--team", help="The team that sends it: what it may use, and its floor.")
@click.option("--at", metavar="HH:MM", help="When it is sent, in UTC, for rules that go by the hour.")
@click.option("--budget-left", type=click.FloatRange(0, 1), help="The share of the budget left, for rules that ask.")
def check(
    config: str | None, as_json: bool, explain: bool, picture: str, models: tuple[str, ...], extra: tuple[str, ...],
    team: str | None, at: str | None, budget_left: float | None, **given: object,
) -> None:  # fmt: skip
    """Validate the configuration and say what each policy would do with a sample request, without a gateway."""
    # Late, so that the help is quick: these are the gateway's own request and planning.
    from gateway.cli.sample import Moment, plans, sample

    settings = load_settings(config)
    asked = sample(fields_of(models, extra, given), picture)
    facts, found = plans(settings, asked, Moment(team=team, at=at, budget_left=budget_left))
    if as_json:
        click.echo(json.dumps(_document(settings, facts, found)))
        return
    console = Console()
    console.print(f"[green]valid[/], revision {settings.revision}")
    if explain:
        _explain(console, settings, facts, found)
        return
    console.print(_providers(settings))
    for name, one in found.items():
        console.print(_policy(name, one))
    console.print(_teams(settings))


def _document(settings: Settings, facts: Facts, plans: Mapping[str, Plan]) -> dict[str, object]:
    return {
        "valid": True,
        "revision": settings.revision,
        "offers": sorted(settings.offers),
        "policies": {name: _planned(settings.policies[name], facts, found) for name, found in plans.items()},
        "teams": {name: team.policy for name, team in settings.teams.items()},
    }


def _planned(policy: Policy, facts: Facts, found: Plan) -> dict[str, Any]:
    return {
        "tier": found.tier.value,
        "order": found.order,
        "rule": rule_of(policy, facts),
        "candidates": [
            {"offer": one.offer, "price_usd": usd(one.price_micro), "degraded": one.degraded,
             "why": why_ranked(found, one.offer)}
            for one in found.candidates
        ],
        "exclusions": [
            {"offer": one.offer, "reason": one.reason.value, "field": one.field, "why": why_excluded(one)}
            for one in found.exclusions
        ],
    }  # fmt: skip


# --- in sentences ---------------------------------------------------------------------------------------------------


def _explain(console: Console, settings: Settings, facts: Facts, plans: Mapping[str, Plan]) -> None:
    for name, found in plans.items():
        order = ", ".join(found.order) or "as written"
        console.print(f"\n[bold]policy {escape(name)}[/]: tier {found.tier} and above, order: {order}")
        if said := _rules(settings.policies[name], facts):
            console.print(f"  {said}")
        for rank, one in enumerate(found.candidates, 1):
            console.print(f"  {rank}  ${usd(one.price_micro)}  {escape(why_ranked(found, one.offer))}", soft_wrap=True)
        for one in found.exclusions:
            console.print(f"  –  {escape(why_excluded(one))}", style="dim", soft_wrap=True)
        if not found.candidates:
            console.print("  [bold red]nothing fits[/]: the request would be refused, and cost nothing")


def _rules(policy: Policy, facts: Facts) -> str:
    """Which of its rules holds, where it has any."""
    if not policy.rules:
        return ""
    number = rule_of(policy, facts)
    if number is None:
        return escape(f"none of its {len(policy.rules)} rules holds; --at and --budget-left try them")
    return escape(f"rules[{number}] holds")


# --- as tables ------------------------------------------------------------------------------------------------------


def _providers(settings: Settings) -> Table:
    table = Table(title="providers", title_justify="left", box=None, padding=(0, 2))
    for column in ("name", "speaks", "at", "key", "offers"):
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "speaks", "key"))
    for name, provider in settings.providers.items():
        speaks = type(provider.adapter).__name__
        models = ", ".join(offer.model for offer in provider.offers)
        table.add_row(name, speaks, provider.base_url, "given" if provider.key else "none", models)
    return table


def _policy(name: str, found: Plan) -> Table:
    title = f"policy {name}: tier {found.tier} and above, in this order"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2))
    for column in ("rank", "offer", "price", "usual", "why not"):
        table.add_column(column, overflow="fold", no_wrap=column != "why not")
    for rank, one in enumerate(found.candidates, 1):
        table.add_row(str(rank), one.offer, f"${usd(one.price_micro)}", f"{one.expected_s:g} s", "")
    for one in found.exclusions:
        table.add_row("–", one.offer, "", "", f"{one.reason}: {one.detail}", style="dim")
    return table


def _teams(settings: Settings) -> Table:
    table = Table(title="teams", title_justify="left", box=None, padding=(0, 2))
    for column in ("team", "policy", "keys"):
        table.add_column(column)
    for name, team in settings.teams.items():
        keys = [key.id for key in settings.keys.values() if key.team == name]
        table.add_row(name, team.policy, ", ".join(keys) or "none: `kontext key new " + name + "`")
    return table
