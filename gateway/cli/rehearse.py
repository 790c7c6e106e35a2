"""`kontext rehearse`: stand-ins for the providers, with a bill and scripted faults; and what gateways make of them."""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import rich_click as click

from gateway.cli.exits import Exit
from gateway.secret import key_hash

T = TypeVar("T")


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=9090, show_default=True)
@click.option("--seconds", type=float, default=2.0, show_default=True, help="How long an edit takes.")
@click.option("--fast", is_flag=True, help="Serve one ready picture per size and format instead of true edits.")
@click.option("--write-config", type=click.Path(path_type=Path), metavar="FILE", help="Write a kontext.toml for them.")
@click.pass_context
def rehearse(
    context: click.Context, host: str, port: int, seconds: float, fast: bool, write_config: Path | None
) -> None:
    """Rehearse an outage before it costs you: Runware and Runflow as stand-ins on one port, with a bill.

    Without a subcommand: serves the stand-ins. The subcommands run gateways of their own against them.
    """
    if context.invoked_subcommand is not None:
        return
    from gateway.rehearsal.server import Rehearsal, run

    def started(rehearsal: Rehearsal) -> None:
        click.echo(f"stand-ins at {rehearsal.url}/rehearsal   (bill, log and faults: see that page)")
        if write_config is not None:
            _write(write_config, rehearsal.url, seconds)

    try:
        run(host, port, seconds=seconds, fast=fast, started=started)
    except OSError as error:
        click.echo(
            f"{host}:{port} cannot be listened on ({os.strerror(error.errno or 0)}); choose another by --port", err=True
        )
        raise SystemExit(Exit.USAGE) from None


def _write(path: Path, url: str, seconds: float) -> None:
    """The configuration, with a team whose key is the one that a throw-away trial may know."""
    from gateway.rehearsal.configuration import write_config

    trial = "kx_rehearsal"
    write_config(path, url, key_hash(trial), seconds=seconds)
    click.echo(f"configuration: {path}   (start: kontext serve --config {path}; key of its team: {trial})")


@rehearse.command()
@click.option("--edits", type=click.IntRange(1, 100_000), default=200, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Fixes the faults and whom they meet.")
@click.option("--kill-every", type=float, default=5.0, show_default=True, help="Seconds between kills; 0: none.")
@click.option("--replicas", type=click.IntRange(1, 16), default=3, show_default=True, help="Gateways side by side.")
@click.option("--late-503", is_flag=True, help="Some submits are answered 503 and accepted later.")
@click.option("--trust-503/--no-trust-503", default=None, help="Left out: trusted, but not with --late-503.")
@click.option("--absent-after", type=float, metavar="S", help="Runflow's absent_after_s; left out, as by default: off.")
@click.option("--one-key", type=click.IntRange(1, 5000), metavar="N", help="Instead: N posts of one Idempotency-Key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def storm(
    edits: int,
    seed: int,
    kill_every: float,
    replicas: int,
    late_503: bool,
    trust_503: bool | None,
    absent_after: float | None,
    one_key: int | None,
    as_json: bool,
) -> None:
    """Many edits, about 30 % bad submits of every kind, and gateways killed all the time: is every one paid once?

    Exits 1 where an edit was lost or paid twice, or the books differ from the bill.
    """
    from gateway.cli import weather
    from gateway.rehearsal.storm import Storm
    from gateway.rehearsal.storm import one_key as crowd_of
    from gateway.rehearsal.storm import storm as break_out

    def tell(line: str) -> None:
        click.echo(line, err=True)

    if one_key is not None:
        crowd = _in_folder(lambda folder: crowd_of(one_key, replicas, folder))
        weather.tell_crowd(crowd, as_json=as_json)
        raise SystemExit(Exit.DONE if crowd.is_one else Exit.FAILED)
    asked = Storm(
        edits=edits,
        seed=seed,
        replicas=replicas,
        kill_every_s=kill_every or None,
        late_503=late_503,
        trust_503=trust_503,
        absent_after_s=absent_after,
    )
    seen = _in_folder(lambda folder: break_out(asked, folder, tell))
    weather.tell_storm(asked, seen, as_json=as_json)
    raise SystemExit(Exit.DONE if seen.verdict.is_clean else Exit.FAILED)


@rehearse.command()
@click.option("--all", "everything", is_flag=True, help="With and without kills; the default is without.")
@click.option("--replicas", type=click.Choice(["1", "3"]), multiple=True, help="Gateways side by side; left out: both.")
@click.option("--seed", type=int, default=1, show_default=True, help="Fixes who is killed, and when each edit begins.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--write", type=click.Path(path_type=Path), metavar="FILE", help="Write the result as Markdown.")
def faults(everything: bool, replicas: tuple[str, ...], seed: int, as_json: bool, write: Path | None) -> None:
    """The fault matrix: every fault of the stand-ins at every step, at each provider, one gateway or three.

    Exits 1 where an edit did not end as it must, or was paid twice, or the books differ from the bill.
    """
    from gateway.cli import matrix
    from gateway.rehearsal.matrix import Matrix, Round, play

    def tell(line: str) -> None:
        click.echo(line, err=True)

    def played(asked: Matrix) -> Round:
        return _in_folder(lambda folder: play(asked, folder, tell))

    rounds = [
        played(Matrix(replicas=int(count), seed=seed, kills=kills))
        for count in replicas or ("1", "3")
        for kills in ((False, True) if everything else (False,))
    ]
    matrix.tell(rounds, as_json=as_json)
    if write is not None:
        write.write_text(matrix.markdown(rounds, matrix.today()), encoding="utf-8")
    raise SystemExit(Exit.FAILED if any(one.wrong for one in rounds) else Exit.DONE)


def _in_folder(act: Callable[[Path], Awaitable[T]]) -> T:
    """What `act` makes of an empty folder that is gone afterwards, with the engine in it."""
    from gateway.rehearsal.fleet import FleetFailed

    async def run() -> T:
        async with _folder() as folder:
            return await act(folder)

    try:
        return asyncio.run(run())
    except FleetFailed as failed:
        click.echo(str(failed), err=True)
        raise SystemExit(Exit.FAILED) from None


@asynccontextmanager
async def _folder() -> AsyncGenerator[Path]:
    from gateway.rehearsal.fleet import new_folder
    from gateway.state.embedded import stop

    folder = new_folder()
    try:
        yield folder
    finally:
        if (folder / "state").exists():
            await stop(folder / "state")
        shutil.rmtree(folder, ignore_errors=True)
