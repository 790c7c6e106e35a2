"""A keeper over a real store and a real place for pictures, and a clock that is wound by hand."""

import asyncio
import hashlib

from gateway.engine.eraser import Eraser
from gateway.engine.retention import Retention, duties_of
from gateway.engine.timing import Timing
from gateway.keeper import Keeper
from gateway.observe import Metrics
from gateway.results import Results
from gateway.state.contents import Contents
from gateway.state.edits import Edits
from gateway.state.patience import Patience
from gateway.state.references import Reference, References
from tests.engine_path.hand_clock import HandClock
from tests.engine_path.store_line import StoreLine

HOUR_S, WEEK_S = 3_600, 7 * 86_400
DATA = b"a picture" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()
NAME = f"growth/inputs/{DIGEST}"
HOUR = Reference(who="img_1", for_ms=1000 * HOUR_S)


class Slow(Results):
    """Deletes when `go_on` is set; `reached` says that it would."""

    reached: asyncio.Event
    go_on: asyncio.Event

    async def remove(self, name: str) -> None:
        self.reached.set()
        await self.go_on.wait()
        await super().remove(name)


class Keeping:
    def __init__(self, line: StoreLine, results: Results, clock: HandClock | None = None) -> None:
        self.line, self.results, self.clock = line, results, clock or HandClock()
        self.references = References(line, self.clock.now_ms)
        self.contents = Contents(line, clock=self.clock.now_ms)
        self.keeper = Keeper(results, self.references, Patience(self.clock, 0), self.clock, WEEK_S)

    def duty(self, replica: str = "a") -> Retention:
        """A replica's. Leases live by the store's own clock, so nothing here waits for the end of one."""
        metrics = Metrics("test", "test")
        return Retention(
            duties_of(self.line, replica, Timing(), compacts=False),
            Edits(self.line, replica, clock=self.clock.now_ms),
            self.contents,
            self.keeper,
            Eraser(self.contents, self.keeper, metrics),
            metrics,
            self.clock,
            Timing(),
        )

    async def put(self, reference: Reference = HOUR, team: str = "growth") -> None:
        await self.keeper.put(team, "inputs", DIGEST, DATA, reference)

    async def is_there(self, team: str = "growth") -> bool:
        kept = [name for names in [one async for one in self.results.pictures()] for name, _ in names]
        return f"{team}/inputs/{DIGEST}" in kept

    def forward(self, seconds: float) -> None:
        self.clock.forward(seconds)
