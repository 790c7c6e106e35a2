"""`kontext lab`: policies beside what people use today, in a simulated market or in one's own past."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import rich_click as click

from gateway.cli.config import config_option, load_settings
from gateway.cli.exits import Exit

LEDGER = "Instead of a simulated market: rows exported as .jsonl or .csv, or sqlite:PATH, postgresql://…, env:NAME."


@click.command()
@config_option
@click.option("--policy", "names", multiple=True, help="This policy of the configuration; else all that fit.")
@click.option("--ledger", metavar="WHERE", help=LEDGER)
@click.option("--deadline", type=click.FloatRange(1, 900), default=120.0, show_default=True, help="Of a past's edits.")
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="This scenario alone.")
@click.option("--second-usd", type=Decimal, help="Also where the second provider's kontext-pro costs so much.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another world of the same kind.")
@click.option("--edits", type=click.IntRange(100, 1_000_000), default=6000, show_default=True, help="In each scenario.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="For lab.md, lab.svg.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def lab(
    context: click.Context,
    config: str | None,
    names: tuple[str, ...],
    ledger: str | None,
    deadline: float,
    scenarios: tuple[str, ...],
    second_usd: Decimal | None,
    seed: int,
    edits: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare policies with a fallback chain, round robin, lowest latency, a weighted shuffle, and an oracle.

    Without options: the shipped policy in every scenario. `--config` and `--policy` play your own; `--ledger` plays
    them through your own past. Exits 1 where the shipped policy breaks a promise.
    """
    # Late, so that the help is quick.
    from gateway.cli import contest, findings

    settings = load_settings(config) if config or names or ledger else None
    if ledger:
        if scenarios or second_usd is not None:
            raise click.UsageError("--ledger is a past of its own: leave out --scenario and --second-usd")
        assert settings is not None
        found = contest.in_the_past(settings, names, ledger, seed, deadline)
    else:
        found = contest.in_scenarios(settings, names, scenarios, second_usd, seed, edits)
    findings.tell(found, as_json=as_json)
    if out:
        findings.write(found, out, _command(context.params))
    if found.broken:
        raise SystemExit(Exit.FAILED)


def _command(given: dict[str, Any]) -> str:
    """As it was given, so that it makes the same page again; but not where a ledger is."""
    words = [f"--config {given['config']}"] if given["config"] else []
    words += [f"--policy {name}" for name in given["names"]]
    words += ["--ledger …"] if given["ledger"] else [f"--edits {given['edits']}"]
    words += [f"--scenario '{name}'" for name in given["scenarios"]]
    words += [f"--second-usd {given['second_usd']}"] if given["second_usd"] is not None else []
    return f"kontext lab {' '.join(words)} --seed {given['seed']} --out {given['out']}"
