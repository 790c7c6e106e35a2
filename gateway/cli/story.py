"""An edit's answer as a person reads it: what was chosen and why, what failed over, the time and the cost."""

from rich.console import Console
from rich.table import Table

from gateway.client import Edit, Event


def tell(console: Console, edit: Edit) -> None:
    """The routing of an edit, as two small tables and a sentence."""
    console.print(_candidates(edit))
    if edit.routing.attempts:
        console.print(_attempts(edit))
    for adjustment in edit.adjustments:
        sent = adjustment.sent or "nothing"
        console.print(f"  adjusted {adjustment.field}: asked {adjustment.asked}, sent {sent} ({adjustment.why})")
    for note in edit.notes:
        console.print(f"  note: {note}")
    console.print(summary(edit))


def summary(edit: Edit) -> str:
    """One line: status, offer, time, cost."""
    if edit.status != "succeeded":
        detail = edit.error.detail if edit.error else "still going on"
        return f"[bold red]{edit.status}[/]: {detail}"
    seconds = sum(attempt.seconds or 0 for attempt in edit.routing.attempts)
    source = {"provider": "the provider's own figure", "table": "price list", "local": "nobody bills it"}
    cost = f"${edit.cost.usd} ({source.get(edit.cost.source or '', '')})"
    return f"[bold green]succeeded[/] at [bold]{edit.provider}/{edit.model}[/] in {seconds:.1f} s for {cost}"


def _candidates(edit: Edit) -> Table:
    table = Table(title=f"plan of policy {edit.routing.policy}", title_justify="left", box=None, padding=(0, 2))
    for column in ("rank", "offer", "price", "usual", "why not"):
        table.add_column(column, overflow="fold", no_wrap=column != "why not")
    for one in edit.routing.candidates:
        if one.excluded:
            table.add_row("–", one.offer, "", "", one.why, style="dim")
        else:
            table.add_row(str(one.rank), one.offer, f"${one.price_usd}", f"{one.expected_s} s", "")
    return table


def _attempts(edit: Edit) -> Table:
    table = Table(title="attempts", title_justify="left", box=None, padding=(0, 2))
    for column in ("", "offer", "outcome", "seconds", "cost", "what it said"):
        table.add_column(column, overflow="fold", no_wrap=column != "what it said")
    for number, one in enumerate(edit.routing.attempts, 1):
        style = "green" if one.outcome == "done" else "yellow"
        cost = f"${one.cost_usd}" if one.cost_usd is not None else ""
        seconds = "" if one.seconds is None else f"{one.seconds:.1f}"
        table.add_row(str(number), one.offer, f"[{style}]{one.outcome}[/]", seconds, cost, one.message)
    return table


def meanwhile(event: Event) -> str:
    """What is going on, as an event tells it; '' where it tells nothing new."""
    match event.name:
        case "queued":
            return "accepted"
        case "attempt" if event.field("state") == "started":
            return f"editing at {event.field('offer')}"
        case "attempt" if event.field("state") == "ended":
            return f"{event.field('offer')}: {event.field('outcome')}"
        case "progress" if event.field("steps"):
            return f"editing at {event.field('offer')}, step {event.field('step')} of {event.field('steps')}"
        case "progress":
            return f"editing at {event.field('offer')}, usually {event.field('expected_s')} s"
        case "cancel_requested":
            return "cancelled; a provider goes on with it"
        case _:
            return ""
