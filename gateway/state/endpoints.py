"""Where teams want to be told what becomes of their edits: their webhook endpoints, each with the secrets that sign.

When the store is away every method raises `StoreUnavailable`. A lost store loses endpoints: the books hold none.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.connection import unavailable
from gateway.state.scripts import Scripts, Step

MOST_OF_A_TEAM = 20


class Receives(StrEnum):
    """`all`: the end of every edit of the team; `named`: of those alone whose `webhook_url` lies under the endpoint."""

    ALL = "all"
    NAMED = "named"


class Told(StrEnum):
    """What an endpoint can be told."""

    SUCCEEDED = "edit.succeeded"
    FAILED = "edit.failed"
    REFUSED = "edit.refused"
    CANCELLED = "edit.cancelled"
    UNRESOLVED = "edit.unresolved"


class SigningSecret(Struct, frozen=True):
    """`text`: `whsec_…`. `until_ms`: an old one signs beside the new one until then; None is the one in force."""

    text: str
    until_ms: int | None = None

    def __repr__(self) -> str:
        return f"SigningSecret(…, until_ms={self.until_ms})"


class Endpoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`events`: those that it is told of; empty is every one. `disabled_ms` and `reason` (`given_up`, `gone`) are of
    one that is told nothing any more; `delivered_ms`: when it last took something."""

    id: str
    team: str
    url: str
    receives: Receives
    events: tuple[Told, ...] = ()
    secrets: tuple[SigningSecret, ...]
    created_ms: int = 0
    disabled_ms: int = 0
    reason: str = ""
    delivered_ms: int = 0

    @property
    def mode(self) -> str:
        """For the step that posts."""
        return " ".join((self.receives, *self.events))

    def live_secrets(self, now_ms: int) -> tuple[str, ...]:
        """Those that sign, the newest first."""
        return tuple(one.text for one in self.secrets if one.until_ms is None or one.until_ms > now_ms)


class TooManyEndpoints(Exception):  # noqa: N818 - the name is the fact
    """The team has as many endpoints as it may."""


class Endpoints:
    def __init__(self, store: Redis, clock: Callable[[], int] | None = None) -> None:
        self._store, self._scripts = store, Scripts(store, clock)

    async def add(self, endpoint: Endpoint) -> Endpoint:
        """Raises `TooManyEndpoints`."""
        said, now_ms = await self._scripts.run(
            Step.ENLIST,
            (keys.team_endpoints(endpoint.team), keys.endpoint(endpoint.id)),
            endpoint.id,
            endpoint.team,
            endpoint.mode,
            write_endpoint(endpoint),
            MOST_OF_A_TEAM,
        )
        if said == b"too_many":
            raise TooManyEndpoints
        return replace(endpoint, created_ms=cast("int", now_ms))

    async def of_team(self, team: str) -> tuple[Endpoint, ...]:
        """All of a team's, oldest first."""
        with unavailable():
            ids = await cast("Awaitable[list[bytes]]", self._store.hkeys(keys.team_endpoints(team)))
            pipeline = self._store.pipeline(transaction=False)
            for one in ids:
                pipeline.hgetall(keys.endpoint(one.decode()))
            hashes = cast("list[dict[bytes, bytes]]", await pipeline.execute())
        return tuple(sorted((_read(fields) for fields in hashes if fields), key=lambda one: (one.created_ms, one.id)))

    async def get(self, endpoint_id: str) -> Endpoint | None:
        with unavailable():
            fields = await cast("Awaitable[dict[bytes, bytes]]", self._store.hgetall(keys.endpoint(endpoint_id)))
        return _read(fields) if fields else None

    async def remove(self, endpoint: Endpoint) -> None:
        """With all that waits for it."""
        await self._scripts.run(Step.DELIST, _names(endpoint), endpoint.id, keys.WEBHOOKS)

    async def amend(self, endpoint: Endpoint, amended: Endpoint) -> bool:
        """False where it was changed or removed meanwhile."""
        said, _ = await self._scripts.run(
            Step.AMEND, (keys.endpoint(endpoint.id),), write_endpoint(endpoint), write_endpoint(amended)
        )
        return said == b"ok"

    async def enable(self, endpoint: Endpoint) -> None:
        """What waited for it and is not a week old is tried again."""
        await self._scripts.run(Step.ENABLE, _names(endpoint), endpoint.id, keys.WEBHOOKS)

    async def disabled_count(self) -> int:
        """How many were disabled and not enabled again, for a metric."""
        with unavailable():
            return await self._store.scard(keys.DISABLED_ENDPOINTS)


def _names(endpoint: Endpoint) -> tuple[str, str]:
    return keys.team_endpoints(endpoint.team), keys.endpoint(endpoint.id)


_endpoint = msgspec.json.Decoder(Endpoint)


def write_endpoint(endpoint: Endpoint) -> bytes:
    """What callers decide; the rest are fields of their own."""
    return msgspec.json.encode(replace(endpoint, created_ms=0, disabled_ms=0, reason="", delivered_ms=0))


def read_endpoint(document: bytes) -> Endpoint:
    return _endpoint.decode(document)


def _read(fields: dict[bytes, bytes]) -> Endpoint:
    return replace(
        read_endpoint(fields[b"document"]),
        created_ms=int(fields[b"created"]),
        disabled_ms=int(fields.get(b"disabled", b"0")),
        reason=fields.get(b"reason", b"").decode(),
        delivered_ms=int(fields.get(b"delivered", b"0")),
    )
