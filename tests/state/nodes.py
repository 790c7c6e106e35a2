"""Stores of several nodes, for tests: a Cluster of six, and a primary with a replica under three Sentinels."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.state.binary import find
from tests.ports import free_port

SERVICE = "books"
SLOTS = 16384
_DURABLE = ("--appendonly", "yes", "--save", "")
_NODE_TIMEOUT_MS = 500


class Node(Struct, frozen=True):
    host: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def client(self) -> Redis:
        return Redis(host=self.host, port=self.port, decode_responses=True)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Fleet:
    """Nodes in one folder; whatever still runs is killed at the end."""

    def __init__(self, folder: Path, host: str) -> None:
        self._folder, self._host = folder, host
        self.nodes: list[Node] = []

    async def start(self, *options: str) -> Node:
        """A node that answers. A Cluster's bus takes the port ten thousand above."""
        return await self._start(free_port(), options)

    async def durable(self) -> Node:
        """One node that keeps what it is told."""
        return await self.start(*_DURABLE)

    async def again(self, node: Node) -> Node:
        """A durable node that was killed, on the same port and over the same files."""
        return await self._start(node.port, _DURABLE)

    async def _start(self, port: int, options: tuple[str, ...]) -> Node:
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        command = [
            find(None),
            *options,
            "--port",
            str(port),
            "--bind",
            self._host,
            "--protected-mode",
            "no",
            "--dir",
            folder,
        ]
        node = Node(self._host, port, subprocess.Popen(command, stdout=subprocess.DEVNULL))  # noqa: ASYNC220 - it outlives the call
        self.nodes.append(node)
        async with node.client() as client:
            await until(client.ping)
        return node

    async def sentinel(self, primary: Node) -> Node:
        """A Sentinel keeps what it learns in its file."""
        lines = (
            f"sentinel monitor {SERVICE} {primary.host} {primary.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {_NODE_TIMEOUT_MS}",
            f"sentinel failover-timeout {SERVICE} 4000",
        )
        path = self._folder / f"sentinel-{len(self.nodes)}.conf"
        path.write_text("\n".join(lines))
        return await self.start(str(path), "--sentinel")

    def end(self) -> None:
        for node in self.nodes:
            node.kill()


@asynccontextmanager
async def fleet(host: str = "127.0.0.1") -> AsyncGenerator[Fleet]:
    folder = Path(tempfile.mkdtemp(prefix="kontext-test-"))
    nodes = Fleet(folder, host)
    try:
        yield nodes
    finally:
        nodes.end()
        shutil.rmtree(folder)


@asynccontextmanager
async def running_cluster() -> AsyncGenerator[tuple[str, Fleet]]:
    """Three leaders with a replica each: its address, which names two of the six, and its nodes."""
    async with fleet() as nodes:
        for _ in range(6):
            await nodes.start("--cluster-enabled", "yes", "--cluster-node-timeout", str(_NODE_TIMEOUT_MS), *_DURABLE)
        await _join(nodes.nodes)
        yield f"redis+cluster://{nodes.nodes[0].address},{nodes.nodes[5].address}", nodes


async def _join(nodes: list[Node]) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(node.client()) for node in nodes]
        for number, client in enumerate(clients):
            await client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            await client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        bounds = [SLOTS * third // 3 for third in range(4)]
        for client, first, last in zip(clients, bounds, bounds[1:], strict=False):
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
        for leader, follower in zip(clients[:3], clients[3:], strict=True):
            name = await leader.execute_command("CLUSTER", "MYID")
            await until(lambda follower=follower, name=name: follower.execute_command("CLUSTER", "REPLICATE", name))
        for client in clients:
            await until(lambda client=client: _whole(client))
        for follower in clients[3:]:
            await until(lambda follower=follower: follows(follower))


async def _whole(client: Redis) -> bool:
    """All slots are led, and all six nodes known."""
    told = await client.execute_command("CLUSTER", "INFO")
    facts = told if isinstance(told, dict) else dict(line.split(":") for line in str(told).splitlines())
    return facts["cluster_state"] == "ok" and facts["cluster_known_nodes"] == "6"


async def follows(client: Redis) -> bool:
    return (await client.info("replication"))["master_link_status"] == "up"


@asynccontextmanager
async def running_sentinels() -> AsyncGenerator[tuple[str, Fleet]]:
    async with fleet() as nodes:
        yield await start_sentinels(nodes), nodes


async def start_sentinels(nodes: Fleet, *, replicas: int = 1) -> str:
    """A primary (the fleet's first node), its replicas, and three Sentinels that know of all and of each other: their
    address."""
    primary = await nodes.start(*_DURABLE)
    for _ in range(replicas):
        replica = await nodes.start("--replicaof", f"{primary.host} {primary.port}", *_DURABLE)
        async with replica.client() as client:
            await until(lambda client=client: follows(client))
    sentinels = [await nodes.sentinel(primary) for _ in range(3)]
    for sentinel in sentinels:
        async with sentinel.client() as client:
            await until(lambda client=client: _informed(client, replicas))
    return f"redis+sentinel://{','.join(one.address for one in sentinels)}/{SERVICE}"


async def _informed(sentinel: Redis, replicas: int) -> bool:
    told: Any = await sentinel.sentinel_master(SERVICE)
    return told["num-other-sentinels"] == 2 and told["num-slaves"] == replicas


async def until(ask: Callable[[], Awaitable[Any]], *, patience_s: float = 20.0) -> Any:
    """The first answer that is neither an error of the store nor false."""
    async with asyncio.timeout(patience_s):
        while True:
            try:
                if answer := await ask():
                    return answer
            except (RedisError, OSError):
                pass
            await asyncio.sleep(0.02)  # between two questions to another process, not for a result
