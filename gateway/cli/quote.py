"""`kontext quote IMAGE PROMPT`: what an edit would do, for how much and why, without doing it."""

import asyncio
import json
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.exits import Exit
from gateway.cli.reaching import fail, gateway_at
from gateway.cli.wishes import FILE, fields_of, wish_options
from gateway.client import KontextError, Quote


@click.command()
@click.argument("image", type=FILE)
@click.argument("prompt")
@wish_options
@click.option("--json", "as_json", is_flag=True, help="Print the quote's JSON.")
def quote(
    image: Path, prompt: str, mask: Path | None, as_json: bool, url: str | None,
    models: tuple[str, ...], extra: tuple[str, ...], **given: object,
) -> None:  # fmt: skip
    """Say what an edit would do, and why. Nothing is bought. The gateway's key is KONTEXT_API_KEY."""
    console = Console(stderr=as_json)
    try:
        quoted = asyncio.run(_quote(prompt, image, mask, fields_of(models, extra, given), url))
    except KontextError as error:
        fail(console, error, as_json)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(quoted)))
    else:
        tell(Console(), quoted)
    if not quoted.candidates:
        raise SystemExit(Exit.NO_OFFER)


async def _quote(prompt: str, image: Path, mask: Path | None, fields: dict[str, str], url: str | None) -> Quote:
    async with gateway_at(url) as client:
        return await client.quote(prompt, image, mask=mask, extra=fields)


def tell(console: Console, quoted: Quote) -> None:
    """The plan as a table, then what it would cost at most and whether the budgets have that."""
    console.print(_plan(quoted))
    for one in quoted.candidates[:1]:
        for adjustment in one.adjustments:
            sent = adjustment.sent or "nothing"
            words = f"{adjustment.field}: asked {adjustment.asked}, would send {sent} ({adjustment.why})"
            console.print(f"  adjusted {escape(words)}")
    console.print(_verdict(quoted))


def _plan(quoted: Quote) -> Table:
    title = f"policy {quoted.policy}, tier {quoted.asked_tier} and above"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2))
    for column in ("rank", "offer", "price", "usual", "95 %", "why"):
        table.add_column(column, overflow="fold", no_wrap=column != "why")
    for one in quoted.candidates:
        times = (f"{one.expected_s:.1f} s", f"{one.within_s:.1f} s")
        table.add_row(str(one.rank), one.offer, f"${one.price_usd}", *times, escape(one.why))
    for one in quoted.exclusions:
        table.add_row("–", one.offer, "", "", "", escape(one.why), style="dim")
    return table


def _verdict(quoted: Quote) -> str:
    if not quoted.candidates:
        return "[bold red]nothing fits[/]: an edit sent now would be refused, and cost nothing"
    worst = f"at most ${quoted.worst_case_usd}"
    for one in quoted.budgets:
        if not one.enough:
            left = f"${one.left_usd} of ${one.cap_usd}"
            return f"{worst}; [bold red]the {one.scope} budget ({one.window}) has {left} left[/]"
    return f"{worst}; [bold green]{quoted.candidates[0].offer}[/] would be tried first"
