"""`kontext check`: is a configuration valid, and what would it do?"""

import json

import rich_click as click
from rich.console import Console
from rich.table import Table

from adapters.contract import Edit, ImageFormat, Picture
from gateway.cli.config import config_option, load_settings
from gateway.clock import SystemClock, day_of
from gateway.money import usd
from gateway.settings import Settings
from policies.facts import Facts
from policies.plans import Plan, plan
from policies.wishes import Wishes

# What the plans are made for: one picture of Kontext's own square, and an instruction without further dials.
SAMPLE = Edit(prompt="Make the mug blue", images=(Picture("0" * 64, ImageFormat.JPEG, 1024, 1024, 100_000),))


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(config: str | None, as_json: bool) -> None:
    """Validate the configuration and say what each policy would do with a plain edit."""
    settings = load_settings(config)
    plans = {name: _plan(settings, name) for name in settings.policies}
    if as_json:
        click.echo(json.dumps(_document(settings, plans)))
        return
    console = Console()
    console.print(f"[green]valid[/], revision {settings.revision}")
    console.print(_providers(settings))
    for name, found in plans.items():
        console.print(_policy(name, found))
    console.print(_teams(settings))


def _plan(settings: Settings, name: str) -> Plan:
    policy = settings.policies[name]
    facts = Facts(day=day_of(SystemClock().now_ms()))
    return plan(SAMPLE, Wishes(tier=policy.tier), policy, settings.offers, facts)


def _document(settings: Settings, plans: dict[str, Plan]) -> dict[str, object]:
    return {
        "valid": True,
        "revision": settings.revision,
        "offers": sorted(settings.offers),
        "policies": {
            name: {
                "tier": found.tier.value,
                "candidates": [{"offer": one.offer, "price_usd": usd(one.price_micro)} for one in found.candidates],
                "exclusions": [{"offer": one.offer, "reason": one.reason.value} for one in found.exclusions],
            }
            for name, found in plans.items()
        },
        "teams": {name: team.policy for name, team in settings.teams.items()},
    }


def _providers(settings: Settings) -> Table:
    table = Table(title="providers", title_justify="left", box=None, padding=(0, 2))
    for column in ("name", "speaks", "at", "key", "offers"):
        table.add_column(column, overflow="fold")
    for name, provider in settings.providers.items():
        speaks = type(provider.adapter).__name__
        models = ", ".join(offer.model for offer in provider.offers)
        table.add_row(name, speaks, provider.base_url, "given" if provider.key else "none", models)
    return table


def _policy(name: str, found: Plan) -> Table:
    title = f"policy {name}: tier {found.tier} and above, in this order"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2))
    for column in ("rank", "offer", "price", "usual", "why not"):
        table.add_column(column, overflow="fold")
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
