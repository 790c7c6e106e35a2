"""How many edits a second one, two and four gateways take on this machine, and where its processors' time goes.
Prints a table; asserts nothing.

    uv run python -m tests.benchmarks.replicas [--replicas 1,2,4] [--seconds 10] [--callers 16] [--json]

Every gateway is a process as `kontext serve` runs it; all share one private store and one ledger in SQLite. The
stand-in answers a submit with the picture's address, so that nothing waits and everything is work. Callers send a
100 kB JPEG, each its next edit when the last one ended. *CPU per edit* is user and system time of the processes, from
`/proc`: gateways with their picture workers, the store, and the stand-in with the callers, which no real system pays.
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from tests.benchmarks.overhead import MODELS, connected, edit, form, gateways, jpeg, quantiles, stand_in

TICKS = os.sysconf("SC_CLK_TCK")
FIELDS = {"prompt": "Make the mug blue", "models": MODELS, "output.format": "jpeg"}


class Spent(Struct, frozen=True, kw_only=True):
    """Seconds of processor time."""

    gateways: float
    store: float
    harness: float

    def since(self, before: "Spent") -> "Spent":
        return Spent(
            gateways=self.gateways - before.gateways,
            store=self.store - before.store,
            harness=self.harness - before.harness,
        )


class Figures(Struct, frozen=True, kw_only=True):
    """Of one run. Times in milliseconds; `busy` is the share of all processors that was used."""

    replicas: int
    edits_per_s: float
    p50_ms: float
    p99_ms: float
    gateway_cpu_ms: float
    store_cpu_ms: float
    harness_cpu_ms: float
    busy: float


def spent(gateway_ids: Sequence[int]) -> Spent:
    """Of everything that this process started, and of itself."""
    parents, seconds, names = _processes()
    below = {pid: set(_ancestors(pid, parents)) for pid in parents}
    ours = [pid for pid in parents if os.getpid() in below[pid] or names[pid].startswith("valkey")]
    store = sum(seconds[pid] for pid in ours if names[pid].startswith("valkey"))
    serving = [pid for pid in ours if below[pid] & set(gateway_ids) and not names[pid].startswith("valkey")]
    gateways_ = sum(seconds[pid] for pid in serving)
    return Spent(gateways=gateways_, store=store, harness=sum(seconds[pid] for pid in ours) - store - gateways_)


def _processes() -> tuple[dict[int, int], dict[int, float], dict[int, str]]:
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    names: dict[int, str] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue  # it ended meanwhile
        words, pid = rest.split(), int(stat.parent.name)
        parents[pid], names[pid] = int(words[1]), name
        seconds[pid] = (int(words[11]) + int(words[12])) / TICKS
    return parents, seconds, names


def _ancestors(pid: int, parents: dict[int, int]) -> Generator[int]:
    """The process itself, its parent, and so on."""
    while pid in parents:
        yield pid
        pid = parents[pid]


def run(replicas: int, seconds: float, callers: int) -> Figures:
    with ExitStack() as stack:
        provider = stack.enter_context(stand_in(in_ack=True))
        served = stack.enter_context(gateways(provider, replicas))
        body = form(jpeg(), FIELDS)
        pool = stack.enter_context(ThreadPoolExecutor(callers))
        places = [url for _, (_, url) in zip(range(callers), itertools.cycle(served), strict=False)]
        list(pool.map(lambda url: _edits(url, body, time.monotonic() + 2), places))  # warm
        before, began_s = spent([pid for pid, _ in served]), time.monotonic()
        took = list(pool.map(lambda url: _edits(url, body, began_s + seconds), places))
        lasted_s = time.monotonic() - began_s
        used = spent([pid for pid, _ in served]).since(before)
    all_took = [one for some in took for one in some]
    found, edits = quantiles(all_took), len(all_took)
    total = used.gateways + used.store + used.harness
    return Figures(
        replicas=replicas,
        edits_per_s=edits / lasted_s,
        p50_ms=found["p50"],
        p99_ms=found["p99"],
        gateway_cpu_ms=used.gateways / edits * 1000,
        store_cpu_ms=used.store / edits * 1000,
        harness_cpu_ms=used.harness / edits * 1000,
        busy=total / lasted_s / (os.cpu_count() or 1),
    )


def _edits(url: str, body: bytes, until_s: float) -> list[float]:
    """One caller: milliseconds of each of its edits."""
    connection, took = connected(url), list[float]()
    while time.monotonic() < until_s:
        took.append(edit(connection, body)[1] * 1000)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", default="1,2,4")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = [run(int(count), asked.seconds, asked.callers) for count in asked.replicas.split(",")]
    if asked.json:
        print(json.dumps([{name: getattr(one, name) for name in one.__struct_fields__} for one in found]))
        return
    print(f"{os.cpu_count()} processors, {asked.callers} callers, CPU in ms an edit")
    print(
        "| gateways | edits/s | p50 ms | p99 ms | CPU gateways | CPU store | CPU stand-in and callers | machine busy |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for one in found:
        print(
            f"| {one.replicas} | {one.edits_per_s:.1f} | {one.p50_ms:.0f} | {one.p99_ms:.0f} "
            f"| {one.gateway_cpu_ms:.1f} | {one.store_cpu_ms:.2f} | {one.harness_cpu_ms:.1f} | {one.busy:.0%} |"
        )


if __name__ == "__main__":
    main()
