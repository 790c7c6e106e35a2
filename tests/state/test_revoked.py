"""A key that was taken back: for every replica, for good, and also while the store is away."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.clock import SystemClock
from gateway.state import keys
from gateway.state.connection import StoreUnavailable
from gateway.state.revoked import Revocation, Revoked
from gateway.task import running

WORD = Revocation(by="ops/1", at_ms=1, note="leaked")


async def test_what_one_replica_revokes_another_reads(store: Redis) -> None:
    here, there = Revoked(store), Revoked(store)
    await here.revoke("sha256:aa", WORD)
    assert "sha256:aa" in here
    assert "sha256:aa" not in there
    await there.read()
    assert "sha256:aa" in there
    assert "sha256:bb" not in there


async def test_the_first_word_stands(store: Redis) -> None:
    revoked = Revoked(store)
    await revoked.revoke("sha256:aa", WORD)
    before = await store.hgetall(keys.REVOKED)
    await revoked.revoke("sha256:aa", Revocation(by="ops/2", at_ms=2, note="again"))
    assert await store.hgetall(keys.REVOKED) == before


async def test_without_the_store_what_was_known_holds_and_nothing_is_taken_for_done(store: Redis) -> None:
    revoked = Revoked(store)
    await revoked.revoke("sha256:aa", WORD)
    await store.aclose()
    away = Redis(unix_socket_path="/nonexistent", retry=Retry(NoBackoff(), 0))
    revoked._store = away
    with pytest.raises(StoreUnavailable):
        await revoked.revoke("sha256:bb", WORD)
    assert "sha256:aa" in revoked
    await away.aclose()


class Stepped(SystemClock):
    """Sleeps until the test steps."""

    def __init__(self) -> None:
        self.slept, self.step = asyncio.Event(), asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.set()
        await self.step.wait()
        self.step.clear()

    async def turn(self) -> None:
        """One more round, whole."""
        await self.slept.wait()
        self.slept.clear()
        self.step.set()
        await asyncio.wait_for(self.slept.wait(), 5)


async def test_an_answer_that_nobody_foresaw_does_not_end_the_reading(store: Redis) -> None:
    here, there, clock = Revoked(store), Revoked(store), Stepped()
    async with running(here.go_on(clock), "revocations"):
        await store.set(keys.REVOKED, "what is no hash")
        await clock.turn()
        await store.delete(keys.REVOKED)
        await there.revoke("sha256:x", Revocation(by="o/k", at_ms=1, note=""))
        await clock.turn()
        assert "sha256:x" in here
