"""What operators did, in their order: kept before it is done, so that nothing is done which is not kept. The newest ten
thousand; those about money are rows of the ledger, too, and stay there."""

from collections.abc import Awaitable
from typing import Any, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.connection import unavailable

MOST_KEPT = 10_000


class Act(Struct, frozen=True, kw_only=True):
    """`id` is its own, so that keeping it twice is keeping it once. `by`: the team and the key; `what`: such as
    `drain provider`; `subject`: whom or what it was done to."""

    id: str
    at_ms: int
    by: str
    what: str
    subject: str
    note: str


class Acts:
    """Raises `StoreUnavailable`."""

    def __init__(self, store: Redis) -> None:
        self._store = store

    async def keep(self, act: Act) -> None:
        pipeline = self._store.pipeline()
        with unavailable():
            pipeline.zadd(keys.ACTS, {cast("Any", msgspec.json.encode(act)): act.at_ms})
            pipeline.zremrangebyrank(keys.ACTS, 0, -MOST_KEPT - 1)
            await pipeline.execute()

    async def newest(self, limit: int) -> tuple[Act, ...]:
        with unavailable():
            found = self._store.zrevrange(keys.ACTS, 0, limit - 1)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            documents = await cast("Awaitable[list[bytes]]", found)
        return tuple(msgspec.json.decode(document, type=Act) for document in documents)
