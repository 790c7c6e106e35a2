"""How often an API key may ask: at most so many requests in any minute, wherever they arrive.

When the store is away nothing is admitted: what a request is for would not be accepted either.
"""

import math
from collections.abc import Callable
from typing import cast

from msgspec import Struct
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.scripts import Scripts, Step

WINDOW_S = 60


class Rate(Struct, frozen=True, kw_only=True):
    """What the RateLimit header fields tell: of `limit` requests in `window_s`, `remaining` are left, and in `reset_s`
    (rounded up) one more is admitted. For a request that was not, that is the time to wait."""

    admitted: bool
    limit: int
    window_s: int
    remaining: int
    reset_s: int


class Rates:
    """A sliding window of every admitted request, not a bucket of tokens: the count is exact, and a repeat of the
    command finds its own member instead of taking a second token."""

    def __init__(self, store: Redis, *, clock: Callable[[], int] | None = None) -> None:
        self._scripts = Scripts(store, clock)

    async def admit(self, team: str, key_id: str, per_minute: int, token: str) -> Rate:
        """`token` is random, and new for each request: a repeat with it is counted once."""
        reply = await self._scripts.run(Step.ADMIT, (keys.rate(team, key_id),), token, per_minute, WINDOW_S * 1000)
        said, _, remaining, reset_ms = reply
        return Rate(
            admitted=said == b"ok",
            limit=per_minute,
            window_s=WINDOW_S,
            remaining=cast("int", remaining),
            reset_s=math.ceil(cast("int", reset_ms) / 1000),
        )
