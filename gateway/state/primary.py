"""Where the store's primary is now: asked anew for every connection, of Sentinels or of a Cluster's nodes.

All our keys share one hash tag, so one node of a Cluster holds them all, and what moves after a failover is one
address. A connection that learns that its node leads no more is closed, and the repeat that follows asks again. So
both kinds of store are one pool to one node, and no step knows the difference.

Not taken: redis-py's `RedisCluster`, which routes each command by its keys (here always to the same node), has no
blocking pool, and cannot send a script and its WAIT over one connection.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct
from redis.asyncio import Connection, Redis, Sentinel, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MasterDownError, MovedError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.state.keys import SLOT_TAG

Node: TypeAlias = tuple[str, int]
Locate: TypeAlias = Callable[[], Awaitable[Node]]

SENTINEL, CLUSTER = "sentinel", "cluster"
_PORTS = {SENTINEL: 26379, CLUSTER: 6379}
_LEADS_NO_MORE = (MovedError, AskError, ReadOnlyError, MasterDownError, ClusterDownError)


class Seeds(Struct, frozen=True, kw_only=True):
    """An address of several nodes. `service` is the name that Sentinels know the primary by; "" for a Cluster.
    `asking` are the name and password that Sentinels want themselves."""

    nodes: tuple[Node, ...]
    service: str = ""
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = None
    asking: tuple[str | None, str | None] = (None, None)


def seeds_of(url: str) -> Seeds:
    """`redis+sentinel://[user:password@]host[:port],…/SERVICE[/DB][?sentinel_username=…&sentinel_password=…]` or
    `redis+cluster://[user:password@]host[:port],…`; `rediss+…` for TLS. Raises `ValueError` with what is wrong."""
    scheme, _, rest = url.partition("://")
    kind = scheme.rpartition("+")[2]
    authority, _, path = rest.partition("?")[0].partition("/")
    user, _, hosts = authority.rpartition("@")
    name, _, password = user.partition(":")
    service, _, db = path.strip("/").partition("/")
    if kind == SENTINEL and not service:
        raise ValueError("it names no service, as in redis+sentinel://host:26379/mymaster")
    if kind == CLUSTER and path.strip("/"):
        raise ValueError("a Cluster has no databases: nothing stands behind its hosts")
    if db and not db.isdigit():
        raise ValueError(f"{db} is no database's number")
    query = parse_qs(urlsplit(url).query)
    return Seeds(
        nodes=tuple(_node(host, _PORTS[kind]) for host in hosts.split(",")),
        service=service,
        db=int(db or 0),
        tls=scheme.startswith("rediss"),
        username=unquote(name) or None,
        password=unquote(password) or None,
        asking=(query.get("sentinel_username", [None])[0], query.get("sentinel_password", [None])[0]),
    )


def _node(text: str, port: int) -> Node:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("a host is missing between two commas")
    return parts.hostname, parts.port or port


def by_sentinels(seeds: Seeds, answer_s: float) -> Locate:
    """Asks the Sentinels who leads, as redis-py does."""
    username, password = seeds.asking
    asking = {**_question(seeds, answer_s), "username": username, "password": password}

    async def locate() -> Node:
        asked = Sentinel(seeds.nodes, sentinel_kwargs=asking)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
        try:
            return cast("Node", await asked.discover_master(seeds.service))  # pyright: ignore[reportUnknownMemberType] - redis-py's own
        finally:
            for one in asked.sentinels:
                await one.aclose()

    return locate


def by_cluster(seeds: Seeds, answer_s: float) -> Locate:
    """Asks the nodes, those that were named first and those learnt of since, who leads the slot of our keys."""
    slot, known = key_slot(SLOT_TAG), list(seeds.nodes)

    async def locate() -> Node:
        for node in tuple(known):
            if found := await _leader(node, slot, seeds, answer_s):
                leader, members = found
                known[:] = dict.fromkeys((*seeds.nodes, *members))
                return leader
        raise RedisConnectionError("no node of the Cluster says who leads our slot")

    return locate


async def _leader(node: Node, slot: int, seeds: Seeds, answer_s: float) -> tuple[Node, Sequence[Node]] | None:
    """Who leads `slot` and which nodes there are, as `node` sees it; None where it does not answer or does not know."""
    host, port = node
    client = Redis(host=host, port=port, username=seeds.username, password=seeds.password, **_question(seeds, answer_s))
    try:
        told = await client.execute_command("CLUSTER", "SLOTS")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - redis-py's own
    except (RedisError, OSError):
        return None
    finally:
        await client.aclose()
    ranges = cast("list[tuple[int, int, *tuple[Sequence[Any], ...]]]", told)
    members = [_member(one, host) for _, _, *nodes in ranges for one in nodes]
    led = [_member(nodes[0], host) for first, last, *nodes in ranges if first <= slot <= last]
    return (led[0], members) if led else None


def _member(one: Sequence[Any], asked: str) -> Node:
    """A node that does not know its own address leaves it empty: it is the one that was asked."""
    return (one[0].decode() if one[0] else asked), int(one[1])


def _question(seeds: Seeds, answer_s: float) -> dict[str, Any]:
    """One try: the next node is a better second one."""
    return {
        "socket_timeout": answer_s,
        "socket_connect_timeout": answer_s,
        "ssl": seeds.tls,
        "retry": Retry(NoBackoff(), 0),
    }


class LedConnection(Connection):
    """A connection to whoever leads when it is made; one that finds its node leading no more breaks off."""

    def __init__(self, *, locate: Locate, **rest: Any) -> None:  # noqa: ANN401 - redis-py's own
        super().__init__(**rest)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
        self._locate = locate

    async def _connect(self) -> None:
        self.host, self.port = await self._locate()
        await super()._connect()

    async def read_response(self, *args: Any, **rest: Any) -> Any:  # noqa: ANN401 - redis-py's own
        try:
            return cast("object", await super().read_response(*args, **rest))  # pyright: ignore[reportUnknownMemberType] - redis-py's own
        except _LEADS_NO_MORE as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"this node does not lead now ({type(error).__name__})") from error


class LedTlsConnection(LedConnection, SSLConnection):
    pass
