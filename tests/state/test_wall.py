"""The wall under a storm, judged by the store's own history: its append-only file has every write of every step, in
order, so what it replays to after each transaction is all that anybody could ever have seen."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from gateway.state.budgets import Budgets
from tests.engine import running_engine

PRICE, GRANTED, PROCESSES, EACH = 40_000, 250, 4, 250
ROOT = Path(__file__).parents[2]


def commands(log: bytes) -> Iterator[list[bytes]]:
    """The commands of an append-only file, in the store's own wire format."""
    at = 0

    def line() -> bytes:
        nonlocal at
        end = log.index(b"\r\n", at)
        found, at = log[at:end], end + 2
        return found

    def word() -> bytes:
        nonlocal at
        size = int(line()[1:])
        found, at = log[at : at + size], at + size + 2
        return found

    while at < len(log):
        head = line()
        if head.startswith(b"*"):
            yield [word() for _ in range(int(head[1:]))]


def instants(log: bytes) -> Iterator[dict[bytes, int]]:
    """Spent and held together, by account, after each command or transaction that moved an account."""
    sums: dict[bytes, int] = defaultdict(int)
    within, moved = False, False
    for name, *args in commands(log):
        if name.upper() in (b"MULTI", b"EXEC"):
            within = name.upper() == b"MULTI"
        elif name.upper() == b"HINCRBY" and b":budget:" in args[0]:
            sums[args[0]] += int(args[2])
            moved = True
        if moved and not within:
            yield sums
            moved = False


async def append_only_file(store: Redis) -> bytes:
    told: Any = {**await store.config_get("dir"), **await store.config_get("appenddirname")}
    folder = Path(told["dir"]) / told["appenddirname"]
    (log,) = folder.glob("*.incr.aof")
    return log.read_bytes()


async def begin(url: str, first: int) -> asyncio.subprocess.Process:
    numbers = (first, EACH, PRICE, PRICE * GRANTED)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.state.submitter",
        url,
        *(str(number) for number in numbers),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def test_a_thousand_at_once_against_a_cap_for_250_never_pass_it_at_any_instant():
    async with running_engine() as url, Redis.from_url(url) as store:
        processes = [await begin(url, first) for first in range(0, PROCESSES * EACH, EACH)]
        printed = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
        assert sum(int(out) for out, _ in printed) == GRANTED
        peaks: dict[bytes, int] = defaultdict(int)
        for sums in instants(await append_only_file(store)):
            for account, micro in sums.items():
                peaks[account] = max(peaks[account], micro)
        assert len(peaks) == 9
        assert set(peaks.values()) == {PRICE * GRANTED}
        assert {one.spent_micro + one.held_micro for one in (await Budgets(store).everything()).values()} == {
            PRICE * GRANTED
        }
