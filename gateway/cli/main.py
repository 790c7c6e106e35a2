"""`kontext`: the commands by name. Each room beside this one holds one of them and is opened when that one is called,
so that none waits for what another one needs; only `--help`, which shows them all, opens every one."""

from importlib import import_module
from typing import cast

import rich_click as click

# by name: the room, and what it is called there; in the order in which they are needed
COMMANDS = {
    "serve": ("serve", "serve"),
    "edit": ("edit", "edit"),
    "quote": ("quote", "quote"),
    "check": ("check", "check"),
    "key": ("key", "key"),
    "usage": ("usage", "usage"),
    "top": ("top", "top"),
    "audit": ("audit", "audit_command"),
    "restore": ("restore", "restore"),
    "drain": ("drain", "drain"),
    "rehearse": ("rehearse", "rehearse"),
    "demo": ("demo", "demo"),
    "lab": ("lab", "lab"),
    "local": ("local", "local"),
}

click.rich_click.TEXT_MARKUP = "markdown"


class Rooms(click.RichGroup):
    """The commands of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        room, name = COMMANDS[cmd_name]
        return cast("click.Command", getattr(import_module(f"gateway.cli.{room}"), name))


@click.group(cls=Rooms, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kontext-gateway", prog_name="kontext")
def main() -> None:
    """One internal API for AI image edits: routed by cost, quality and health, paid exactly once, explained.

    Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused, 4 budget, 5 no offer, 6 unresolved,
    7 unreachable.
    """
