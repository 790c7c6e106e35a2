"""`python -m gateway.lab`: plays every scenario, prints the tables, and writes them as Markdown and SVG where asked."""

import argparse
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from gateway.lab.report import grid, markdown, svg, verdicts
from gateway.lab.run import BASELINES, EDITS, SEED, run
from gateway.lab.scenarios import SCENARIOS, second_at
from gateway.lab.tables import Table


def main() -> None:
    asked = _parser().parse_args()
    chosen = [scenario for scenario in SCENARIOS if not asked.scenario or scenario.name in asked.scenario]
    if asked.second_usd is not None:
        chosen = [second_at(scenario, round(asked.second_usd * 1_000_000)) for scenario in chosen]
    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("playing", total=len(chosen) * (len(BASELINES) + 1))
        tables = run(chosen, asked.seed, asked.edits, played=lambda _scenario, _strategy: progress.advance(task))
    for table in tables:
        console.print(grid(table))
    for verdict in verdicts(tables):
        console.print(verdict, highlight=False)
    if asked.out:
        second = f" --second-usd {asked.second_usd}" if asked.second_usd is not None else ""
        _write(asked.out, tables, f"python -m gateway.lab --seed {asked.seed} --edits {asked.edits}{second}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.lab", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="another world of the same kind (default %(default)s)")
    parser.add_argument("--edits", type=int, default=EDITS, help="in each scenario (default %(default)s)")
    parser.add_argument("--scenario", action="append", choices=[one.name for one in SCENARIOS], help="only this one")
    parser.add_argument(
        "--second-usd", type=Decimal, help="price of the second provider's kontext-pro (as the first's)"
    )
    parser.add_argument("--out", type=Path, help="folder for lab.md and lab.svg")
    return parser


def _write(folder: Path, tables: tuple[Table, ...], command: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lab.md").write_text(markdown(tables, command), "utf-8")
    (folder / "lab.svg").write_text(svg(tables), "utf-8")


if __name__ == "__main__":
    main()
