"""`kontext local`: the local backend as a server of its own, which speaks the OpenAI images protocol."""

import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec
import rich_click as click

from gateway.cli.exits import Exit
from gateway.local.dev.options import DEVICES, DTYPES, OFFLOADS, QUANTIZES, Options

if TYPE_CHECKING:
    from gateway.local.dev.doctor import Report

C = TypeVar("C", bound=Callable[..., None])


def engine_options(command: C) -> C:
    """The flags that the engine for FLUX.1 Kontext [dev] has, for each command that takes them."""
    flags = (
        click.option("--weights", help="FLUX.1 Kontext [dev]: a folder of diffusers' format, or a hub id."),
        click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True),
        click.option("--dtype", type=click.Choice(DTYPES), default="auto", show_default=True),
        click.option("--offload", type=click.Choice(OFFLOADS), default="auto", show_default=True,
                     help="What stays on the card: all, the part at work, or the layer at work (slow)."),
        click.option("--attention", help="diffusers' attention backend, such as `flash` or `sage`."),
        click.option("--quantize", type=click.Choice(QUANTIZES), help="The large parts in fewer bits."),
        click.option("--gguf", help="A GGUF file for the transformer."),
        click.option("--lora", multiple=True, help="A LoRA: a .safetensors file, or a folder with one. Repeatable."),
        click.option("--download", is_flag=True, help="Let the hub's library fetch what is not on this machine."),
        click.option("--steps", type=click.IntRange(1, 50), default=28, show_default=True),
        click.option("--guidance", type=float, default=2.5, show_default=True),
        click.option("--max-pixels", type=click.IntRange(4096, 4_194_304), default=1_048_576, show_default=True,
                     help="What the model makes at most; a larger picture is an enlargement."),
        click.option("--threads", type=click.IntRange(1), help="CPU threads of torch."),
        click.option("--warm-up/--no-warm-up", default=True, show_default=True),
        click.option("--timeout", "timeout_s", type=float, default=900.0, show_default=True,
                     help="Seconds for one edit, after which its worker is ended."),
    )  # fmt: skip
    for flag in reversed(flags):
        command = flag(command)
    return command


@click.group(invoke_without_command=True)
@click.option("--engine", type=click.Choice(["preview", "kontext-dev"]), default="preview", help="What edits pictures.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True)
@click.option("--queue", type=click.IntRange(0), default=8, show_default=True, help="Edits that may wait.")
@engine_options
@click.pass_context
def local(
    context: click.Context, engine: str, host: str, port: int, queue: int, weights: str | None, **flags: object
) -> None:
    """Serve the local backend. The preview needs no weights: a small grammar of whole-image edits, always stamped.

    `kontext-dev` is FLUX.1 Kontext [dev] on this machine; it needs
    `pip install 'kontext-gateway[local]'` and `--weights`.
    """
    if context.invoked_subcommand is not None:
        return
    from gateway.local.app import serve

    _refuse_taken(host, port)
    if engine == "preview":
        click.echo(
            f"local backend ({engine}) at http://{host}:{port}/v1   (base_url of a provider with adapter openai_images)"
        )
        serve(host, port)
        return
    if weights is None:
        raise click.UsageError("--engine kontext-dev needs --weights: a folder, or a hub id")
    _serve_dev(host, port, queue, msgspec.convert({"weights": weights, **flags}, Options))


def _refuse_taken(host: str, port: int) -> None:
    """Before an address is announced, and weights are read."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        words = f"{host}:{port} cannot be listened on ({os.strerror(error.errno or 0)}); choose another by --port"
        raise click.UsageError(words) from None


def _serve_dev(host: str, port: int, queue: int, options: Options) -> None:
    from gateway.local.dev.serving import serve
    from gateway.local.dev.weights import NOTICE, BadWeights

    click.echo(NOTICE, err=True)
    try:
        failure = serve(host, port, queue, options, click.echo)
    except BadWeights as error:
        failure = str(error)
    if failure is not None:
        click.echo(f"kontext local: {failure}", err=True)
        sys.exit(Exit.USAGE)


@local.command()
@engine_options
@click.option("--measure", is_flag=True, help="Load the model and time two steps.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(weights: str | None, measure: bool, as_json: bool, **flags: object) -> None:
    """Say what this machine can run of FLUX.1 Kontext [dev], how much memory that takes, and what is missing.

    Exit codes: 0 the server would start, 2 something is missing.
    """
    from gateway.local.dev.doctor import examine

    if measure and weights is None:
        raise click.UsageError("--measure needs --weights")
    options = None if weights is None else msgspec.convert({"weights": weights, **flags}, Options)
    report = examine(options, measure)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        _print(report)
    sys.exit(Exit.DONE if report.able else Exit.USAGE)


def _print(report: "Report") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    colours = {"ok": "green", "warning": "yellow", "missing": "red"}
    found = Table(title="this machine", title_justify="left", box=None, padding=(0, 2))
    for head in ("what", "", "found", "to do"):
        found.add_column(head, overflow="fold")
    for line in report.findings:
        word = f"[{colours[line.word]}]{line.word}[/]"
        found.add_row(line.what, word, escape(line.found), escape(line.do or ""))
    console.print(found)
    needs = Table(title="memory of the weights", title_justify="left", box=None, padding=(0, 2))
    for head in ("as", "GB", "--offload auto"):
        needs.add_column(head)
    for name, size in report.memory.items():
        needs.add_row(name, f"{size / 1e9:.4g}", report.offload.get(name, ""))
    console.print(needs)
    console.print(f"[dim]{escape(report.memory_source)}[/]")
    speed = report.speed
    seconds = "not known" if speed.seconds_per_edit is None else f"{speed.seconds_per_edit:.1f} s, {speed.basis}"
    console.print(f"an edit: {seconds} [dim]({escape(speed.note)})[/]")
