"""`kontext rehearse`: stand-ins for the providers, with a bill and scripted faults."""

from pathlib import Path

import rich_click as click

from gateway.cli.exits import Exit
from gateway.secret import key_hash


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=9090, show_default=True)
@click.option("--seconds", type=float, default=2.0, show_default=True, help="How long an edit takes.")
@click.option("--fast", is_flag=True, help="Serve one ready picture per size and format instead of true edits.")
@click.option("--write-config", type=click.Path(path_type=Path), metavar="FILE", help="Write a kontext.toml for them.")
def rehearse(host: str, port: int, seconds: float, fast: bool, write_config: Path | None) -> None:
    """Rehearse an outage before it costs you: Runware and Runflow as stand-ins on one port, with a bill."""
    from gateway.rehearsal.server import Rehearsal, run

    def started(rehearsal: Rehearsal) -> None:
        click.echo(f"stand-ins at {rehearsal.url}/rehearsal   (bill, log and faults: see that page)")
        if write_config is not None:
            _write(write_config, rehearsal.url, seconds)

    try:
        run(host, port, seconds=seconds, fast=fast, started=started)
    except OSError as error:
        click.echo(f"{host}:{port} cannot be listened on ({error.strerror}); choose another by --port", err=True)
        raise SystemExit(Exit.USAGE) from None


def _write(path: Path, url: str, seconds: float) -> None:
    """The configuration, with a team whose key is the one that a throw-away trial may know."""
    from gateway.rehearsal.configuration import write_config

    trial = "kx_rehearsal"
    write_config(path, url, key_hash(trial), seconds=seconds)
    click.echo(f"configuration: {path}   (start: kontext serve --config {path}; key of its team: {trial})")
