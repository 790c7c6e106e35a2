"""`kontext`: the commands by name. Each room beside this one holds one of them, and imports what it needs when it is
called, so that `--help` answers at once."""

import rich_click as click

from gateway.cli.audit import audit_command
from gateway.cli.check import check
from gateway.cli.demo import demo
from gateway.cli.drain import drain
from gateway.cli.edit import edit
from gateway.cli.key import key
from gateway.cli.lab import lab
from gateway.cli.local import local
from gateway.cli.quote import quote
from gateway.cli.rehearse import rehearse
from gateway.cli.restore import restore
from gateway.cli.serve import serve
from gateway.cli.top import top
from gateway.cli.usage import usage

click.rich_click.TEXT_MARKUP = "markdown"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kontext-gateway", prog_name="kontext")
def main() -> None:
    """One internal API for AI image edits: routed by cost, quality and health, paid exactly once, explained.

    Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused, 4 budget, 5 no offer, 6 unresolved,
    7 unreachable.
    """


for command in (serve, edit, quote, check, key, usage, top, audit_command, restore, drain, rehearse, demo, lab, local):
    main.add_command(command)
