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
from gateway.settings import environment

HERE = "http://127.0.0.1:8080"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("image", type=_FILE)
@click.argument("prompt")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Where the picture goes.")
@click.option("--mask", type=_FILE, help="What may change: transparent, or white where it has no alpha channel.")
@click.option("--size", help="auto, model, a ratio such as 16:9, or pixels such as 1392x752.")
@click.option("--tier", help="The least quality: preview, draft, standard or premium.")
@click.option("--policy", help="The policy that chooses; else the team's.")
@click.option(
    "--model", "models", multiple=True, help="An offer such as runware/kontext-pro; several times for several."
)
@click.option("--max-cost", help="The most that all pictures may cost, in dollars.")
@click.option("--deadline", type=float, help="Seconds in which an attempt must have begun.")
@click.option("--seed", type=int)
@click.option("-n", type=int, help="How many pictures.")
@click.option(
    "--set", "extra", multiple=True, metavar="FIELD=VALUE", help="Any other field, such as output.quality=80."
)
@click.option("--url", help="The gateway; else KONTEXT_URL, else one at 127.0.0.1:8080, else one for this call.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer's JSON instead of the story.")
def edit(
    image: Path, prompt: str, out: Path, mask: Path | None, as_json: bool, url: str | None,
    models: tuple[str, ...], extra: tuple[str, ...], **given: object,
) -> None:  # fmt: skip
    """Edit a picture. The gateway's key is KONTEXT_API_KEY."""
    fields = _fields(out, models, extra, given)
    wish = Wish(image=image, prompt=prompt, mask=mask, fields=fields)
    console = Console(stderr=as_json)
    try:
        answer, paths = asyncio.run(_edit(console, wish, out, url))
    except CallFailed as failed:
        _fail(console, failed, as_json)
    if as_json:
        click.echo(json.dumps({**answer, "files": [str(path) for path in paths]}))
        return
    tell(console, answer)
    for path in paths:
        console.print(f"picture: {path}")


_NAMES = {"max_cost": "max_cost_usd", "deadline": "deadline_s"}


def _fields(out: Path, models: tuple[str, ...], extra: tuple[str, ...], given: dict[str, object]) -> dict[str, str]:
    """The request's fields from the options that were given; the picture's format from the file's ending."""
    formats = {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
    fields = {"output.format": formats.get(out.suffix.lower(), "png")}
    fields |= {_NAMES.get(name, name): str(value) for name, value in given.items() if value is not None}
    if models:
        fields["models"] = json.dumps(models)
    for pair in extra:
        name, _, value = pair.partition("=")
        fields[name] = value
    return fields


async def _edit(console: Console, wish: Wish, out: Path, url: str | None) -> tuple[Answer, list[Path]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    async with httpx.AsyncClient(timeout=httpx.Timeout(None, connect=3.0)) as http, _gateway(http, url) as client:
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task(f"editing {wish.image.name}")
            answer = await client.edit(wish)
        return answer, await client.save(answer, out)


@asynccontextmanager
async def _gateway(http: httpx.AsyncClient, url: str | None) -> AsyncGenerator[Client]:
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


def _fail(console: Console, failed: CallFailed, as_json: bool) -> NoReturn:
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
