"""What a contest of the laboratory showed: on the screen, as JSON, and as the page of the docs."""

from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console

from gateway.cli.contest import Contest
from gateway.clock import SystemClock, day_of
from gateway.lab.promises import Promise
from gateway.lab.report import grid, markdown, svg, verdicts
from gateway.lab.tables import Row


class Told(msgspec.Struct, frozen=True, kw_only=True):
    scenario: str
    about: str
    rows: tuple[Row, ...]
    promises: tuple[Promise, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    edits: int
    seconds: float
    scenarios: tuple[Told, ...]


def tell(found: Contest, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(_document(found)).decode())
        return
    console = Console()
    for table in found.tables:
        console.print(grid(table))
    for verdict in verdicts(found.promises):
        console.print(verdict, highlight=False, markup=False)
    console.print(_pace(found), highlight=False)


def write(found: Contest, folder: Path, command: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made = f"Made by `{command}`, {day_of(SystemClock().now_ms()).isoformat()}. {_pace(found)}"
    (folder / "lab.md").write_text(markdown(found.tables, found.promises, made), "utf-8")
    (folder / "lab.svg").write_text(svg(found.tables), "utf-8")


def _document(found: Contest) -> Document:
    told = tuple(
        Told(
            scenario=table.scenario.name,
            about=table.scenario.about,
            rows=table.rows,
            promises=tuple(one for one in found.promises if one.scenario == table.scenario.name),
        )
        for table in found.tables
    )
    return Document(seed=found.seed, edits=found.edits, seconds=round(found.seconds, 3), scenarios=told)


def _pace(found: Contest) -> str:
    return f"{found.edits:,} edits in {found.seconds:.1f} s, {found.edits / found.seconds:,.0f} a second."
