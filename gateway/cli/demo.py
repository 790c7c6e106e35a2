"""`kontext demo`: the whole gateway on one's own machine, without a key and without a configuration.

A real photograph goes through a cheapest, a premium and a failing-primary policy against the rehearsal stand-ins, and
through the preview; every choice is explained, and the gateway's books are held against the stand-ins' bill.
"""

import asyncio
import json
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.cli.edit import save
from gateway.cli.exits import Exit, exit_of
from gateway.cli.story import tell
from gateway.client import AsyncKontext, Edit, KontextError
from gateway.money import MICRO

PHOTO = "coffee.png"
KEY = "kx_demo"
SECONDS = 1.5


class Scene(Struct, frozen=True):
    """One edit of the demo. `fault`: what is scripted for the primary beforehand."""

    name: str
    says: str
    policy: str
    prompt: str
    fault: str | None = None


SCENES = (
    Scene("cheapest", "the cheapest offer that is good enough", "cheapest", "Make the mug blue, keep everything else"),
    Scene("premium", "the best quality", "premium", "Turn the latte art into a maple leaf"),
    Scene("failover", "the primary is down: the next one delivers", "production", "Put it on a marble table", "down"),
    Scene("preview", "no model at all: whole-image edits by a small engine", "preview", "Make it black and white"),
)


class Shown(Struct, frozen=True):
    """A scene that was played."""

    scene: Scene
    edit: Edit
    files: list[Path]
    billed_micro: int


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("kontext-demo"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the story.")
def demo(out: Path, as_json: bool) -> None:
    """Play four edits of a real photograph and show what was chosen, why, and what it cost."""
    from gateway.observe import silence_logging

    console = Console(stderr=as_json)
    silence_logging()
    try:
        shown = asyncio.run(_play(console, out))
    except KontextError as failed:
        console.print(f"[bold red]{failed}[/]")
        raise SystemExit(exit_of(failed)) from None
    if as_json:
        click.echo(json.dumps([_document(one) for one in shown]))
    console.print(_totals(shown))
    if any(one.billed_micro != _cost_micro(one.edit) for one in shown):
        console.print("[bold red]the books and the bill differ[/]")
        raise SystemExit(Exit.FAILED)
    console.print(f"pictures: {out}/, and all together: {_overview(out, shown)}")
    console.print("next: `kontext serve` with a curl of your own, or `kontext rehearse` to script an outage")


async def _play(console: Console, out: Path) -> list[Shown]:
    from gateway.rehearsal.server import Rehearsal

    async with Rehearsal.serve(seconds=SECONDS) as rehearsal:
        with tempfile.TemporaryDirectory(prefix="kontext-demo-") as folder:
            return await _gateway(console, out, rehearsal, Path(folder))


async def _gateway(console: Console, out: Path, rehearsal: Any, folder: Path) -> list[Shown]:  # noqa: ANN401 - see below
    """The gateway under the stand-ins' configuration. (`rehearsal` is imported late, so that `--help` is quick.)"""
    from gateway.cli.throwaway import in_folder
    from gateway.clock import SystemClock, day_of
    from gateway.configuration import load
    from gateway.rehearsal.configuration import write_config
    from gateway.secret import key_hash

    config = folder / "kontext.toml"
    write_config(config, rehearsal.url, key_hash(KEY), seconds=SECONDS)
    settings = load(config, {}, day_of(SystemClock().now_ms()))
    async with in_folder(settings, folder / "state") as url, AsyncKontext(url, KEY) as client:
        return [await _scene(console, out, rehearsal, client, number, scene) for number, scene in enumerate(SCENES, 1)]


async def _scene(console: Console, out: Path, rehearsal: Any, client: AsyncKontext, number: int, scene: Scene) -> Shown:  # noqa: ANN401
    console.rule(f"[bold]{number}. {scene.name}[/]: {scene.says}", align="left")
    console.print(f"“{scene.prompt}”, policy {scene.policy}")
    if scene.fault:
        rehearsal.faults.add("runware", scene.fault)
        console.print(f"[yellow]Runware's stand-in is {scene.fault}[/]")
    before_micro = rehearsal.bill.total_micro_usd()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task("editing")
        with as_file(files("gateway") / "photos" / PHOTO) as photo:
            edit = await client.edit(scene.prompt, photo, policy=scene.policy)
    paths = await save(client, edit, out / f"{number}-{scene.name}.png")
    tell(console, edit)
    rehearsal.faults.reset()
    return Shown(scene, edit, paths, rehearsal.bill.total_micro_usd() - before_micro)


def _overview(out: Path, shown: list[Shown]) -> Path:
    from gateway.cli.overview import overview

    with as_file(files("gateway") / "photos" / PHOTO) as photo:
        edits = [(f"{one.scene.name}: {one.edit.provider}/{one.edit.model}", one.files[0]) for one in shown]
        return overview([("the original", photo), *edits], out / "overview.jpg")


def _cost_micro(edit: Edit) -> int:
    return int(edit.cost.usd * MICRO)


def _document(one: Shown) -> dict[str, Any]:
    paths = [str(path) for path in one.files]
    return {
        "scene": one.scene.name,
        "files": paths,
        "billed_micro": one.billed_micro,
        "edit": msgspec.to_builtins(one.edit),
    }


def _totals(shown: list[Shown]) -> Table:
    from gateway.money import usd

    table = Table(
        title="the gateway's books against the stand-ins' bill", title_justify="left", box=None, padding=(0, 2)
    )
    for column in ("", "offer", "booked", "billed", "picture"):
        table.add_column(column, overflow="fold")
    for one in shown:
        offer = f"{one.edit.provider}/{one.edit.model}"
        booked, billed = f"${one.edit.cost.usd}", f"${usd(one.billed_micro)}"
        table.add_row(one.scene.name, offer, booked, billed, ", ".join(path.name for path in one.files))
    total = sum(_cost_micro(one.edit) for one in shown)
    billed = sum(one.billed_micro for one in shown)
    table.add_row("together", "", f"${usd(total)}", f"${usd(billed)}", "", style="bold")
    return table
