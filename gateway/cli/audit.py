"""`kontext audit`: is every micro-dollar accounted for, in the store and in the ledger, now?"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from gateway.cli.config import ConfigurationRefused, config_option, load_settings
from gateway.cli.exits import Exit
from gateway.clock import SystemClock
from gateway.configuration import environment, find_file
from gateway.ledger.audit import Report, audit
from gateway.ledger.book import Book
from gateway.ledger.connection import LedgerRefused, LedgerUnavailable
from gateway.ledger.evidence import Bill, Cap
from gateway.ledger.outbox import Outbox
from gateway.ledger.rows import Row
from gateway.money import usd
from gateway.settings import Budget, Settings
from gateway.snapshot import take_snapshot
from gateway.state.connection import StoreRefused, StoreUnavailable, connect
from gateway.state.embedded import EngineRefused

AWAY = (StoreRefused, StoreUnavailable, EngineRefused, LedgerRefused, LedgerUnavailable)


@click.command(name="audit")
@config_option
@click.option("--bill", type=click.Path(exists=True, path_type=Path), help="A provider's bill, as JSON, to compare.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_command(config: str | None, bill: Path | None, as_json: bool) -> None:
    """Check the twelve invariants of money over store and ledger. Exit 1 on any violation; safe beside a gateway."""
    settings = load_settings(config)
    try:
        caps = budget_caps(settings, _since_ms(config))
        report = asyncio.run(_audited(settings, None if bill is None else _bill(bill), caps))
    except AWAY as away:
        raise ConfigurationRefused(str(away)) from None
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        _tell(Console(), report)
    if report.violations:
        raise SystemExit(Exit.FAILED)


def _bill(path: Path) -> Bill:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Bill)
    except msgspec.DecodeError as error:
        expected = json.dumps({"providers": ["runware"], "charges": [{"provider": "", "key": "", "amount_micro": 0}]})
        raise ConfigurationRefused(f"{path} is no bill: {error}; expected {expected}") from None


def _since_ms(config: str | None) -> int:
    """Since when the budgets are as they are now, as far as the file can tell: what was done under others is not judged
    by these."""
    path = find_file(config, environment())
    return path.stat().st_mtime_ns // 1_000_000 if path else 0


def budget_caps(settings: Settings, since_ms: int) -> tuple[Cap, ...]:
    """Every cap of the configuration, by scope and period."""
    scopes = [("gateway", settings.budget)]
    scopes += [(f"team:{name}", team.budget) for name, team in settings.teams.items()]
    scopes += [(f"key:{key.team}/{key.id}", key.budget) for key in settings.keys.values()]
    return tuple(cap for scope, budget in scopes for cap in _caps(scope, budget, since_ms))


def _caps(scope: str, budget: Budget, since_ms: int) -> Iterator[Cap]:
    if budget.day_micro is not None:
        yield Cap(scope=scope, period="day", micro=budget.day_micro, since_ms=since_ms)
    if budget.month_micro is not None:
        yield Cap(scope=scope, period="month", micro=budget.month_micro, since_ms=since_ms)
    if budget.total_micro is not None:
        yield Cap(scope=scope, period="total", micro=budget.total_micro, since_ms=since_ms)


async def _audited(settings: Settings, bill: Bill | None, caps: tuple[Cap, ...]) -> Report:
    store = await connect(
        settings.state.url, folder=settings.state_dir, engine=settings.engine, durability=settings.state.durability
    )
    try:
        book = await Book.open(settings.ledger_url)
        try:
            # The outbox before the ledger: a row that moves meanwhile is then seen twice, and none is missed.
            snapshot = await take_snapshot(store)
            waiting = [row async for row in Outbox(store, book, SystemClock()).waiting()]
            rows = [row async for row in book.rows()]
            return audit(_in_order([*rows, *waiting]), snapshot, bill, caps)
        finally:
            await book.aclose()
    finally:
        await store.aclose()


def _in_order(rows: list[Row]) -> Iterator[Row]:
    """As their steps took effect: an entry that another process has taken may be older than what is in the ledger."""
    seen: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row.place, row.id)):
        if seen.get(row.id) != row:
            seen[row.id] = row
            yield row


def _tell(console: Console, report: Report) -> None:
    table = Table(title="invariants of money", title_justify="left", box=None, padding=(0, 2))
    for column in ("", "what", "checked", "not given", "found"):
        table.add_column(column, overflow="fold")
    for finding in report.findings:
        found = f"[bold red]{len(finding.violations)}[/]" if finding.violations else "[green]none[/]"
        table.add_row(finding.invariant, finding.title, str(finding.checked), ", ".join(finding.not_given), found)
    console.print(table)
    for violation in report.violations:
        console.print(f"[bold red]{violation.invariant}[/] {violation.about}: {violation.what}")
    console.print(
        f"{report.rows} rows, {report.edits} edits, ${usd(report.spent_micro)} spent, ${usd(report.held_micro)} held, "
        f"{report.unresolved} attempts unresolved"
    )
