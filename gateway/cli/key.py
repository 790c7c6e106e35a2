"""`kontext key new TEAM`: an API key, shown once, and the line that the configuration keeps of it."""

import json
import secrets

import rich_click as click

from gateway.configuration.teams import TEAM_NAME
from gateway.identity import api_key
from gateway.secret import key_hash


@click.group()
def key() -> None:
    """API keys."""


@key.command()
@click.argument("team")
@click.option("--json", "as_json", is_flag=True, help='Print {"key", "hash"}.')
def new(team: str, as_json: bool) -> None:
    """Make a key for TEAM. The gateway never stores it: put the hash into the configuration."""
    if not TEAM_NAME.fullmatch(team):
        raise click.BadParameter(f"{team!r} is no team's name: 1 to 64 of a-z, 0-9, _ and -", param_hint="TEAM")
    made = api_key(secrets.token_bytes(32))
    if as_json:
        click.echo(json.dumps({"key": made, "hash": key_hash(made)}))
        return
    click.echo(f"key (shown once, give it to the team): {made}")
    click.echo(f'line for [teams.{team}] keys:           "{key_hash(made)}"')
