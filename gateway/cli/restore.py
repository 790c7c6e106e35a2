"""`kontext restore`: a lost store is rebuilt from the ledger, before any gateway may start on it."""

import asyncio
import secrets

import rich_click as click
from rich.console import Console
from rich.table import Table

from gateway.books import lost_secret
from gateway.cli.audit import AWAY
from gateway.cli.config import ConfigurationRefused, config_option, load_settings
from gateway.clock import SystemClock, iso
from gateway.ledger.book import Book
from gateway.ledger.restore import Restoration, restoration
from gateway.ledger.rows import Row, RowKind
from gateway.money import usd
from gateway.restoration import known_keys, lost_edits, spending
from gateway.settings import Settings
from gateway.state.connection import connect
from gateway.state.edits import IllegalMove
from gateway.state.restore import LostEdit, Restore


@click.command()
@config_option
@click.option("--yes", is_flag=True, help="Do it; without, only say what would be given back.")
@click.option("--new-secret", is_flag=True, help="Do it although the secret is lost and has no backup.")
def restore(config: str | None, yes: bool, new_secret: bool) -> None:
    """Give an empty store back what the ledger knows: what was spent and is held, open edits, idempotency keys."""
    settings = load_settings(config)
    secret = lost_secret(settings)
    if secret and yes and not new_secret:
        raise ConfigurationRefused(f"{secret}. Without a backup, repeat with --new-secret")
    try:
        found, lost = asyncio.run(_restored(settings, yes))
    except IllegalMove as refused:
        raise ConfigurationRefused(str(refused)) from None
    except AWAY as away:
        raise ConfigurationRefused(str(away)) from None
    console = Console()
    console.print(_table(found))
    console.print(_age(found, lost), soft_wrap=True)
    if secret:
        console.print(secret, style="bold red", markup=False, soft_wrap=True, highlight=False)
    console.print("[green]restored[/]" if yes else "nothing was done; repeat with --yes to restore")


async def _restored(settings: Settings, do: bool) -> tuple[Restoration, list[LostEdit]]:
    store = await connect(
        settings.state.url, folder=settings.state_dir, engine=settings.engine, durability=settings.state.durability
    )
    try:
        book = await Book.open(settings.ledger_url)
        try:
            found = await restoration(book, SystemClock().now_ms())
            accepted = await _accepted(book, {one.edit for one in found.open_edits})
        finally:
            await book.aclose()
        lost = lost_edits(found, accepted)
        if do:
            operation = secrets.token_hex(8)
            await Restore(store).restore(spending(found), lost, known_keys(found), operation=operation)
        return found, lost
    finally:
        await store.aclose()


async def _accepted(book: Book, edits: set[str]) -> dict[str, Row]:
    return {row.edit: row async for row in book.rows(RowKind.ACCEPT) if row.edit in edits} if edits else {}


def _table(found: Restoration) -> Table:
    table = Table(title="from the ledger", title_justify="left", box=None, padding=(0, 2))
    for column in ("budget", "window", "spent", "held"):
        table.add_column(column)
    for one in found.spending:
        table.add_row(one.scope, one.window, f"${usd(one.spent_micro)}", f"${usd(one.held_micro)}")
    return table


def _age(found: Restoration, lost: list[LostEdit]) -> str:
    """What happened after the last row that reached SQL is not known: the providers' bills will tell."""
    if found.last_row_ms is None or found.age_ms is None:
        return "the ledger is empty: there is nothing to give back"
    edits = f"{len(lost)} edits come back with money held, {len(found.keys)} idempotency keys are known"
    if unknown := sum(not one.unresolved for one in found.open_edits if one.held_micro > 0):
        edits += f"; of {unknown} of them no attempt is known, so that an operator must release them"
    return f"{found.rows} rows, the last of {iso(found.last_row_ms)} ({found.age_ms / 1000:.0f} s ago); {edits}"
