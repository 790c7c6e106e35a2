"""Where a command finds its gateway, and how it says that it got nothing from there."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NoReturn

import httpx
import rich_click as click
from rich.console import Console

from gateway.cli.exits import exit_of
from gateway.cli.story import tell
from gateway.client import AsyncKontext, KontextError, ProblemError, Retry, UnreachableError
from gateway.configuration import environment

HERE = "http://127.0.0.1:8080"
KEY_HINT = "set KONTEXT_API_KEY to the team's key; without a configuration, `kontext serve` prints one"
RETRY = Retry(times=4, base_s=0.25, patience_s=15.0)
"""Somebody waits: a gateway that restarts is waited for, one that is not there soon told."""


def named(url: str | None) -> tuple[str | None, str]:
    """The address that was named, if any was, and the key."""
    env = environment()
    address, key = url or env.get("KONTEXT_URL"), env.get("KONTEXT_API_KEY") or env.get("KONTEXT_DEV_KEY", "")
    if address and not address.startswith(("http://", "https://")):
        raise click.UsageError(f"the gateway's address {address!r} must begin with http:// or https://, as {HERE} does")
    if not key.isascii():
        raise click.UsageError("KONTEXT_API_KEY is no key: expected kx_ and plain letters, as `kontext key new` prints")
    return address, key


@asynccontextmanager
async def gateway_at(url: str | None) -> AsyncGenerator[AsyncKontext]:
    """The gateway that was named, else the one of this machine, else one for this call."""
    address, key = named(url)
    if address or await _is_there(HERE):
        async with AsyncKontext(address or HERE, key, retry=RETRY) as client:
            yield client
        return
    from gateway.cli.throwaway import throwaway
    from gateway.observe import silence_logging

    silence_logging()
    async with throwaway(environment()) as (own, own_key), AsyncKontext(own, own_key) as client:
        yield client


async def _is_there(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=3.0) as http:
            return (await http.get(f"{url}/healthz")).status_code == 200
    except httpx.HTTPError:
        return False


def fail(console: Console, error: KontextError, as_json: bool) -> NoReturn:
    problem = error.problem if isinstance(error, ProblemError) else None
    if as_json:
        click.echo(error.body if isinstance(error, ProblemError) else json.dumps({"detail": str(error)}))
        raise SystemExit(exit_of(error))
    if problem and problem.edit:
        tell(console, problem.edit)
    console.print(f"[bold red]{error}[/]")
    if problem and problem.kind == "unauthorized":
        console.print(f"  {KEY_HINT}")
    if isinstance(error, UnreachableError):
        console.print("  name a gateway by --url or KONTEXT_URL, its key by KONTEXT_API_KEY")
    for word, said in (("field", problem and problem.field), ("expected", problem and problem.expected)):
        if said:
            console.print(f"  {word}: {said}")
    raise SystemExit(exit_of(error))
