"""A store of several nodes: found through any of them, and found again when another one leads."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.state.connection import StoreRefused, StoreUnavailable, connect
from gateway.state.edits import Edits
from gateway.state.primary import LedConnection, Seeds, seeds_of
from tests.state.nodes import Fleet, Node, fleet, running_cluster, running_sentinels, until
from tests.state.samples import attempt, edit_record


@pytest.mark.parametrize(
    ("url", "seeds"),
    [
        ("redis+sentinel://a/books", Seeds(nodes=(("a", 26379),), service="books")),
        (
            "rediss+sentinel://u:p%40w@a:1,[::1]:2/books/3?sentinel_username=s&sentinel_password=q",
            Seeds(
                nodes=(("a", 1), ("::1", 2)),
                service="books",
                db=3,
                tls=True,
                username="u",
                password="p@w",
                asking=("s", "q"),
            ),
        ),
        ("redis+cluster://:pw@a,b:7000", Seeds(nodes=(("a", 6379), ("b", 7000)), password="pw")),
        ("rediss+cluster://a/", Seeds(nodes=(("a", 6379),), tls=True)),
    ],
)
def test_an_address_of_several_nodes(url: str, seeds: Seeds) -> None:
    assert seeds_of(url) == seeds


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://a,b", "names no service"),
        ("redis+sentinel://a,,b/books", "a host is missing"),
        ("redis+sentinel://a:port/books", "Port could not be cast"),
        ("redis+sentinel://a/books/first", "no database's number"),
        ("redis+cluster://a/1", "no databases"),
        ("redis+other://a", "has the scheme"),
    ],
)
async def test_an_address_that_cannot_be_read_is_refused_with_those_that_can(url: str, words: str) -> None:
    with pytest.raises(StoreRefused, match=words) as refused:
        await connect(url, folder=Path())
    assert "redis+cluster://host:6379" in str(refused.value)


@pytest.mark.parametrize("url", ["redis+sentinel://127.0.0.1:1/books", "redis+cluster://127.0.0.1:1"])
async def test_nobody_at_any_address_is_unavailable(url: str) -> None:
    with pytest.raises(StoreUnavailable):
        await connect(url, folder=Path(), answer_s=0.5)


async def _leader(nodes: Fleet) -> Node:
    """Of the nodes that may hold our keys, the one that does."""
    for node in nodes.nodes:
        async with node.client() as client:
            if await _leads(client) and await client.keys("*kontext*"):
                return node
    raise AssertionError("nobody holds our keys")


@pytest.mark.parametrize("running", [running_sentinels, running_cluster])
async def test_what_a_replica_confirmed_outlives_its_primary(running) -> None:
    async with running() as (url, nodes):
        store = await connect(url, folder=Path(), answer_s=0.5)
        edits = Edits(store, "one", min_replicas=1)
        await edits.beat()
        record = replace(edit_record(), owner="one")
        kept, _ = await edits.accept(record, attempt(), None)
        (await _leader(nodes)).kill()

        async def back() -> bool:
            try:
                await edits.beat()
            except StoreUnavailable:
                return False
            return True

        await until(back)
        assert await edits.get(kept.id) == kept
        await store.aclose()


async def test_a_node_that_leads_no_more_is_left() -> None:
    """The old primary lives on as a replica: its connections break off and go to the new one."""
    async with fleet() as nodes:
        old, new = await nodes.start(), await nodes.start()
        leads = [old]

        async def locate() -> tuple[str, int]:
            return "127.0.0.1", leads[-1].port

        once = Retry(NoBackoff(), 1)
        store = Redis.from_pool(BlockingConnectionPool(connection_class=LedConnection, locate=locate, retry=once))
        edits = Edits(store, "one")
        await edits.beat()
        async with old.client() as client:
            await client.replicaof("127.0.0.1", str(new.port))
        leads.append(new)
        await edits.beat()
        assert (await store.role())[0] == b"master"
        await store.aclose()


async def test_a_cluster_that_was_told_to_change_its_leader_is_followed() -> None:
    async with running_cluster() as (url, nodes):
        store = await connect(url, folder=Path(), answer_s=0.5)
        edits = Edits(store, "one")
        await edits.beat()
        old = await _leader(nodes)
        follower = nodes.nodes[nodes.nodes.index(old) + 3]
        async with follower.client() as client:
            await client.execute_command("CLUSTER", "FAILOVER")
            await until(lambda: _leads(client))
        await edits.beat()
        assert await _leader(nodes) == follower
        await store.aclose()


async def _leads(client: Redis) -> bool:
    return (await client.role())[0] == "master"
