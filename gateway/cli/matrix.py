"""The fault matrix as a table: on the screen, as JSON, and as the page of the docs."""

from collections.abc import Sequence
from datetime import date

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from gateway.clock import SystemClock, day_of
from gateway.rehearsal.matrix import Cell, Judged, Round

HEAD = """\
# The fault matrix

Every fault of the stand-ins, at every step at which it can be met, at each provider; with one gateway and with three,
without kills and with a gateway killed by SIGKILL every few seconds. Each cell is one edit with a stand-in and a bill
of its own, and the other provider as its way out. It must end as the fault allows, be paid at most once, and the
ledger must say what the bill says.

Made by `kontext rehearse faults --all --write docs/faults.md`. What a process death at one exact point leads to is held
by the tests in `tests/faults`, point by point.
"""


def today() -> date:
    return day_of(SystemClock().now_ms())


def title(one: Round) -> str:
    asked = one.asked
    gateways = "one gateway" if asked.replicas == 1 else f"{asked.replicas} gateways"
    return f"{gateways}, {f'{one.kills} kills' if asked.kills else 'no kills'}"


def said(judged: Judged) -> str:
    """The end, how often it was charged, and what is wrong with it."""
    words = f"{judged.status or 'no end'}, {judged.charges}×"
    return f"{words} WRONG: {'; '.join(judged.wrong)}" if judged.wrong else words


def lines(rounds: Sequence[Round]) -> list[tuple[Cell, list[str]]]:
    """Each cell with what came of it in each round; all rounds have the same cells."""
    return [(first.cell, [said(one.judged[place]) for one in rounds]) for place, first in enumerate(rounds[0].judged)]


def tell(rounds: Sequence[Round], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(rounds).decode())
        return
    table = Table(box=None, padding=(0, 2), title="end, charges", title_justify="left")
    for column in ("provider", "fault", "at", *(title(one) for one in rounds)):
        table.add_column(column)
    for cell, words in lines(rounds):
        marked = [f"[red]{each}[/]" if "WRONG" in each else each for each in words]
        table.add_row(cell.provider.value, cell.fault.value, cell.step.value, *marked)
    console = Console()
    console.print(table, highlight=False)
    for one in rounds:
        console.print(f"{title(one)}: {summary(one)}", highlight=False)


def summary(one: Round) -> str:
    billed, booked = (sum(getattr(each, name) for each in one.judged) for name in ("billed_micro", "booked_micro"))
    twice = sum("paid twice" in each.wrong for each in one.judged)
    unresolved = sum(each.status == "unresolved" for each in one.judged)
    return (
        f"{len(one.judged)} edits in {one.seconds:.0f} s, {len(one.wrong)} wrong, {twice} paid twice, "
        f"ledger - bill {booked - billed} micro-dollars, {unresolved} unresolved"
    )


def markdown(rounds: Sequence[Round], day: date) -> str:
    seed = rounds[0].asked.seed
    head = ["provider", "fault", "at", *(title(one) for one in rounds)]
    rows = [[cell.provider.value, f"`{cell.fault.value}`", cell.step.value, *words] for cell, words in lines(rounds)]
    table = [head, ["---"] * len(head), *rows]
    results = [f"- {title(one)}: {summary(one)}" for one in rounds]
    return "\n".join(
        [HEAD, f"Last run: {day.isoformat()}, seed {seed}.", "", *results, ""]
        + [f"| {' | '.join(row)} |" for row in table]
        + ["", "“succeeded, 1×”: how the edit ended, and how many charges are on the bill.", ""]
    )
