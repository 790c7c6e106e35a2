"""What a storm was like, for a person or for a program."""

from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from gateway.money import usd
from gateway.rehearsal.storm import Crowd, Storm, Weather
from gateway.rehearsal.verdict import Verdict

SHOWN = 10


def tell_storm(asked: Storm, seen: Weather, *, as_json: bool) -> None:
    if as_json:
        _document({"asked": asked, **msgspec.structs.asdict(seen)}, seen.verdict)
        return
    facts = {
        "edits": f"{asked.edits} over {asked.replicas} gateways, seed {asked.seed}",
        "time": f"{seen.seconds:.1f} s, {seen.kills} gateways killed",
        "bad submits": f"{seen.bad_submits} of {seen.submits} ({seen.bad_submits / max(1, seen.submits):.0%})",
        "answers": f"{_counted(seen.statuses)}; {seen.broken} connections broke",
        "ends": _counted(seen.verdict.ends),
    }
    _print(facts, seen.verdict)


def tell_crowd(crowd: Crowd, *, as_json: bool) -> None:
    if as_json:
        _document(msgspec.structs.asdict(crowd), crowd.verdict)
        return
    facts = {
        "posts of one key": f"{crowd.posts} in {crowd.seconds:.1f} s",
        "edits": f"{crowd.edits}",
        "pictures": f"{crowd.pictures}",
        "answers": _counted(crowd.statuses),
    }
    _print(facts, crowd.verdict)


def _document(document: dict[str, Any], verdict: Verdict) -> None:
    more = {"ledger_minus_bill_micro": verdict.ledger_minus_bill_micro, "is_clean": verdict.is_clean}
    click.echo(msgspec.json.encode({**document, **more}).decode())


def _print(facts: dict[str, str], verdict: Verdict) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for name, words in {**facts, **_judged(verdict)}.items():
        table.add_row(name, words)
    console = Console()
    console.print(table)
    for words in (*verdict.lost, *verdict.strange, *verdict.breaches)[:SHOWN]:
        console.print(f"[red]{words}[/]", highlight=False)


def _judged(verdict: Verdict) -> dict[str, str]:
    rows = {
        "lost": f"{len(verdict.lost)}",
        "paid twice": f"{len(verdict.paid_twice)} {sorted(set(verdict.paid_twice.values())) or ''}".strip(),
        "booked as duplicates": f"{verdict.duplicates}",
        "ledger - bill": f"${usd(verdict.booked_micro)} - ${usd(verdict.billed_micro)} = "
        f"{verdict.ledger_minus_bill_micro} micro-dollars",
        "audit": f"{len(verdict.breaches)} breaches",
        "held without a reason": f"${usd(verdict.left_held_micro)}",
    }
    for provider in ("runware", "runflow"):
        found = verdict.unresolved.get(provider)
        count, held = (found.attempts, found.held_micro) if found else (0, 0)
        share = count / max(1, verdict.wishes)
        rows[f"unresolved at {provider}"] = f"{count} ({share:.2%}), ${usd(held)} held"
    return rows


def _counted(counts: dict[Any, int]) -> str:
    return ", ".join(f"{count} × {name}" for name, count in counts.items())
