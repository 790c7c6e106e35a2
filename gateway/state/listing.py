"""A team's edits, newest first. An edit's id begins with its time, so the list is the ids in their own order, and a
place in it is an id, whether or not that edit still exists.

The list is written by the steps (`accept`, `undo`, `restore`); an ended edit leaves it with its record. When the store
is away, `StoreUnavailable`.
"""

from collections.abc import AsyncIterator, Awaitable
from typing import cast

from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.connection import unavailable
from gateway.state.documents import read_edit
from gateway.state.records import EditRecord

_AT_ONCE = 100


class Listing:
    def __init__(self, store: Redis) -> None:
        self._store = store

    async def newest(
        self, team: str, below: str, down_to: str, most: int
    ) -> AsyncIterator[tuple[str, EditRecord | None]]:
        """Up to `most` edits of `team` with ids under `below` and not under `down_to` ('' is no bound): each id with
        its record, None for one that expired a moment ago."""
        ids = await self._ids(team, below, down_to, most)
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            for edit_id, fields in zip(some, await self._records(some), strict=True):
                yield edit_id, read_edit(fields) if fields else None

    async def _ids(self, team: str, below: str, down_to: str, most: int) -> list[str]:
        highest, lowest = f"({below}" if below else "+", f"[{down_to}" if down_to else "-"
        with unavailable():
            found = self._store.zrevrangebylex(keys.team_edits(team), highest, lowest, 0, most)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            return [edit_id.decode() for edit_id in await cast("Awaitable[list[bytes]]", found)]

    async def _records(self, ids: list[str]) -> list[dict[bytes, bytes]]:
        with unavailable():
            pipeline = self._store.pipeline(transaction=False)
            for edit_id in ids:
                pipeline.hgetall(keys.EDIT + edit_id)
            return cast("list[dict[bytes, bytes]]", await pipeline.execute())
