"""What `kontext edit` and `kontext quote` ask for alike: their options, and the request's fields from them."""

import json
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import rich_click as click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
Command = Callable[..., Any]

_OPTIONS = (
    click.option("--mask", type=FILE, help="What may change: transparent, or white where it has no alpha channel."),
    click.option("--size", help="auto, model, a ratio such as 16:9, or pixels such as 1392x752."),
    click.option("--tier", help="The least quality: preview, draft, standard or premium."),
    click.option("--policy", help="The policy that chooses; else the team's."),
    click.option(
        "--model", "models", multiple=True, help="An offer such as runware/kontext-pro; several times for several."
    ),
    click.option("--max-cost", help="The most that all pictures may cost, in dollars."),
    click.option("--deadline", type=float, help="Seconds in which an attempt must have begun."),
    click.option("--seed", type=int),
    click.option("-n", type=int, help="How many pictures."),
    click.option(
        "--set", "extra", multiple=True, metavar="FIELD=VALUE", help="Any other field, such as output.quality=80."
    ),
    click.option("--url", help="The gateway; else KONTEXT_URL, else one at 127.0.0.1:8080, else one for this call."),
)
_NAMES = {"max_cost": "max_cost_usd", "deadline": "deadline_s"}


def wish_options(command: Command) -> Command:
    """The options of a request, on a command."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)


def fields_of(models: tuple[str, ...], extra: tuple[str, ...], given: dict[str, object]) -> dict[str, str]:
    """The request's fields from the options that were given."""
    fields = {_NAMES.get(name, name): str(value) for name, value in given.items() if value is not None}
    if models:
        fields["models"] = json.dumps(models)
    for pair in extra:
        name, given_one, value = pair.partition("=")
        if not given_one:
            raise click.BadParameter(f"{pair!r} has no =; write FIELD=VALUE", param_hint="--set")
        fields[name] = value
    return fields
