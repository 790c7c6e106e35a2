"""What the load scripts share: stand-ins, gateways and callers, each in processes of their own.

Callers come by the clock and not when the one before was answered (an open loop): a gateway that stalls meets those who
came meanwhile, and their waiting counts.
"""

import asyncio
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from urllib.request import urlopen

import aiohttp
from msgspec import Struct
from PIL import Image

from gateway.rehearsal.configuration import write_config
from gateway.rehearsal.server import Rehearsal
from gateway.secret import key_hash
from gateway.state.embedded import stop
from tests.benchmarks.overhead import BOUNDARY, form, jpeg, quantiles
from tests.ports import free_port

KEY = "kx_load"
MODELS = '["runware/kontext-pro"]'
_METRIC = re.compile(r"^(\w+)(\{.*\})? (\S+)", re.MULTILINE)


# --- processes ------------------------------------------------------------------------------------------------------


def _serve_stand_in(said: Connection, seconds: float) -> None:
    async def main() -> None:
        async with Rehearsal.serve(seconds=seconds, fast=True) as rehearsal:
            said.send(rehearsal.url)
            await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def stand_in(seconds: float) -> Generator[str]:
    """Where an edit takes so many seconds."""
    ours, theirs = multiprocessing.Pipe()
    target = multiprocessing.get_context("spawn").Process(target=_serve_stand_in, args=(theirs, seconds), daemon=True)
    target.start()
    try:
        yield ours.recv()
    finally:
        target.terminate()
        target.join()


class Gateway:
    """A gateway in a process of its own, with its metrics on a port of theirs."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, metrics_url: str) -> None:
        self.process, self.url, self._metrics_url = process, url, metrics_url

    def metrics(self) -> dict[str, float]:
        """Every series, by its name with its labels."""
        with urlopen(self._metrics_url, timeout=30) as page:
            found = _METRIC.findall(page.read().decode())
        return {name + labels: float(value) for name, labels, value in found}

    def memory_mb(self) -> float:
        """Resident, of the gateway's process alone."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def gateways(provider: str, count: int = 1, *, places: int, seconds: float, more: str = "") -> Generator[list[Gateway]]:
    """So many on one state, before a provider that takes `places` edits of so many seconds at a time. `more` stands in
    their configuration. Those that still live are killed at the end: what they have is nobody's."""
    with tempfile.TemporaryDirectory(prefix="kontext-load-") as folder:
        config = Path(folder) / "kontext.toml"
        write_config(config, provider, key_hash(KEY), seconds=seconds)
        text = config.read_text().replace("[providers.runware]", f"[providers.runware]\nmax_concurrency = {places}")
        started: list[Gateway] = []
        try:
            while len(started) < count:
                started.append(_start(config, f"{text}\n{more}"))
            yield started
        finally:
            for one in started:
                one.process.kill()
                one.process.wait()
            asyncio.run(stop(Path(folder) / ".kontext"))


def _start(config: Path, text: str) -> Gateway:
    port = free_port()
    config.write_text(f"{text}\n[metrics]\nport = {port}\n")
    command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ, text=True)
    assert process.stdout
    url = process.stdout.readline().split(" at ")[1].split()[0]
    return Gateway(process, url, f"http://127.0.0.1:{port}/metrics")


# --- callers --------------------------------------------------------------------------------------------------------


class Plan(Struct, frozen=True, kw_only=True):
    """Edits that are asked for, evenly from `after_s` on. `picture`: which; `prefer`: whether their callers wait."""

    name: str
    per_s: float
    count: int
    after_s: float = 0.0
    key: str = KEY
    prefer: str = "wait=600"
    deadline_s: float = 900.0


class Answer(Struct, frozen=True, kw_only=True):
    """`due_s`: when it was to be asked for, since the beginning; `seconds`: from then to its answer."""

    plan: str
    due_s: float
    seconds: float
    status: int
    edit: str = ""
    retry_after: str = ""


class Callers:
    """A process that asks by its plans."""

    def __init__(self, url: str, plans: Iterable[Plan], picture: bytes) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process
        self._process = process(target=_call, args=(theirs, url, tuple(plans), picture), daemon=True)
        self._process.start()
        self._ours.recv()
        self.began_s = time.monotonic()

    def answers(self) -> list[Answer]:
        """When all are there."""
        found: list[Answer] = self._ours.recv()
        self._process.join()
        return found


def _call(said: Connection, url: str, plans: tuple[Plan, ...], picture: bytes) -> None:
    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=900)
        async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as http:
            said.send("ready")
            said.send(await _all(http, plans, picture))

    asyncio.run(main())


async def _all(http: aiohttp.ClientSession, plans: tuple[Plan, ...], picture: bytes) -> list[Answer]:
    began_s, tasks = time.monotonic(), list[asyncio.Task[Answer]]()
    calls = sorted(
        (plan.after_s + number / plan.per_s, plan.name, plan) for plan in plans for number in range(plan.count)
    )
    bodies = {plan.name: _body(plan, picture) for plan in plans}
    for due_s, name, plan in calls:
        await asyncio.sleep(began_s + due_s - time.monotonic())
        tasks.append(asyncio.create_task(_one(http, plan, bodies[name], began_s, due_s)))
    return list(await asyncio.gather(*tasks))


def _body(plan: Plan, picture: bytes) -> bytes:
    fields = {"prompt": f"Make it blue for {plan.name}", "models": MODELS, "output.format": "jpeg"}
    return form(picture, {**fields, "deadline_s": f"{plan.deadline_s:g}"})


async def _one(http: aiohttp.ClientSession, plan: Plan, body: bytes, began_s: float, due_s: float) -> Answer:
    headers = {
        "authorization": f"Bearer {plan.key}",
        "content-type": f"multipart/form-data; boundary={BOUNDARY}",
        "prefer": plan.prefer,
    }
    status, edit, after = 0, "", ""
    try:
        async with http.post("/v1/edits", data=body, headers=headers) as reply:
            await reply.read()
            status, edit = reply.status, reply.headers.get("x-edit-id", "")
            after = reply.headers.get("retry-after", "")
    except (aiohttp.ClientError, TimeoutError):
        pass  # status 0: the connection broke
    seconds = time.monotonic() - began_s - due_s
    return Answer(plan=plan.name, due_s=due_s, seconds=seconds, status=status, edit=edit, retry_after=after)


def noise(megabytes: float) -> bytes:
    """A JPEG of about that size that does not compress."""
    side = int((megabytes * 1e6 / 0.9) ** 0.5)
    picture = Image.frombytes("RGB", (side, side), Random(1).randbytes(3 * side * side))
    out = BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def photo() -> bytes:
    return jpeg()


# --- figures --------------------------------------------------------------------------------------------------------


def lag_ms(before: dict[str, float], after: dict[str, float], share: float) -> float:
    """A quantile of the event loop's lag between two readings, as PromQL reckons it; the widest bound beyond it."""
    name = 'kontext_event_loop_lag_seconds_bucket{le="'
    counts = {key[len(name) : -2]: after[key] - before.get(key, 0) for key in after if key.startswith(name)}
    bounds = sorted((float(bound.replace("+Inf", "inf")), count) for bound, count in counts.items())
    wanted, low_s, below = share * bounds[-1][1], 0.0, 0.0
    for bound_s, count in bounds:
        if count >= wanted and bound_s != float("inf"):
            return 1000 * (low_s + (bound_s - low_s) * (wanted - below) / max(1.0, count - below))
        if bound_s != float("inf"):
            low_s, below = bound_s, count
    return 1000 * low_s


def seconds_of(answers: Iterable[Answer], *, ok: bool = True) -> dict[str, float]:
    """Quantiles of the times of those that succeeded, or of those that were refused; all 0 without any."""
    wanted = (200,) if ok else (429, 503)
    return quantiles([one.seconds for one in answers if one.status in wanted] or [0.0])


def told(figures: dict[str, float], *, as_json: bool) -> None:
    """One line each, with what else the machine had to do."""
    figures = {
        **figures,
        "load average of the machine": os.getloadavg()[0],
        "its processors": float(os.cpu_count() or 1),
    }
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:60} {value:10.2f}")


def ended_by(gateway: Gateway, number: signal.Signals, within_s: float) -> float:
    """Seconds from the signal to the end of the process; `within_s` where it had to be killed."""
    began_s = time.monotonic()
    gateway.process.send_signal(number)
    try:
        gateway.process.wait(within_s)
    except subprocess.TimeoutExpired:
        gateway.process.kill()
        return within_s
    return time.monotonic() - began_s
