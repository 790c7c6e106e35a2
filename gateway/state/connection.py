"""One connection pool to the store, whatever runs it, and the questions that are asked of it before it is trusted.

redis-py repeats a command whose reply was lost. That is wanted here: every step is a script that a repeat does not
change (`lua/`), so a repeat turns a lost reply into a late one. A command of another kind, say INCRBY, would run
twice; none is used.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypedDict
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import AuthenticationError, InvalidResponse, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.state.embedded import ensure
from gateway.state.primary import CLUSTER, SENTINEL, LedConnection, LedTlsConnection, by_cluster, by_sentinels, seeds_of

Durability = Literal["required", "provider", "throwaway"]

_DIRECT = ("redis", "rediss", "unix")
_EXPECTED = (
    'Give "embedded:", "redis://host:6379", "rediss://host:6379", "redis+sentinel://host:26379,…/mymaster", '
    '"redis+cluster://host:6379,…" or "unix:///path/to/socket".'
)
# Answers of a store that is there but cannot take a write now: disk full, a runaway script, too few replicas.
_NOT_NOW = ("MISCONF", "BUSY", "NOREPLICAS", "CLUSTERDOWN", "MASTERDOWN")


class StoreUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The store did not take a step, or its answer was lost: it may or may not have taken effect."""


class StoreFull(StoreUnavailable):
    """It is there and has no room: waiting does not help, an operator does."""


class StoreRefused(Exception):  # noqa: N818 - the name is the fact
    """The store, as configured, would lose or forget what was paid. The message says what to set instead."""


async def connect(
    url: str,
    *,
    folder: Path,
    engine: Path | None = None,
    durability: Durability = "required",
    size: int = 64,
    wait_s: float = 2.0,
    answer_s: float = 2.0,
) -> Redis:
    """A checked client of the store at `url`: `embedded:`, `redis://`, `rediss://`, `unix://`, or the ones of several
    nodes (`primary.py`).

    `folder` and `engine` belong to `embedded:`. At most `size` connections; a caller waits `wait_s` for a free one and
    `answer_s` for each try of an answer. Raises `StoreRefused`, `EngineRefused` or `StoreUnavailable`.
    """
    pool = await _embedded_pool(folder, engine, size, wait_s, answer_s) if url == "embedded:" else None
    store = Redis.from_pool(pool or _pool_by_url(url, size, wait_s, answer_s))
    try:
        await check(store, durability)
    except BaseException:
        await store.aclose()
        raise
    return store


async def check(store: Redis, durability: Durability) -> None:
    """Refuses a store that evicts, forgets or only follows. `provider`: persistence is somebody's promise, and INFO
    does not show it. `throwaway`: nothing is promised."""
    try:
        with unavailable():
            told: dict[str, object] = await store.info()  # pyright: ignore[reportUnknownMemberType] - redis-py's own
    except StoreUnavailable as error:
        if _is_handshake_refused(error):
            raise StoreRefused("The store refuses the name or password in [state] url. Give the right ones.") from None
        raise
    if told.get("role") == "slave":
        raise StoreRefused("The store at [state] url is a replica and takes no writes. Give the primary's address.")
    if durability == "required" and told.get("aof_enabled") != 1:
        raise StoreRefused(
            "The store forgets at a crash what it acknowledged: its append-only file is off. Set `appendonly yes` "
            'there, or say [state] durability = "provider" (a managed service promises it) or "throwaway".'
        )
    policy = told.get("maxmemory_policy")
    if durability != "throwaway" and policy != "noeviction":
        raise StoreRefused(
            f"The store may drop records of money when memory is short: its maxmemory-policy is {policy}. "
            'Set `maxmemory-policy noeviction` there, or say [state] durability = "throwaway".'
        )


def _is_handshake_refused(error: StoreUnavailable) -> bool:
    """The store answered the greeting with an error: the client library hides that inside a connection error."""
    hidden = error.__cause__ and error.__cause__.__cause__
    return isinstance(hidden, (AuthenticationError, ResponseError))


@contextmanager
def unavailable() -> Generator[None]:
    """Turns the client library's ways of saying "no answer" and "not now" into `StoreUnavailable`."""
    try:
        yield
    except OutOfMemoryError as error:
        raise StoreFull(f"The store did not take the step ({type(error).__name__}).") from error
    except (RedisConnectionError, RedisTimeoutError, ReadOnlyError, InvalidResponse) as error:
        raise StoreUnavailable(f"The store did not take the step ({type(error).__name__}).") from error
    except ResponseError as error:
        word = str(error).partition(" ")[0]
        if word not in _NOT_NOW:
            raise
        kind = StoreFull if word == "MISCONF" else StoreUnavailable
        raise kind(f"The store cannot take a step now ({word}).") from error


class _EmbeddedConnection(UnixDomainSocketConnection):
    """A connection to the private engine. If the engine is gone, whoever needs it first starts the next one."""

    def __init__(self, *, folder: Path, engine: Path | None, path: str, **rest: object) -> None:
        super().__init__(path=path, **rest)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
        self._folder = folder
        self._engine = engine

    async def _connect(self) -> None:
        try:
            await super()._connect()
        except OSError:
            self.path = await ensure(self._folder, self._engine)
            await super()._connect()


async def _embedded_pool(
    folder: Path, engine: Path | None, size: int, wait_s: float, answer_s: float
) -> BlockingConnectionPool:
    return BlockingConnectionPool(
        max_connections=size,
        timeout=wait_s,
        connection_class=_EmbeddedConnection,
        folder=folder,
        engine=engine,
        path=await ensure(folder, engine),
        **_habits(answer_s),
    )


def _pool_by_url(url: str, size: int, wait_s: float, answer_s: float) -> BlockingConnectionPool:
    scheme = urlsplit(url).scheme
    if scheme.partition("+")[2] in (SENTINEL, CLUSTER):
        return _led_pool(url, size, wait_s, answer_s)
    if scheme not in _DIRECT:
        raise StoreRefused(f'[state] url has the scheme "{scheme}". {_EXPECTED}')
    return BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType] - redis-py's own
        url, max_connections=size, timeout=wait_s, **_habits(answer_s)
    )


def _led_pool(url: str, size: int, wait_s: float, answer_s: float) -> BlockingConnectionPool:
    try:
        seeds = seeds_of(url)
    except ValueError as error:
        raise StoreRefused(f"[state] url cannot be read: {error}. {_EXPECTED}") from None
    return BlockingConnectionPool(
        max_connections=size,
        timeout=wait_s,
        connection_class=LedTlsConnection if seeds.tls else LedConnection,
        locate=(by_sentinels if seeds.service else by_cluster)(seeds, answer_s),
        username=seeds.username,
        password=seeds.password,
        db=seeds.db,
        **_habits(answer_s),
    )


class _Habits(TypedDict):
    socket_timeout: float
    socket_connect_timeout: float
    retry: Retry
    health_check_interval: float
    maint_notifications_config: MaintNotificationsConfig


def _habits(answer_s: float) -> _Habits:
    """Alike for every store. At most three tries of a command: beyond that a caller is better told than kept."""
    return {
        "socket_timeout": answer_s,
        "socket_connect_timeout": answer_s,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 2),
        "health_check_interval": 0,  # a dead connection shows at its next use, and the repeat heals it
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),  # a question only one vendor answers
    }
