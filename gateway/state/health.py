"""What the replicas tell each other of the offers' health: sketches, circuits, and what operators took out of service.

None of it is money. When the store is away each call raises `StoreUnavailable`, and ranking goes on with what was last
read. Times are epoch seconds of the replicas' own clocks: a second of skew moves the end of an ejection by a second,
and nothing else.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from gateway.observe import log
from gateway.state import keys
from gateway.state.connection import unavailable
from gateway.state.scripts import Scripts, Step
from policies.circuit import CLOSED, Circuit
from policies.sketch import Sketch

DEAD_S = 10.0
"""A replica that has told nothing for so long is taken as gone: what it saw is left out, and swept."""


class Told(Struct, frozen=True, kw_only=True):
    """One replica's word: what it has seen of each offer, until when an account asked to be left alone, and how many
    edits wait for a place there."""

    at_s: float
    sketches: dict[str, Sketch] = {}
    quiet: dict[str, float] = {}
    queued: dict[str, int] = {}


class Versioned(Struct, frozen=True):
    """A circuit as the store holds it; version 0 is one that it never held."""

    version: int = 0
    circuit: Circuit = CLOSED


class Drain(Struct, frozen=True, kw_only=True):
    """Who took a provider out of service, when, and why."""

    by: str
    at_ms: int
    note: str


class Known(Struct, frozen=True, kw_only=True):
    """What the store holds, read in one go. `others` without this replica and the dead; `in_use` by account."""

    others: tuple[Told, ...] = ()
    circuits: dict[str, Versioned] = {}
    drained: dict[str, Drain] = {}
    in_use: dict[str, int] = {}


_Fields: TypeAlias = Mapping[bytes, bytes]
_T = TypeVar("_T", Told, Circuit, Drain)


class SharedHealth:
    """`replica` is whose word is told here."""

    def __init__(self, store: Redis, replica: str) -> None:
        self._store, self._replica = store, replica
        self._scripts = Scripts(store)

    async def exchange(self, told: Told, circuits: Iterable[str], accounts: Iterable[str]) -> Known:
        """Tells this replica's word and reads everything else, in one round trip."""
        circuits, accounts = tuple(circuits), tuple(accounts)
        with unavailable():
            pipeline = self._store.pipeline(transaction=False)
            pipeline.hset(keys.FACTS, self._replica, cast("Any", msgspec.json.encode(told)))
            pipeline.hgetall(keys.FACTS)
            pipeline.hgetall(keys.DRAINED)
            for name in circuits:
                pipeline.hgetall(keys.CIRCUIT + name)
            for account in accounts:
                pipeline.scard(keys.PERMITS + account)
            replies = await pipeline.execute()
        return Known(
            others=await self._living(cast("_Fields", replies[1]), told.at_s),
            drained=_read_all(cast("_Fields", replies[2]), Drain),
            circuits={name: _versioned(replies[3 + n]) for n, name in enumerate(circuits)},
            in_use=dict(zip(accounts, cast("list[int]", replies[3 + len(circuits) :]), strict=True)),
        )

    async def _living(self, fields: _Fields, now_s: float) -> tuple[Told, ...]:
        """The others' words; what the dead said is swept."""
        told = _read_all(fields, Told)
        dead = [name for name, word in told.items() if now_s - word.at_s > DEAD_S]
        if dead:
            with unavailable():
                await self._store.hdel(keys.FACTS, *dead)
        return tuple(word for name, word in told.items() if name != self._replica and name not in dead)

    async def turn(self, name: str, read: Versioned, circuit: Circuit) -> tuple[bool, Versioned]:
        """Writes `circuit` over what was `read`. False where somebody was faster: then what they wrote is given."""
        reply = await self._scripts.run(
            Step.TURN, (keys.CIRCUIT + name,), secrets.token_hex(8), read.version, msgspec.json.encode(circuit)
        )
        version = cast("int", reply[2])
        if reply[0] == b"ok":
            return True, Versioned(version, circuit)
        return False, Versioned(version, _read(cast("bytes", reply[3]), Circuit) or CLOSED)

    async def drain(self, provider: str, drain: Drain) -> None:
        with unavailable():
            await self._store.hset(keys.DRAINED, provider, cast("Any", msgspec.json.encode(drain)))

    async def undrain(self, provider: str) -> None:
        with unavailable():
            await self._store.hdel(keys.DRAINED, provider)


def _versioned(fields: _Fields) -> Versioned:
    document = fields.get(b"document")
    if document is None:
        return Versioned()
    return Versioned(int(fields[b"version"]), _read(document, Circuit) or CLOSED)


def _read_all(fields: _Fields, kind: type[_T]) -> dict[str, _T]:
    found = {name.decode(): _read(document, kind) for name, document in fields.items()}
    return {name: document for name, document in found.items() if document is not None}


def _read(document: bytes, kind: type[_T]) -> _T | None:
    """None for what this release cannot read: another one wrote it, and health can do without."""
    try:
        return msgspec.json.decode(document, type=kind) if document else None
    except msgspec.DecodeError as error:
        log.warning("health_unreadable", kind=kind.__name__, error=str(error))
        return None
