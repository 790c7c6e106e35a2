"""The clock and the dice of the gateway, handed to whoever needs them, so that tests can wind them by hand."""

import asyncio
import random
import secrets
import time
from datetime import UTC, date, datetime
from typing import Protocol


class Clock(Protocol):
    """`now_ms`: epoch milliseconds; `monotonic`: seconds that never jump; `chance`: uniform in [0, 1)."""

    def now_ms(self) -> int: ...

    def monotonic(self) -> float: ...

    def chance(self) -> float: ...

    def random_bytes(self, count: int) -> bytes: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def chance(self) -> float:
        return random.random()  # noqa: S311 - jitter, not secrecy

    def random_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def day_of(now_ms: int) -> date:
    """The UTC day of an epoch time in milliseconds."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


def minute_of(now_ms: int) -> int:
    """The minute of its UTC day, from 0."""
    return now_ms // 60_000 % 1440


def iso(now_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
