"""What this replica has a bounded amount of, and which team holds how much of it: edits in flight, bytes of pictures.

Who comes in from outside is refused where it does not fit: that is cheaper than a queue. What is under way, or paid
for, waits for room instead (`patiently`), and goes before whoever comes in.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from gateway.clock import Clock
from gateway.current import Current
from gateway.engine.overload import Overloaded, Reason
from gateway.observe import Metrics
from gateway.settings import Limits
from policies.shares import Standing, fits, retry_after_s

USUAL_EDIT_S, USUAL_INTAKE_S = 10.0, 1.0
"""Until some were seen."""
_WEIGHT = 0.1
"""Of the newest in how long a part is usually held."""


class Hold:
    """A part of the room, until it is let go. `resize` never waits; to 0 it is as if nothing had been held."""

    def __init__(self, room: "Room", team: str, amount: int, began_s: float) -> None:
        self._room, self._team, self._amount, self._began_s = room, team, amount, began_s

    def __repr__(self) -> str:
        return f"Hold({self._amount} by {self._team})"

    def resize(self, amount: int) -> None:
        self._room.change(self._team, amount - self._amount)
        self._amount = amount

    def let_go(self) -> None:
        """Twice is once."""
        if self._amount:
            self.resize(0)
            self._room.was_held(self._began_s)


class Room:
    """`limit` is read of the limits in force. `usual_s`: how long a part is held, until that was seen. `show` is told
    what is taken."""

    def __init__(
        self,
        current: Current,
        clock: Clock,
        reason: Reason,
        limit: Callable[[Limits], int],
        *,
        usual_s: float,
        show: Callable[[int], None],
    ) -> None:
        self._current, self._clock, self._reason, self._limit = current, clock, reason, limit
        self._usual_s, self._show = usual_s, show
        self._held: Counter[str] = Counter()
        self._freed = asyncio.Event()
        self._next = asyncio.Lock()

    @classmethod
    def of_picture_bytes(cls, current: Current, clock: Clock, metrics: Metrics) -> "Room":
        show = metrics.picture_bytes.set
        return cls(
            current, clock, Reason.PICTURE_BYTES, lambda limits: limits.picture_bytes, usual_s=USUAL_INTAKE_S, show=show
        )

    @classmethod
    def of_edits(cls, current: Current, clock: Clock, metrics: Metrics) -> "Room":
        show = metrics.in_flight.set
        return cls(current, clock, Reason.IN_FLIGHT, lambda limits: limits.in_flight, usual_s=USUAL_EDIT_S, show=show)

    def __repr__(self) -> str:
        return f"Room({self._reason.value}: {self.taken} of {self.limit})"

    @property
    def limit(self) -> int:
        return self._limit(self._current.settings.limits)

    @property
    def taken(self) -> int:
        return self._held.total()

    def check(self, team: str, amount: int) -> None:
        """Raises `Overloaded` where the team may not hold so much more now."""
        standing = self._standing(team)
        if self._next.locked() or not fits(standing, amount):
            mine = not self._next.locked() and standing.taken + amount <= standing.limit
            wait_s = retry_after_s(1, self._usual_s, self._held[team] if mine else self.taken)
            raise Overloaded(self._reason, wait_s, mine=mine)

    def hold(self, team: str, amount: int) -> Hold:
        """Takes it, whether or not it fits."""
        self.change(team, amount)
        return Hold(self, team, amount, self._clock.monotonic())

    @asynccontextmanager
    async def patiently(self, team: str, amount: int) -> AsyncGenerator[Hold]:
        """Holds it while the block runs; waits for room first, in the order of coming."""
        async with self._next:
            while self.taken and self.taken + amount > self.limit:
                self._freed.clear()
                await self._freed.wait()
            hold = self.hold(team, amount)
        try:
            yield hold
        finally:
            hold.let_go()

    def change(self, team: str, amount: int) -> None:
        """For `Hold`."""
        self._held[team] += amount
        if self._held[team] == 0:
            del self._held[team]
        self._freed.set()
        self._show(self.taken)

    def was_held(self, since_s: float) -> None:
        """For `Hold`."""
        self._usual_s += _WEIGHT * (self._clock.monotonic() - since_s - self._usual_s)

    def _standing(self, team: str) -> Standing:
        teams = self._current.settings.teams
        return Standing(
            limit=self.limit,
            taken=self.taken,
            mine=self._held[team],
            share=teams[team].share if team in teams else 1.0,
            alone=len(teams) < 2,
        )
