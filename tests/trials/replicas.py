"""`python -m tests.trials.replicas`: three gateways in network namespaces of their own, a store under three Sentinels,
a ledger in PostgreSQL, and load; the store's primary is killed, a gateway is cut off, each gateway is restarted.

Needs root, `ip`, `unshare` and PostgreSQL's programs. All of it happens in a network namespace that this script makes
and that leads nowhere. It prints what was lost, paid twice and refused; the stand-ins' bill is the judge.
"""

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from gateway.rehearsal.server import Rehearsal
from gateway.secret import key_hash
from tests.end_to_end.stage import PHOTO_URI, PROMPT
from tests.ledger import postgres
from tests.state.nodes import Fleet, fleet, start_sentinels

HUB, KEY = "10.77.0.1", "kx_trial"
GATEWAYS = ("10.77.0.11", "10.77.0.12", "10.77.0.13")
PORT = 8080

CONFIG = """\
[server]
host = "{host}"
port = {port}
secret = "file:signing"
accept_risks = ["public_without_tls", "readable_keys"]  # a trial in a network that leads nowhere
public_url = "http://{host}:{port}"
drain_s = 2.0
[state]
url = "{store}"
dir = "state-{host}"
beat_s = 0.5
dead_after_s = 3.0
[results]
url = "file:{folder}/results"
[ledger]
url = "{ledger}"
[providers.runware]
api_key = "file:provider"
base_url = "{stand_ins}/runware/v1"
max_concurrency = 200
[providers.runflow]
api_key = "file:provider"
base_url = "{stand_ins}/runflow"
max_concurrency = 200
[policies.production]
offers = ["runware/kontext-pro", "runflow/kontext-pro"]
[teams.trial]
policy = "production"
keys = ["{key}"]
"""


def sh(*words: str) -> None:
    subprocess.run(words, check=True)


def build_network() -> None:
    """A bridge in the middle, and a namespace for each gateway behind a cable of its own."""
    sh("mount", "--make-rprivate", "/")
    sh("mount", "-t", "tmpfs", "none", "/run/netns") if Path("/run/netns").is_dir() else Path("/run/netns").mkdir()
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "link", "add", "hub", "type", "bridge")
    sh("ip", "addr", "add", f"{HUB}/24", "dev", "hub")
    sh("ip", "link", "set", "hub", "up")
    for number, address in enumerate(GATEWAYS):
        sh("ip", "netns", "add", f"gw{number}")
        sh("ip", "link", "add", f"cable{number}", "type", "veth", "peer", "name", "eth0", "netns", f"gw{number}")
        sh("ip", "link", "set", f"cable{number}", "master", "hub", "up")
        for words in (
            ("addr", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            sh("ip", "-n", f"gw{number}", *words)


class Gateway:
    def __init__(self, number: int, folder: Path) -> None:
        self.number, self.folder, self.url = number, folder, f"http://{GATEWAYS[number]}:{PORT}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, http: httpx.AsyncClient) -> None:
        command = (sys.executable, "-m", "gateway.cli", "serve", "--config", str(self.folder / f"gw{self.number}.toml"))
        log = (self.folder / f"gw{self.number}.log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            "ip",
            "netns",
            "exec",
            f"gw{self.number}",
            *command,
            stdout=log,
            stderr=log,
            stdin=asyncio.subprocess.DEVNULL,
        )
        log.close()
        while not await self.is_ready(http):
            assert self.process.returncode is None, (self.folder / f"gw{self.number}.log").read_text()[-2000:]
            await asyncio.sleep(0.1)

    async def is_ready(self, http: httpx.AsyncClient) -> bool:
        try:
            return (await http.get(f"{self.url}/readyz", timeout=1)).status_code == 200
        except httpx.HTTPError:
            return False

    async def stop(self) -> float:
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        await self.process.wait()
        return time.monotonic() - began


class Balancer:
    """Asks every gateway how it is, as a load balancer does, and hands out those that said well."""

    def __init__(self, gateways: list[Gateway], http: httpx.AsyncClient) -> None:
        self._gateways, self._http = gateways, http
        self._well = list(gateways)
        self._turn = 0

    async def watch(self) -> None:
        while True:
            said = await asyncio.gather(*(one.is_ready(self._http) for one in self._gateways))
            self._well = [one for one, well in zip(self._gateways, said, strict=True) if well]
            await asyncio.sleep(0.25)

    def next(self) -> Gateway:
        self._turn += 1
        among = self._well or self._gateways
        return among[self._turn % len(among)]


class Load:
    """One caller an edit, each with a key of its own, each repeating with it until it is told an end."""

    def __init__(self, balancer: Balancer, http: httpx.AsyncClient) -> None:
        self._balancer, self._http = balancer, http
        self.answers: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.accepted: dict[str, str] = {}

    async def edit(self, number: int) -> None:
        headers = {"authorization": f"Bearer {KEY}", "idempotency-key": f"edit-{number}"}
        document = {"prompt": PROMPT, "images": [PHOTO_URI], "deadline_s": 120}
        over = time.monotonic() + 150
        while time.monotonic() < over:
            said = await self._once(headers, document)
            self.answers[said] += 1
            if said in ("succeeded", "failed", "refused"):
                self.ends[said] += 1
                return
            await asyncio.sleep(1)
        self.ends["never told"] += 1

    async def _once(self, headers: dict[str, str], document: dict[str, Any]) -> str:
        gateway, began_s = self._balancer.next(), time.monotonic()
        try:
            response = await self._http.post(f"{gateway.url}/v1/edits", json=document, headers=headers, timeout=40)
        except httpx.HTTPError as error:
            waited_s = time.monotonic() - began_s
            print(f"gateway {gateway.number} gave no answer in {waited_s:.1f} s: {error!r}", flush=True)
            return f"no answer ({type(error).__name__})"
        if "json" not in response.headers.get("content-type", ""):
            return f"{response.status_code} without a problem ({response.text[:40]})"
        body = response.json()
        if response.status_code in (200, 202):
            self.accepted[headers["idempotency-key"]] = body["id"]
            return body["status"] if response.status_code == 200 else "202"
        if response.status_code in (503, 409) and "retry-after" in response.headers:
            return f"{response.status_code} with Retry-After ({body['type'].rpartition(':')[2]})"
        return body.get("edit", {}).get("status") or f"{response.status_code} {body.get('type')}"


async def trial(edits: int, per_s: float, folder: Path) -> bool:
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(fleet(HUB))
        store = await start_sentinels(nodes, replicas=2)  # one may go, and another still confirms
        programs = postgres.programs()
        assert programs is not None, "PostgreSQL's programs are not installed"
        ledger = stack.enter_context(postgres.server(programs))
        rehearsal = Rehearsal(seconds=1.0, fast=True)
        stand_ins = await stack.enter_async_context(rehearsal.served(HUB))
        http = await stack.enter_async_context(httpx.AsyncClient(limits=httpx.Limits(max_connections=500)))
        (folder / "signing").write_text("0" * 64)
        (folder / "provider").write_text(rehearsal.key)
        for number, host in enumerate(GATEWAYS):
            text = CONFIG.format(
                host=host,
                port=PORT,
                store=store,
                ledger=ledger,
                stand_ins=stand_ins,
                folder=folder,
                key=key_hash(KEY),
            )
            (folder / f"gw{number}.toml").write_text(text)
        gateways = [Gateway(number, folder) for number in range(len(GATEWAYS))]
        for one in gateways:
            await one.start(http)
        balancer = Balancer(gateways, http)
        watching = asyncio.create_task(balancer.watch())
        load = Load(balancer, http)
        told = asyncio.create_task(_disturb(nodes, gateways, http, edits / per_s))
        callers: list[asyncio.Task[None]] = []
        for number in range(edits):
            callers.append(asyncio.create_task(load.edit(number)))
            await asyncio.sleep(1 / per_s)
        await asyncio.gather(*callers)
        await told
        watching.cancel()
        ok = _report(edits, load, rehearsal)
        for one in gateways:
            await one.stop()
        return ok


async def _disturb(nodes: Fleet, gateways: list[Gateway], http: httpx.AsyncClient, lasts_s: float) -> None:
    step = lasts_s / 6
    await asyncio.sleep(step)
    print(f"+{step:.0f} s: the store's primary is killed", flush=True)
    nodes.nodes[0].kill()
    await asyncio.sleep(step)
    print(f"+{2 * step:.0f} s: gateway 1 is cut off", flush=True)
    sh("ip", "link", "set", "cable1", "down")
    await asyncio.sleep(step)
    sh("ip", "link", "set", "cable1", "up")
    print(f"+{3 * step:.0f} s: gateway 1 is back", flush=True)
    for one in gateways:
        seconds = await one.stop()
        print(f"gateway {one.number} restarts (it took {seconds:.1f} s to go)", flush=True)
        await one.start(http)


def _report(edits: int, load: Load, rehearsal: Rehearsal) -> bool:
    charges = len(rehearsal.bill.entries)
    well = ("succeeded", "202", "no answer")
    failed = sum(n for said, n in load.answers.items() if not said.startswith(well) and "Retry-After" not in said)
    print(f"{'answers':<28}", dict(load.answers))
    print(f"{'ends':<28}", dict(load.ends))
    lost, twice = edits - load.ends["succeeded"] - load.ends["failed"], max(0, charges - load.ends["succeeded"])
    print(f"edits {edits} · without an end {lost} · charges {charges} · paid twice {twice}")
    print(
        f"answers that were neither an edit nor a 503 or 409 with Retry-After: {failed} of {sum(load.answers.values())}"
    )
    return not lost and not twice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=600)
    parser.add_argument("--per-s", type=float, default=10.0)
    parser.add_argument("--logs", type=Path, help="folder for the gateways' logs")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not asked.inside:
        own = (sys.executable, "-m", "tests.trials.replicas", *sys.argv[1:], "--inside")
        os.execvp("unshare", ("unshare", "--net", "--mount", *own))
    build_network()
    with tempfile.TemporaryDirectory(prefix="kontext-trial-") as folder:
        Path(folder).chmod(0o755)
        is_clean = asyncio.run(trial(asked.edits, asked.per_s, Path(folder)))
        if asked.logs:
            shutil.copytree(folder, asked.logs, ignore=shutil.ignore_patterns("results", "state-*"), dirs_exist_ok=True)
        raise SystemExit(0 if is_clean else 1)


if __name__ == "__main__":
    main()
