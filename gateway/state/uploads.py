"""Pictures that a team uploaded once, to be named in many edits.

An upload's id is made from its picture, so the same picture uploaded again is the same upload with a later end: a
caller that repeats an upload whose answer was lost sends the same edit afterwards, under the same Idempotency-Key. Each
use moves its end away, too. When the store is away, `StoreUnavailable`; a lost store loses uploads.
"""

from collections.abc import Callable
from typing import cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from adapters.contract import Picture
from gateway.identity import upload_id
from gateway.state import keys
from gateway.state.connection import unavailable
from gateway.state.scripts import Reply, Scripts, Step

DAY_MS = 86_400_000


class Upload(Struct, frozen=True, kw_only=True):
    """`picture` names its bytes among the team's inputs."""

    id: str
    picture: Picture
    created_ms: int
    ends_ms: int


class Uploads:
    """`life_ms`: for how long an upload is kept after it was last used."""

    def __init__(self, store: Redis, *, life_ms: int = DAY_MS, clock: Callable[[], int] | None = None) -> None:
        self._store, self._scripts = store, Scripts(store, clock)
        self.life_ms = life_ms

    async def keep(self, team: str, picture: Picture) -> Upload:
        """The upload of this picture, new or there already, for its whole life from now on."""
        kept = await self._run(team, upload_id(picture.digest), msgspec.json.encode(picture), self.life_ms)
        assert kept is not None
        return kept

    async def use(self, team: str, given: str) -> Upload | None:
        """The upload, for its whole life from now on; None where the team has none of this id."""
        return await self._run(team, given, b"", self.life_ms)

    async def look(self, team: str, given: str) -> Upload | None:
        """As `use`, and its end stays what it was."""
        return await self._run(team, given, b"", 0)

    async def forget(self, team: str, given: str) -> None:
        with unavailable():
            await self._store.delete(keys.upload(team, given))

    async def _run(self, team: str, given: str, document: bytes, life_ms: int) -> Upload | None:
        return _upload(given, await self._scripts.run(Step.UPLOAD, (keys.upload(team, given),), document, life_ms))


def _upload(given: str, reply: Reply) -> Upload | None:
    if reply[0] != b"ok":
        return None
    document, created_ms, ends_ms = cast("tuple[bytes, int, int]", tuple(reply[2:]))
    picture = msgspec.json.decode(document, type=Picture)
    return Upload(id=given, picture=picture, created_ms=created_ms, ends_ms=ends_ms)
