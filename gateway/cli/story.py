"""An edit's answer as a person reads it: what was chosen and why, what failed over, the time and the cost."""

from typing import Any

from rich.console import Console
from rich.table import Table

Answer = dict[str, Any]
"""An edit as the API answers it, decoded from JSON."""


def tell(console: Console, answer: Answer) -> None:
    """The routing of an edit, as two small tables and a sentence."""
    console.print(_candidates(answer))
    if answer["routing"]["attempts"]:
        console.print(_attempts(answer))
    for adjustment in answer["adjustments"]:
        sent = adjustment["sent"] or "nothing"
        console.print(
            f"  adjusted {adjustment['field']}: asked {adjustment['asked']}, sent {sent} ({adjustment['why']})"
        )
    for note in answer["notes"]:
        console.print(f"  note: {note}")
    console.print(summary(answer))


def summary(answer: Answer) -> str:
    """One line: status, offer, time, cost."""
    if answer["status"] != "succeeded":
        error = answer["error"] or {"detail": "still going on"}
        return f"[bold red]{answer['status']}[/]: {error['detail']}"
    seconds = sum(attempt["seconds"] or 0 for attempt in answer["routing"]["attempts"])
    source = {"provider": "the provider's own figure", "table": "price list", "local": "nobody bills it"}
    cost = f"${answer['cost']['usd']} ({source.get(answer['cost']['source'], '')})"
    return f"[bold green]succeeded[/] at [bold]{answer['provider']}/{answer['model']}[/] in {seconds:.1f} s for {cost}"


def _candidates(answer: Answer) -> Table:
    table = Table(title=f"plan of policy {answer['routing']['policy']}", title_justify="left", box=None, padding=(0, 2))
    for column in ("rank", "offer", "price", "usual", "why not"):
        table.add_column(column, overflow="fold")
    for one in answer["routing"]["candidates"]:
        if "excluded" in one:
            table.add_row("–", one["offer"], "", "", one["why"], style="dim")
        else:
            table.add_row(str(one["rank"]), one["offer"], f"${one['price_usd']}", f"{one['expected_s']} s", "")
    return table


def _attempts(answer: Answer) -> Table:
    table = Table(title="attempts", title_justify="left", box=None, padding=(0, 2))
    for column in ("", "offer", "outcome", "seconds", "cost", "what it said"):
        table.add_column(column, overflow="fold")
    for number, one in enumerate(answer["routing"]["attempts"], 1):
        style = "green" if one["outcome"] == "done" else "yellow"
        cost = f"${one['cost_usd']}" if one["cost_usd"] else ""
        seconds = "" if one["seconds"] is None else f"{one['seconds']:.1f}"
        table.add_row(str(number), one["offer"], f"[{style}]{one['outcome']}[/]", seconds, cost, one["message"])
    return table
