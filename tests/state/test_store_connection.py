"""What is asked of a store before it is trusted, and what its absence looks like."""

import asyncio
import itertools
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state.budgets import Balance, Budgets
from gateway.state.claims import Claim, Claims, Joined, New
from gateway.state.connection import StoreRefused, StoreUnavailable, check, connect
from gateway.state.corrections import Corrections
from gateway.state.edits import Edits, Fenced, IllegalMove, Permit
from gateway.state.rates import Rates
from gateway.state.records import AttemptRecord, AttemptState, Status
from gateway.state.restore import Restore
from gateway.state.terms import Terms
from tests.engine import running_engine, state_folder
from tests.ports import free_port
from tests.state.losing_replies import losing_replies
from tests.state.nodes import fleet, follows, until
from tests.state.samples import attempt, edit_record, end, settled


@pytest.fixture
async def own_url() -> AsyncGenerator[str]:
    """An engine that a test may spoil."""
    async with running_engine() as url:
        yield url


@pytest.fixture
async def own(own_url: str) -> AsyncGenerator[Redis]:
    async with Redis.from_url(own_url) as client:
        yield client


FORGETFUL = {"appendonly": "no"}
EVICTING = {"maxmemory-policy": "allkeys-lru"}


@pytest.mark.parametrize(
    ("settings", "durability", "words"),
    [
        ({}, "required", None),
        (FORGETFUL, "required", "append-only file is off"),
        (FORGETFUL, "provider", None),
        (FORGETFUL, "throwaway", None),
        (EVICTING, "required", "maxmemory-policy is allkeys-lru"),
        (EVICTING, "provider", "maxmemory-policy is allkeys-lru"),
        (EVICTING, "throwaway", None),
    ],
)
async def test_a_store_that_would_lose_money_is_refused(own, settings, durability, words):
    for name, value in settings.items():
        await own.config_set(name, value)
    if words is None:
        await check(own, durability)
    else:
        with pytest.raises(StoreRefused, match=words):
            await check(own, durability)


async def test_a_replica_is_refused(own):
    await own.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreRefused, match="primary"):
        await check(own, "throwaway")


async def test_a_missing_password_is_a_refusal_that_does_not_repeat_it(own, own_url):
    await own.config_set("requirepass", "s3cret")
    for url in (own_url, own_url.replace("unix://", "unix://:wr0ng@")):
        with pytest.raises(StoreRefused, match="name or password") as refused:
            await connect(url, folder=Path())
        assert "wr0ng" not in str(refused.value)
    await own.config_set("requirepass", "")


@pytest.mark.parametrize("url", ["memory://", "", "localhost:6379"])
async def test_an_unknown_scheme_is_refused_with_those_that_are_known(url):
    with pytest.raises(StoreRefused, match="redis://"):
        await connect(url, folder=Path())


async def listen(own: Redis) -> int:
    """Opens the engine's port."""
    port = free_port()
    await own.config_set("bind", "127.0.0.1")
    await own.config_set("port", port)
    return port


async def test_a_store_behind_tcp(own):
    port = await listen(own)
    store = await connect(f"redis://127.0.0.1:{port}/0", folder=Path())
    await Edits(store, "one").beat()
    await store.aclose()


async def test_nobody_at_the_address_is_unavailable():
    with pytest.raises(StoreUnavailable):
        await connect("redis://127.0.0.1:1", folder=Path(), answer_s=0.5)


async def test_every_step_says_when_the_store_is_away():
    async with running_engine() as url:
        store = await connect(url, folder=Path())
    edits, record = Edits(store, "one"), replace(edit_record(), owner="one")
    corrections, claims = Corrections(store), Claims(store)
    said = await asyncio.gather(
        edits.accept(record, attempt(), None),
        edits.open(record, attempt(), None),
        edits.store(record, attempt()),
        edits.close(record, attempt(1, AttemptState.RELEASED)),
        edits.finish(record, end(Status.FAILED), None),
        edits.get(record.id),
        edits.owned(),
        edits.beat(),
        edits.retire(),
        edits.claim(1),
        corrections.unresolved(1),
        corrections.unresolved_count(),
        corrections.resolve(record, attempt(1, AttemptState.RELEASED), end(Status.FAILED), operation="a", note=""),
        corrections.correct(replace(record, attempts=(attempt(),)), 1, 1, operation="a", source="provider", note=""),
        claims.claim("growth", "edits", "k", "f", "t"),
        claims.claim_fingerprint("growth", "ci", "f", "t", repeat=False),
        claims.renew(Claim(name="{kontext}:key", token="t", fingerprint="f")),
        claims.drop(Claim(name="{kontext}:key", token="t", fingerprint="f")),
        Rates(store).admit("growth", "ci", 1, "t"),
        Budgets(store).balances("growth", "ci", 0),
        Budgets(store).everything(),
        Budgets(store).holdings(),
        Budgets(store).is_empty(),
        Restore(store).restore([], [], [], operation="a"),
        return_exceptions=True,
    )
    assert all(isinstance(answer, StoreUnavailable) for answer in said)
    await store.aclose()


async def test_a_store_without_room_or_right_to_write_takes_nothing_and_says_so(own):
    edits = Edits(own, "one")
    await own.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match="OutOfMemory"):
        await edits.accept(edit_record(), attempt(), None)
    await own.config_set("maxmemory", "0")
    await own.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreUnavailable, match="ReadOnly"):
        await edits.accept(edit_record(), attempt(), None)
    assert await edits.get(edit_record().id) is None


async def test_a_full_pool_is_told_after_its_wait(own_url):
    store = await connect(own_url, folder=Path(), size=1, wait_s=0.01)
    held = await store.connection_pool.get_connection()
    with pytest.raises(StoreUnavailable):
        await Edits(store, "one").beat()
    await store.connection_pool.release(held)
    await Edits(store, "one").beat()
    await store.aclose()


async def test_a_lost_reply_is_a_late_one(own_url, own):
    """redis-py's own repeat, through the real client: nothing happens twice."""
    engine = own_url.removeprefix("unix://")
    asked: list[bytes] = []

    def is_first(request: bytes) -> bool:
        asked.extend([request] if b"runware" in request else [])
        return b"runware" in request and len(asked) == 1

    async with state_folder() as folder, losing_replies(engine, folder, is_first) as path:
        client = await connect("unix://" + path, folder=folder)
        record, begun = await Edits(client, "one").accept(edit_record(), attempt(), Permit("runware", 1))
        await client.aclose()
    assert begun is not None
    assert await Edits(own, "one").get(record.id) == record
    assert await own.scard("{kontext}:permits:runware") == 1


async def test_replies_lost_all_the_time_leave_no_drift(own_url, own):
    """Every fourth step's reply is lost: sums and books are as if none was."""
    counter = itertools.count(1)

    def is_fourth(request: bytes) -> bool:
        return b"EVALSHA" in request and next(counter) % 4 == 0

    engine = own_url.removeprefix("unix://")
    async with state_folder() as folder, losing_replies(engine, folder, is_fourth) as path:
        client = await connect("unix://" + path, folder=folder)
        edits = Edits(client, "one")
        for number in range(25):
            record, begun = await edits.accept(
                edit_record(number), attempt(), Permit("runware", 1), terms=Terms(hold_micro=90_000)
            )
            assert begun is not None
            closed = await edits.close(record, replace(begun, state=AttemptState.RELEASED))
            second = await edits.open(replace(record, attempts=(closed,)), attempt(2), Permit("runware", 1))
            assert isinstance(second, AttemptRecord)
            await edits.finish(record, end(Status.SUCCEEDED), settled(2))
        await client.aclose()
    assert set((await Budgets(own).everything()).values()) == {Balance(spent_micro=25 * 40_000)}
    assert await own.xlen("{kontext}:ledger") == 25 * 6
    assert await own.scard("{kontext}:permits:runware") == 0


class _Replaced(Redis):
    """A store that is another one between being taught a pipeline's scripts and running it, the first time."""

    def pipeline(self, *args: Any, **rest: Any) -> Any:
        made = super().pipeline(*args, **rest)
        teach = made.load_scripts

        async def taught_too_early() -> None:
            await teach()
            await self.script_flush()

        if not vars(self).setdefault("replaced", False):
            self.replaced, made.load_scripts = True, taught_too_early
        return made


class TestReplicas:
    """Steps that move money wait for the store's replicas; here none confirms, as none is there."""

    async def test_an_acceptance_that_too_few_confirmed_is_undone(self, own):
        claims, edits = Claims(own), Edits(own, "one", min_replicas=1)
        claimed = await claims.claim("growth", "edits", "k", "f", "t")
        assert isinstance(claimed, New)
        terms = Terms(hold_micro=80_000, claim=claimed.claim, most_open=1)
        with pytest.raises(StoreUnavailable, match="too few"):
            await edits.accept(edit_record(), attempt(), Permit("runware", 1), terms=terms)
        assert await edits.get(edit_record().id) is None
        assert await edits.owned() == ()
        assert await own.scard("{kontext}:permits:runware") == 0
        assert set((await Budgets(own).everything()).values()) == {Balance()}
        told = [fields[b"row"].partition(b'"kind"')[0] for _, fields in await own.xrange("{kontext}:ledger")]
        assert [word.count(b"finish/undone") for word in told] == [0, 0, 1]
        assert isinstance(await claims.claim("growth", "edits", "k", "f", "t2"), New)
        record, _ = await Edits(own, "one").accept(
            edit_record(2), attempt(), Permit("runware", 1), terms=Terms(most_open=1)
        )
        with pytest.raises(Fenced):
            await edits.close(replace(record, id=edit_record().id), settled())

    async def test_one_that_was_taken_back_does_not_come_after_all(self, own):
        """Its command was still on its way."""
        edits = Edits(own, "one")
        assert await edits.undo(edit_record())
        with pytest.raises(IllegalMove, match="taken back"):
            await edits.accept(edit_record(), attempt(), Permit("runware", 1))
        assert await own.scard("{kontext}:permits:runware") == 0
        assert await edits.get(edit_record().id) is None

    async def test_one_that_somebody_joined_is_kept(self, own):
        claims, edits = Claims(own), Edits(own, "one")
        claimed = await claims.claim("growth", "edits", "k", "f", "t")
        assert isinstance(claimed, New)
        record, _ = await edits.accept(edit_record(), attempt(), None, terms=Terms(claim=claimed.claim))
        assert await claims.claim("growth", "edits", "k", "f", "t2") == Joined(record.id, ended=False)
        assert not await edits.undo(record)
        assert await edits.get(record.id) == record

    async def test_an_attempt_that_too_few_confirmed_is_opened_by_the_same_call_again(self, own):
        edits = Edits(own, "one")
        record, _ = await edits.accept(edit_record(), None, None)
        with pytest.raises(StoreUnavailable, match="too few"):
            await Edits(own, "one", min_replicas=1).open(record, attempt(), None)
        opened = await edits.open(record, attempt(), None)
        assert isinstance(opened, AttemptRecord)
        await Edits(own, "one", min_replicas=1).finish(record, end(Status.SUCCEEDED), settled())
        assert set((await Budgets(own).everything()).values()) == {Balance(spent_micro=40_000)}

    async def test_a_repeat_waits_for_what_the_first_call_wrote(self, own):
        """The repeat writes nothing itself: over a new connection, a WAIT behind it would ask for nothing."""
        async with fleet() as nodes:
            primary = await nodes.durable()
            replica = await nodes.start("--replicaof", f"{primary.host} {primary.port}")
            async with replica.client() as client:
                await until(lambda: follows(client))
            store = Redis.from_url(f"redis://{primary.address}")
            edits = Edits(store, "one", min_replicas=1)
            record, _ = await edits.accept(edit_record(), None, None)
            replica.process.send_signal(signal.SIGSTOP)
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="too few"):
                    await edits.open(record, attempt(), None)
                await store.connection_pool.disconnect()
            replica.process.send_signal(signal.SIGCONT)
            assert isinstance(await edits.open(record, attempt(), None), AttemptRecord)
            await store.aclose()

    async def test_a_new_primary_that_knows_no_script_is_taught_it(self, own_url, own):
        """Scripts are not handed on to replicas, so one that begins to lead knows none."""
        async with _Replaced.from_url(own_url) as store:
            with pytest.raises(StoreUnavailable, match="too few"):
                await Edits(store, "one", min_replicas=1).accept(edit_record(), attempt(), None)
        assert await Edits(own, "one").get(edit_record().id) is None

    async def test_a_replica_that_confirms_is_enough(self, own):
        port = await listen(own)
        await own.config_set("repl-diskless-sync-delay", 0)
        async with running_engine() as url, Redis.from_url(url) as replica:
            await replica.replicaof("127.0.0.1", str(port))
            edits = Edits(own, "one", min_replicas=1)
            numbers = itertools.count(1)
            record, begun = await until_confirmed(lambda: edits.accept(edit_record(next(numbers)), attempt(), None))
            assert begun is not None
            assert await replica.exists(f"{{kontext}}:edit:{record.id}")


async def until_confirmed(step: Callable[[], Awaitable[Any]]) -> Any:
    """A replica that is still copying confirms nothing yet."""
    while True:
        try:
            return await step()
        except StoreUnavailable:
            continue
