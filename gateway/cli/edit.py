"""`kontext edit IMAGE PROMPT -o OUT`: one edit, with progress while you wait."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import httpx
import rich_click as click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.cli.client import CallFailed, Client, Wish
from gateway.cli.story import Answer, tell
from gateway.cli.wishes import FILE, fields_of, wish_options
from gateway.configuration import environment

HERE = "http://127.0.0.1:8080"


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
    wish = Wish(image=image, prompt=prompt, mask=mask, fields=fields)
    console = Console(stderr=as_json)
    try:
        answer, paths = asyncio.run(_edit(console, wish, out, url))
    except CallFailed as failed:
        fail(console, failed, as_json)
    if as_json:
        click.echo(json.dumps({**answer, "files": [str(path) for path in paths]}))
        return
    tell(console, answer)
    for path in paths:
        console.print(f"picture: {path}")


FORMATS = {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
"""A file's ending -> the picture's format; any other is a PNG."""


async def _edit(console: Console, wish: Wish, out: Path, url: str | None) -> tuple[Answer, list[Path]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    async with httpx.AsyncClient(timeout=httpx.Timeout(None, connect=3.0)) as http, gateway_at(http, url) as client:
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task(f"editing {wish.image.name}")
            answer = await client.edit(wish)
        return answer, await client.save(answer, out)


@asynccontextmanager
async def gateway_at(http: httpx.AsyncClient, url: str | None) -> AsyncGenerator[Client]:
    """The gateway that was named, else the one of this machine, else one for this call."""
    env = environment()
    named = url or env.get("KONTEXT_URL")
    client = Client(http, named or HERE, env.get("KONTEXT_API_KEY") or env.get("KONTEXT_DEV_KEY", ""))
    if named or await client.is_there():
        yield client
        return
    from gateway.cli.throwaway import throwaway
    from gateway.observe import silence_logging

    silence_logging()
    async with throwaway(env) as (address, key):
        yield Client(http, address, key)


def fail(console: Console, failed: CallFailed, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps(failed.problem or {"detail": str(failed)}))
    else:
        edited = failed.problem.get("edit")
        if edited:
            tell(console, edited)
        console.print(f"[bold red]{failed}[/]")
        for word in ("field", "expected"):
            if word in failed.problem:
                console.print(f"  {word}: {failed.problem[word]}")
    raise SystemExit(failed.code)
