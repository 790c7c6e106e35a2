"""What is asked of a store before it is trusted, and what its absence looks like."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state.connection import StoreRefused, StoreUnavailable, check, connect
from gateway.state.edits import Edits, Permit
from gateway.state.records import AttemptState, Status
from tests.engine import running_engine, state_folder
from tests.state.samples import attempt, edit_record, end


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


@pytest.mark.parametrize("url", ["redis+cluster://a:1", "memory://", "", "localhost:6379"])
async def test_an_unknown_scheme_is_refused_with_those_that_are_known(url):
    with pytest.raises(StoreRefused, match="redis://"):
        await connect(url, folder=Path())


async def test_a_store_behind_tcp(own):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    await own.config_set("bind", "127.0.0.1")
    await own.config_set("port", port)
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
        return_exceptions=True,
    )
    assert {type(answer) for answer in said} == {StoreUnavailable}
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


@asynccontextmanager
async def losing_first_reply(engine: str, folder: Path, to: bytes) -> AsyncGenerator[str]:
    """A socket before the engine that cuts the line once, after the engine did what `to` asked for."""
    lost: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(engine)
        while request := await reader.read(1 << 20):
            up_writer.write(request)
            reply = await up_reader.read(1 << 20)
            if to in request and not lost and not reply.startswith(b"-"):
                lost.append(request)
                break
            writer.write(reply)
        for end_ in (up_writer, writer):
            end_.close()
            await end_.wait_closed()

    server = await asyncio.start_unix_server(serve, folder / "proxy")
    async with server:
        yield str(folder / "proxy")
    assert lost


async def test_a_lost_reply_is_a_late_one(engine_url, store):
    """redis-py's own repeat, through the real client: nothing happens twice."""
    engine = engine_url.removeprefix("unix://")
    async with state_folder() as folder, losing_first_reply(engine, folder, b"runware") as path:
        client = await connect("unix://" + path, folder=folder)
        record, begun = await Edits(client, "one").accept(edit_record(), attempt(), Permit("runware", 1))
        await client.aclose()
    assert begun is not None
    assert await Edits(store, "one").get(record.id) == record
    assert await store.scard("{kontext}:permits:runware") == 1
