"""Time that only moves when somebody sleeps or a test says so; chance that is given."""

import asyncio

EPOCH_MS = 1_800_000_000_000


class HandClock:
    """A sleeper moves the time on by itself and goes on at once. Between `hold` and `release` sleepers stay where they
    are, and `somebody_sleeps` returns when one does. `slept` is every sleep, in seconds."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.luck = 0.5
        self.slept: list[float] = []
        self._drawn = 0
        self._go = asyncio.Event()
        self._go.set()
        self._held = asyncio.Event()

    def now_ms(self) -> int:
        return EPOCH_MS + round(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s

    def chance(self) -> float:
        return self.luck

    def random_bytes(self, count: int) -> bytes:
        """Never twice the same, and the same in every run."""
        self._drawn += 1
        return self._drawn.to_bytes(count)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._held.set()
        await self._go.wait()
        self.now_s += seconds
        await asyncio.sleep(0)

    def forward(self, seconds: float) -> None:
        self.now_s += seconds

    def hold(self) -> None:
        self._go.clear()
        self._held.clear()

    def release(self) -> None:
        self._go.set()

    async def somebody_sleeps(self) -> None:
        await self._held.wait()


class Metronome:
    """The same time for a replica's duties, which go round once a `tick` and never by themselves."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._tick = asyncio.Event()
        self._rests = asyncio.Event()
        self.now_ms, self.monotonic = clock.now_ms, clock.monotonic
        self.chance, self.random_bytes = clock.chance, clock.random_bytes

    async def sleep(self, seconds: float) -> None:
        self._rests.set()
        await self._tick.wait()
        self._tick.clear()
        self._clock.forward(seconds)

    async def rests(self) -> None:
        """The duties have gone round, and wait."""
        await self._rests.wait()

    async def tick(self) -> None:
        """One more round, whole."""
        await self.rests()
        self._rests.clear()
        self._tick.set()
        await self.rests()
