"""Commands are opened by name, one at a time."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from gateway.cli.main import COMMANDS, main

ALONE = """
import sys
from click.testing import CliRunner
from gateway.cli.main import main
ended = CliRunner().invoke(main, ["edit", "--help"])
assert ended.exit_code == 0, ended.output
assert "sqlalchemy" not in sys.modules
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_found_by_its_name(name: str) -> None:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    assert found.name == name


def test_every_command_is_listed() -> None:
    rooms = [
        path.stem for path in Path("gateway/cli").glob("*.py") if path.stem not in ("main", "__main__", "__init__")
    ]
    made = {
        (room, found)
        for room in rooms
        for found in vars(import_module(f"gateway.cli.{room}")).values()
        if isinstance(found, click.Command) and found.callback and found.callback.__module__ == f"gateway.cli.{room}"
    }
    within = {child.name for _, one in made if isinstance(one, click.Group) for child in one.commands.values()}
    assert {one.name for _, one in made} - within == set(COMMANDS)


def test_an_edit_does_not_wait_for_what_an_audit_needs() -> None:
    ended = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
