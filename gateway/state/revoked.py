"""API keys that an operator took back, by their hash: stored once, known to every replica within half a second.

When the store is away a replica goes on with what it last read; nothing new is bought then anyway.
"""

from collections.abc import Awaitable
from typing import Any, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from gateway.clock import Clock
from gateway.observe import log
from gateway.state import keys
from gateway.state.connection import StoreUnavailable, unavailable

READ_S = 0.5


class Revocation(Struct, frozen=True, kw_only=True):
    """Who took the key back, when, and why."""

    by: str
    at_ms: int
    note: str


class Revoked:
    def __init__(self, store: Redis) -> None:
        self._store = store
        self._hashes: frozenset[str] = frozenset()

    def __contains__(self, key_hash: str) -> bool:
        return key_hash in self._hashes

    async def revoke(self, key_hash: str, revocation: Revocation) -> None:
        """For good: the first word stands, and a repeat changes nothing."""
        with unavailable():
            document = cast("Any", msgspec.json.encode(revocation))
            await self._store.hsetnx(keys.REVOKED, key_hash, document)
        await self.read()

    async def read(self) -> None:
        """Raises `StoreUnavailable`."""
        with unavailable():
            found = await cast("Awaitable[list[bytes]]", self._store.hkeys(keys.REVOKED))
        self._hashes = frozenset(name.decode() for name in found)

    async def go_on(self, clock: Clock) -> None:
        """Reads what other replicas were told, for as long as it runs."""
        while True:
            await clock.sleep(READ_S)
            try:
                await self.read()
            except StoreUnavailable:
                log.warning("revocations_not_read", error="the store is away; those known before hold")
            except Exception as error:  # noqa: BLE001 - a defect must not end this: what is taken back later must count
                log.error("revocations_failed", error=type(error).__name__, exc_info=error)
