"""This release and the one before, each as somebody who never saw the project installs it: a clone, a virtual
environment, the README's command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

ROOT = Path(__file__).parents[2]
# What an upgrade starts from until there is a tag: the last commit before upgrades were tried.
FIRST = "0c546c5b2dd5dcc627888bd68660c29164981683"


class Release(Struct, frozen=True, kw_only=True):
    """An installation in a folder of its own. Nothing of the tree that the tests run in is on its path."""

    folder: Path
    commit: str

    @property
    def program(self) -> tuple[str, ...]:
        return (str(self.folder / ".venv" / "bin" / "kontext"),)


def git(*words: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(("git", *words), cwd=cwd, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def previous() -> str:
    """The commit of the release before this one: the newest tag behind HEAD."""
    tag = git("describe", "--tags", "--abbrev=0", "HEAD^")
    return git("rev-parse", f"{tag}^{{commit}}") if tag else git("rev-parse", "--verify", f"{FIRST}^{{commit}}")


def installed(folder: Path, commit: str) -> Release:
    """Takes seconds where the packages were downloaded before, else a minute."""
    _run("git", "clone", "--quiet", "--no-checkout", str(ROOT), str(folder), cwd=folder.parent)
    _run("git", "checkout", "--quiet", commit, cwd=folder)
    _run(sys.executable, "-m", "venv", ".venv", cwd=folder)
    _run(".venv/bin/pip", "install", "--quiet", "uv", cwd=folder)
    _run(".venv/bin/uv", "sync", "--quiet", "--locked", "--no-default-groups", cwd=folder)
    return Release(folder=folder, commit=commit)


def _run(*words: str, cwd: Path) -> None:
    """In an environment without the one that the tests run in."""
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(words, cwd=cwd, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr[-2000:]}"


def needed() -> None:
    """Skips where there is nothing to upgrade from, but never in CI."""
    if previous():
        return
    missing = "this clone has no history to upgrade from"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
