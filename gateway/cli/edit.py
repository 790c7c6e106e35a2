"""`kontext edit IMAGE PROMPT -o OUT`: one edit, with progress while you wait."""

import asyncio
import json
import os
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.cli.exits import Exit
from gateway.cli.reaching import fail, gateway_at
from gateway.cli.story import meanwhile, tell
from gateway.cli.wishes import FILE, fields_of, wish_options
from gateway.client import AsyncKontext, Edit, Event, KontextError


@click.command()
@click.argument("image", type=FILE)
@click.argument("prompt")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Where the picture goes.")
@wish_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer's JSON instead of the story.")
def edit(
    image: Path, prompt: str, out: Path, mask: Path | None, as_json: bool, url: str | None,
    models: tuple[str, ...], extra: tuple[str, ...], **given: object,
) -> None:  # fmt: skip
    """Edit a picture. The gateway's key is KONTEXT_API_KEY."""
    fields = {"output.format": FORMATS.get(out.suffix.lower(), "png"), **fields_of(models, extra, given)}
    console = Console(stderr=as_json)
    _refuse_unwritable(out)
    try:
        made, paths = asyncio.run(_edit(console, prompt, image, mask, fields, out, url))
    except KontextError as error:
        fail(console, error, as_json)
    except KeyboardInterrupt:
        click.echo(BROKEN_OFF, err=True)
        raise SystemExit(Exit.FAILED) from None
    if as_json:
        click.echo(json.dumps({**msgspec.to_builtins(made), "files": [str(path) for path in paths]}))
        return
    tell(console, made)
    for path in paths:
        console.print(f"picture: {path}")


BROKEN_OFF = (
    "broken off; what a gateway has accepted goes on, and is paid for: GET /v1/edits lists it, "
    "DELETE /v1/edits/{id} cancels it"
)
FORMATS = {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
"""A file's ending -> the picture's format; any other is a PNG."""


async def _edit(
    console: Console, prompt: str, image: Path, mask: Path | None, fields: dict[str, str], out: Path, url: str | None
) -> tuple[Edit, list[Path]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    async with gateway_at(url) as client:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(f"editing {image.name}")

            def show(event: Event) -> None:
                if words := meanwhile(event):
                    progress.update(task, description=words)

            # Where nobody watches, one answer is waited for instead of a stream.
            on_event = show if console.is_terminal else None
            made = await client.edit(prompt, image, mask=mask, extra=fields, on_event=on_event)
        return made, await save(client, made, out)


def _refuse_unwritable(out: Path) -> None:
    """Before anything is bought: a picture that cannot be written would be paid for in vain."""
    place = next(path for path in (out, *out.parents) if path.exists())
    if place == out and out.is_dir():
        raise click.BadParameter(f"{out} is a folder; name a file, such as {out / 'picture.png'}", param_hint="--out")
    if not os.access(place, os.W_OK) or (place != out and not place.is_dir()):
        raise click.BadParameter(f"nothing can be written to {place}; name another place", param_hint="--out")


async def save(client: AsyncKontext, made: Edit, out: Path) -> list[Path]:
    """The edit's pictures as files: `out`, and with a number before its ending for further ones."""
    paths: list[Path] = []
    for number, image in enumerate(made.images):
        path = out if number == 0 else out.with_stem(f"{out.stem}-{number}")
        path = path if path.suffix or path.exists() else path.with_suffix(f".{image.format}")
        try:
            paths.append(await client.save(image, path))
        except OSError as error:
            words = f"{path} cannot be written ({error.strerror}); while it is kept, the picture is at {image.url}"
            raise click.ClickException(words) from None
    return paths
