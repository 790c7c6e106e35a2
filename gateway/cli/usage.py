"""`kontext usage`: who spent what, as a table with a sparkline of the days."""

import asyncio
import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import rich_click as click
from msgspec.structs import replace
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.config import ConfigurationRefused, load_settings
from gateway.cli.reaching import HERE, RETRY, fail, named
from gateway.client import AsyncKontext, KontextError, UnreachableError
from gateway.ledger.usage import Query, parse_by
from gateway.money import MICRO, usd

BARS = "▁▂▃▄▅▆▇█"
MOST_DAYS = 92
_DAY = click.DateTime(["%Y-%m-%d"])
_SUMS = ("spent_usd", "wasted_usd", "unresolved_usd", "held_usd")
Record = dict[str, Any]


@click.command()
@click.option("--by", default="team,model", show_default=True, help="team, key, model, tier, day, tag:NAME; by commas.")
@click.option("--since", type=_DAY, metavar="YYYY-MM-DD", help="The first UTC day.")
@click.option("--until", type=_DAY, metavar="YYYY-MM-DD", help="The last UTC day.")
@click.option("--team", help="One team alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--url", help="The gateway; else KONTEXT_URL, else one at 127.0.0.1:8080.")
@click.option("--config", metavar="FILE", help="Read the ledger of this configuration, without a gateway.")
def usage(
    by: str, since: datetime | None, until: datetime | None, team: str | None, as_json: bool, url: str | None,
    config: str | None,
) -> None:  # fmt: skip
    """What was spent. The gateway's key is KONTEXT_API_KEY."""
    try:
        groups = parse_by(by)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--by") from None
    query = Query(by=groups, since=since and since.date(), until=until and until.date(), team=team)
    try:
        records, days = asyncio.run(_from_ledger(query, config) if config else _from_gateway(query, url))
    except KontextError as error:
        if isinstance(error, UnreachableError) and not config:
            click.echo("a ledger is read without a gateway by --config", err=True)
        fail(Console(stderr=True), error, as_json)
    if as_json:
        click.echo(json.dumps(records))
        return
    console = Console()
    console.print(table(query.by, records))
    if days:
        console.print(sparkline([(date.fromisoformat(day["day"]), micro(day["spent_usd"])) for day in days]))


# --- from where -----------------------------------------------------------------------------------------------------


async def _from_gateway(query: Query, url: str | None) -> tuple[list[Record], list[Record]]:
    address, key = named(url)
    async with AsyncKontext(address or HERE, key, retry=RETRY) as client:
        return await _ask(client, query), await _ask(client, replace(query, by=("day",)))


async def _ask(client: AsyncKontext, query: Query) -> list[Record]:
    lines = await client.usage(by=query.by, since=query.since, until=query.until, team=query.team)
    documents: list[Record] = [msgspec.to_builtins(line) for line in lines]
    return [{**document.pop("group"), **document} for document in documents]


async def _from_ledger(query: Query, config: str) -> tuple[list[Record], list[Record]]:
    from gateway.api.usage import record
    from gateway.ledger.book import Book
    from gateway.ledger.connection import LedgerRefused, LedgerUnavailable
    from gateway.ledger.usage import usage as read_usage

    settings = load_settings(config)
    by_day = replace(query, by=("day",))
    try:
        book = await Book.open(settings.ledger_url)
        try:
            lines, days = await read_usage(book, query), await read_usage(book, by_day)
        finally:
            await book.aclose()
    except LedgerRefused as refused:
        raise ConfigurationRefused(str(refused)) from None
    except LedgerUnavailable as error:
        raise UnreachableError(str(error)) from None
    return [record(query.by, line) for line in lines], [record(by_day.by, line) for line in days]


# --- how it looks ---------------------------------------------------------------------------------------------------


def table(by: Sequence[str], records: Sequence[Record]) -> Table:
    drawn = Table(box=None, padding=(0, 1), collapse_padding=True, show_footer=bool(records))
    for place, name in enumerate(by):
        drawn.add_column(escape(name), overflow="fold", footer="" if place else "total")
    for name in ("edits", "pictures"):
        drawn.add_column(name, justify="right", no_wrap=True, footer=str(sum(record[name] for record in records)))
    for name in _SUMS:
        total = sum(micro(record[name]) for record in records)
        header = name.removesuffix("_usd")
        drawn.add_column(header, justify="right", no_wrap=True, footer=f"${usd(total)}")
    for record in records:
        groups = (escape(str(record[name])) if record[name] is not None else "–" for name in by)
        sums = (f"${record[name]}" for name in _SUMS)
        drawn.add_row(*groups, str(record["edits"]), str(record["pictures"]), *sums)
    return drawn


def sparkline(days: Sequence[tuple[date, int]]) -> str:
    """The spend of each day from the first to the last, in micro-dollars; a day without any is drawn, too."""
    spent = dict(days)
    last = max(spent)
    first = max(min(spent), last - timedelta(days=MOST_DAYS - 1))
    shown = [max(0, spent.get(first + timedelta(days=day), 0)) for day in range((last - first).days + 1)]
    most = max(shown)
    bars = "".join(BARS[micro_usd * (len(BARS) - 1) // most if most else 0] for micro_usd in shown)
    return f"spent by day  {first} {bars} {last}  at most ${usd(most)}"


def micro(text: str) -> int:
    """`"-0.040000"` as -40000 micro-dollars: sums, unlike prices, may be nothing or less."""
    return int(Decimal(text) * MICRO)
