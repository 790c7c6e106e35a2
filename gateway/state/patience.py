"""How long a new request is kept while the store is away: a failover takes seconds, and its caller would wait anyway.

The time counts from when the store was first seen away, not from each request: who comes after it is told at once, so
that a long outage is refused early and cheaply. A step may be tried again because a repeat of it changes nothing.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.clock import Clock
from gateway.state.connection import StoreFull, StoreUnavailable

T = TypeVar("T")
Again = Callable[[StoreUnavailable], Awaitable[bool]]

PAUSE_S = 0.25


async def never(_: StoreUnavailable) -> bool:
    """Of who is told at the first failure."""
    return False


class Patience:
    """`seconds` of an outage are waited out; 0 waits for nothing."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._away_since_s: float | None = None

    async def again(self, why: StoreUnavailable) -> bool:
        """Whether to try once more, a pause later. A store that is full stays full."""
        now_s = self._clock.monotonic()
        if self._away_since_s is None:
            self._away_since_s = now_s
        if isinstance(why, StoreFull) or now_s - self._away_since_s >= self._seconds:
            return False
        await self._clock.sleep(PAUSE_S)
        return True

    def well(self) -> None:
        """The store answered: its next absence is counted anew."""
        self._away_since_s = None

    async def keep(self, step: Callable[[], Awaitable[T]]) -> T:
        """What `step` gives, which is tried again while the outage is young. Raises `StoreUnavailable`."""
        while True:
            try:
                given = await step()
            except StoreUnavailable as why:
                if not await self.again(why):
                    raise
            else:
                self.well()
                return given
