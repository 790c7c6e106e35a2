"""`kontext top`: offers, their health, edits in flight and spend, as it happens, of one replica or several."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

import httpx
import msgspec
import rich_click as click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.cli.exits import Exit
from gateway.cli.exposed import OfferView, Page, ReplicaView, View, parsed, view
from gateway.cli.reaching import HERE, named

WITHIN_S = 3.0
_COLOURS = {"closed": "green", "half_open": "yellow", "probing": "yellow"}


@click.command()
@click.option("--url", "urls", multiple=True, help="A replica; several times for several. Else KONTEXT_URL, else here.")
@click.option("--every", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look once, and count from the start of the processes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line a look.")
def top(urls: tuple[str, ...], every: float, once: bool, as_json: bool) -> None:
    """Watch the gateway from `/metrics`. Its key (scope `read`) is KONTEXT_API_KEY; a port of their own needs none."""
    found = [named(url) for url in urls or (None,)]
    asked, key = tuple(address(url or HERE) for url, _ in found), found[0][1]
    try:
        seen = asyncio.run(_watch(asked, key, None if once else every, as_json=as_json))
    except KeyboardInterrupt:
        return
    if not any(replica.is_up for replica in seen.replicas):
        click.echo(f"no gateway shows its metrics at {', '.join(asked)}; name one by --url, its key by KONTEXT_API_KEY",
                   err=True)  # fmt: skip
        raise SystemExit(Exit.UNREACHABLE)


def address(url: str) -> str:
    """Where a replica's page is."""
    return url if url.endswith("/metrics") else f"{url.rstrip('/')}/metrics"


async def _watch(urls: Sequence[str], key: str, every_s: float | None, *, as_json: bool) -> View:
    """One look, or one every `every_s` until it is broken off; the last one."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    before: Mapping[str, Page] = {}
    async with httpx.AsyncClient(headers=headers, timeout=WITHIN_S) as http:
        pages = await look(http, urls)
        seen = view(urls, pages, before)
        if every_s is None or not pages:
            _print(seen, as_json=as_json)
            return seen
        with Live(drawn(seen), auto_refresh=False, screen=not as_json, console=Console(quiet=as_json)) as screen:
            while True:
                if as_json:
                    click.echo(msgspec.json.encode(seen))
                screen.update(drawn(seen), refresh=True)
                await asyncio.sleep(every_s)
                before, pages = pages, await look(http, urls)
                seen = view(urls, pages, before)


async def look(http: httpx.AsyncClient, urls: Iterable[str]) -> dict[str, Page]:
    """The pages of those that answer."""
    pages = await asyncio.gather(*(_page(http, url) for url in urls))
    return {page.url: page for page in pages if page is not None}


async def _page(http: httpx.AsyncClient, url: str) -> Page | None:
    try:
        response = await http.get(url)
        return parsed(url, response.text, time.monotonic()) if response.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def _print(seen: View, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(seen))
    elif any(replica.is_up for replica in seen.replicas):
        Console().print(drawn(seen))


# --- how it looks ---------------------------------------------------------------------------------------------------


def drawn(seen: View) -> Group:
    return Group(_headline(seen), "", _offers(seen.offers), "", _replicas(seen.replicas))


def _headline(seen: View) -> Text:
    ended = "  ".join(f"{name} {count}" for name, count in seen.outcomes.items() if count) or "none yet"
    edits = f"{seen.in_flight} in flight, {seen.waiting} waiting{_pace(seen.edits_per_minute, '/min')}"
    spent = f"${seen.spent_usd:.6f} spent{_pace(seen.usd_per_hour, ' $/h')}"
    lines = (
        f"edits     {edits}   ended: {ended}",
        f"money     {spent}   ${seen.held_usd:.6f} held   ${seen.wasted_usd:.6f} wasted",
        f"unknown   {seen.unresolved} unresolved, ${seen.unresolved_usd:.6f} held for them",
    )
    return Text("\n".join(lines), style="bold red" if seen.unresolved else "")


def _pace(value: float | None, unit: str) -> str:
    return "" if value is None else f" ({value:.2f}{unit})"


def _offers(offers: Sequence[OfferView]) -> Table:
    table = Table(box=None, padding=(0, 1), collapse_padding=True)
    for name in ("offer", "tier", "circuit"):
        table.add_column(name, overflow="fold", no_wrap=name != "offer")
    for name in ("done", "failed", "/min", "median", "spent", "$/h"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in offers:
        table.add_row(
            one.offer, one.tier, _state(one), str(one.done), str(one.failed), _number(one.attempts_per_minute),
            "–" if one.median_s is None else f"{one.median_s:.1f} s", f"${one.spent_usd:.6f}",
            _number(one.usd_per_hour),
        )  # fmt: skip
    return table


def _state(one: OfferView) -> Text:
    if one.circuit == "closed" and not one.available:
        return Text("taken out", style="magenta")
    return Text(one.circuit.replace("_", " "), style=_COLOURS.get(one.circuit, "bold red"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _replicas(replicas: Sequence[ReplicaView]) -> Table:
    table = Table(box=None, padding=(0, 1), collapse_padding=True)
    for name in ("replica", "configuration"):
        table.add_column(name, overflow="fold")
    for name in ("in flight", "waiting", "ledger behind", "store errors"):
        table.add_column(name, justify="right")
    for one in replicas:
        if not one.is_up:
            table.add_row(one.url, Text("gives no answer", style="bold red"))
            continue
        table.add_row(
            one.url, one.revision, str(one.in_flight), str(one.waiting), f"{one.ledger_behind_s:.0f} s",
            str(one.store_errors),
        )  # fmt: skip
    return table
