"""The circuits as this replica knows them: what the store holds, and what happened here since.

An event counts here at once, in memory; the store learns of it a moment later by compare-and-set. Whoever finds that
another replica was faster steps again from what that one wrote: `policies.circuit.step` alone decides. Only a probe
waits for the store before anything is sent, so that of all replicas one edit takes the permit.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from msgspec import Struct

from gateway.clock import Clock
from gateway.state.health import SharedHealth, Versioned
from policies.circuit import CLOSED, Circuit, Event, State, admits, due, step

TRIES = 5
MOST_UNTOLD = 1000
"""Of events that a store that is away was not told of, the oldest are dropped."""


class Heard(Struct, frozen=True):
    """`chance` is drawn once, so that stepping again gives the same."""

    event: Event
    at_s: float
    chance: float


def _untold() -> deque[Heard]:
    return deque(maxlen=MOST_UNTOLD)


class Circuits:
    """By name: an offer's is the offer's, an account's is the provider's. `turned` is called after each change of state
    that this replica sees."""

    def __init__(self, shared: SharedHealth, clock: Clock, turned: Callable[[str, State], None]) -> None:
        self._shared, self._clock, self._turned = shared, clock, turned
        self._read: dict[str, Versioned] = {}
        self._untold: defaultdict[str, deque[Heard]] = defaultdict(_untold)
        self._now: dict[str, Circuit] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def of(self, name: str) -> Circuit:
        return due(self._now.get(name, CLOSED), self._at_s())

    def hear(self, name: str, event: Event) -> None:
        heard = Heard(event, self._at_s(), self._clock.chance())
        self._untold[name].append(heard)
        self._put(name, _stepped(self._now.get(name, CLOSED), (heard,)))

    def adopt(self, name: str, stands: Versioned) -> None:
        """What a read found. An older version is from before our own last turn."""
        if stands.version > self._read.get(name, Versioned()).version:
            self._stands(name, stands)

    async def tell(self) -> None:
        """The store learns what happened here. Raises `StoreUnavailable`; then it is told later."""
        for name in [name for name, untold in self._untold.items() if untold]:
            await self._turn(name)

    async def probe(self, name: str, *, last: bool) -> bool:
        """Takes the permit of a circuit that is not closed. False where it has none now. Raises `StoreUnavailable`."""
        return await self._turn(name, probe=True, last=last)

    async def _turn(self, name: str, *, probe: bool = False, last: bool = False) -> bool:
        async with self._locks[name]:
            for _ in range(TRIES):
                read, untold = self._read.get(name, Versioned()), tuple(self._untold[name])
                circuit = _stepped(read.circuit, untold)
                if probe:
                    if not admits(circuit, self._at_s(), last=last):
                        return False
                    circuit = step(circuit, Event.PROBE, self._at_s(), self._clock.chance())
                written, stands = (True, read) if circuit == read.circuit else await self._write(name, read, circuit)
                for _ in untold if written else ():
                    self._untold[name].popleft()
                self._stands(name, stands)
                if written:
                    return True
        return False

    async def _write(self, name: str, read: Versioned, circuit: Circuit) -> tuple[bool, Versioned]:
        return await self._shared.turn(name, read, circuit)

    def _stands(self, name: str, stands: Versioned) -> None:
        self._read[name] = stands
        self._put(name, _stepped(stands.circuit, self._untold[name]))

    def _put(self, name: str, circuit: Circuit) -> None:
        before = self._now.get(name, CLOSED)
        self._now[name] = circuit
        if before.state is not circuit.state:
            self._turned(name, circuit.state)

    def _at_s(self) -> float:
        return self._clock.now_ms() / 1000


def _stepped(circuit: Circuit, heard: Iterable[Heard]) -> Circuit:
    for one in heard:
        circuit = step(circuit, one.event, one.at_s, one.chance)
    return circuit
