"""Gateways beside each other on one state folder, in processes of their own, killed as a machine dies.

They listen on loopback, buy from stand-ins alone, and are all gone when the fleet is left.
"""

import asyncio
import json
import os
import random
import re
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from gateway.rehearsal.backstage import KEY
from gateway.rehearsal.configuration import KEY_FILE, MODELS
from gateway.secret import key_hash

TEAM_KEY = "kx_fleet"
START_WITHIN_S = 60.0
END_WITHIN_S = 30.0
_COMMAND = (sys.executable, "-m", "gateway.cli")
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+")


class Account(Struct, frozen=True, kw_only=True):
    """A provider of the configuration: our name for it, the adapter that speaks its wire, where its stand-in is.
    `settings`: more lines of its section."""

    name: str
    adapter: str
    base_url: str
    settings: tuple[str, ...] = ()


class Terms(Struct, frozen=True, kw_only=True):
    """`policies`: the offers of each, in order. `seconds`: how long an edit takes at the stand-ins.
    `allow_hosts`: hosts inside that webhooks may go to."""

    accounts: tuple[Account, ...]
    policies: Mapping[str, Sequence[str]]
    seconds: float
    beat_s: float = 0.2
    dead_after_s: float = 1.0
    in_flight: int = 5000
    reconcile_s: float = 60.0
    allow_hosts: tuple[str, ...] = ()


class FleetFailed(Exception):  # noqa: N818 - the name is the fact
    """A process of the fleet did not start; the message holds its last words."""


def write_terms(folder: Path, terms: Terms, *, key: str = KEY) -> Path:
    """The `kontext.toml` of a fleet in `folder`, and beside it the key that the stand-ins take."""
    key_file = folder / KEY_FILE
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(f"{key}\n")
    path = folder / "kontext.toml"
    path.write_text("\n".join(_lines(terms)), encoding="utf-8")
    return path


def _lines(terms: Terms) -> list[str]:
    lines = ["[state]", 'dir = "state"', f"beat_s = {terms.beat_s}", f"dead_after_s = {terms.dead_after_s}", ""]
    lines += ["[ledger]", 'url = "sqlite:state/ledger.db"', f"reconcile_s = {terms.reconcile_s}", ""]
    lines += ["[limits]", f"in_flight = {terms.in_flight}", ""]
    if terms.allow_hosts:
        lines += ["[egress]", f"allow_hosts = {json.dumps(terms.allow_hosts)}", ""]
    for account in terms.accounts:
        lines += _provider(account, terms.seconds)
    for name, offers in terms.policies.items():
        named = ", ".join(f'"{offer}"' for offer in offers)
        lines += [f"[policies.{name}]", f"offers = [{named}]", ""]
    first = next(iter(terms.policies))
    return [*lines, "[teams.fleet]", f'policy = "{first}"', f'keys = ["{key_hash(TEAM_KEY)}"]', ""]


def _provider(account: Account, seconds: float) -> list[str]:
    head = [
        f"[providers.{account.name}]",
        f'adapter = "{account.adapter}"',
        f'api_key = "file:{KEY_FILE}"',
        f'base_url = "{account.base_url}"',
        *account.settings,
    ]
    models = [place.rpartition(".")[2] for place in MODELS if place.startswith(f"{account.adapter}.")]
    times = [
        line for model in models for line in (f"[providers.{account.name}.models.{model}]", f"usual_s = {seconds}")
    ]
    return [*head, *times, ""]


class Serving:
    """A command that serves until it is told to stop. `url` is its address."""

    def __init__(self, process: Process, url: str) -> None:
        self._process, self.url = process, url

    def __repr__(self) -> str:
        return f"Serving({self.url}, pid {self._process.pid}, {self._process.returncode})"

    @classmethod
    async def start(cls, *words: str, log: Path) -> "Serving":
        """Ready when this returns: the command's first line names its address. Raises `FleetFailed`."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(*_COMMAND, *words, stdin=DEVNULL, stdout=PIPE, stderr=errors)
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_WITHIN_S)
        except BaseException:
            process.kill()
            await process.communicate()
            raise
        found = _ADDRESS.search(line)
        if found is None:
            process.kill()
            await process.communicate()
            raise FleetFailed(f"kontext {' '.join(words)} did not start: {_tail(log)}")
        return cls(process, found.group().decode())

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ended by `number`, or by a kill where that does not help in time."""
        if self._process.returncode is None:
            self._process.send_signal(number)
        try:
            await asyncio.wait_for(self._process.communicate(), END_WITHIN_S)
        except TimeoutError:
            self._process.kill()
            await self._process.communicate()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


class Fleet:
    """`replicas` gateways; a killed one is replaced at once, as an orchestrator would."""

    def __init__(self, folder: Path, config: Path) -> None:
        self._config, self._log = config, folder / "gateways.log"
        self._live: list[Serving] = []
        self.kills = 0

    def __repr__(self) -> str:
        return f"Fleet({self._live!r}, {self.kills} kills)"

    @property
    def urls(self) -> tuple[str, ...]:
        """Where gateways answer now. Empty for a moment when the only one was killed."""
        return tuple(each.url for each in self._live)

    async def add(self, count: int = 1) -> None:
        started = await asyncio.gather(*(self._start() for _ in range(count)))
        self._live.extend(started)

    async def _start(self) -> Serving:
        return await Serving.start("serve", "--config", str(self._config), "--port", "0", log=self._log)

    async def kill_one(self, chance: random.Random) -> None:
        """SIGKILL to one of them, and another one in its place."""
        victim = chance.choice(self._live)
        try:
            await victim.end(signal.SIGKILL)
        finally:
            self._live.remove(victim)  # callers learn it later than it happened
        self.kills += 1
        await self.add()

    async def aclose(self) -> None:
        """In order: each writes to the ledger what waits in the outbox."""
        live, self._live = self._live, []
        await asyncio.gather(*(each.end() for each in live))


@asynccontextmanager
async def fleet(folder: Path, config: Path, replicas: int) -> AsyncGenerator[Fleet]:
    ships = Fleet(folder, config)
    try:
        await ships.add(replicas)
        yield ships
    finally:
        await ships.aclose()


def new_folder() -> Path:
    """Short, since the engine's socket lies in it."""
    return Path(tempfile.mkdtemp(prefix="kontext-fleet-"))
