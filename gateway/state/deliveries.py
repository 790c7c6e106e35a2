"""Messages on their way to endpoints: the durable outbox of webhooks, and its log.

The step that ends an edit writes them. Whoever has time collects what is due: it is lent for a while, and due again
when nobody told what became of it. So each is tried at least once, by any replica, until it is taken or given up. When
the store is away every method raises `StoreUnavailable`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeAlias, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.connection import unavailable
from gateway.state.endpoints import Endpoint, read_endpoint
from gateway.state.scripts import Scripts, Step
from policies.delivery import Next

_Fields: TypeAlias = "Mapping[bytes, bytes]"
State = Literal["pending", "delivered", "failed"]


class Try(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try. `status` is the answer's; None where none came, and `said` is why not."""

    at_ms: int
    seconds: float
    status: int | None = None
    said: str = ""


class Delivery(Struct, frozen=True, kw_only=True):
    """One message for one endpoint. `url`: the address that its edit named; '' is the endpoint's own. `tries_before`:
    those before it was asked for again. `due_ms` None: it is over."""

    message: str
    event: str
    edit: str
    data: bytes
    url: str
    state: State
    created_ms: int
    due_ms: int | None
    tries_before: int
    tries: tuple[Try, ...]


class Parcel(Struct, frozen=True, kw_only=True):
    """A delivery to be tried now, by this replica, until `loan_ms`."""

    endpoint: Endpoint
    delivery: Delivery
    loan_ms: int


class Caps(Struct, frozen=True, kw_only=True):
    """How many may be on their way at once, whoever sends them; `pause_ms`: until an endpoint that has as many is
    looked at again. `loan_ms` is longer than a try can take."""

    of_endpoint: int = 4
    of_team: int = 12
    pause_ms: int = 250
    loan_ms: int = 20_000


class Deliveries:
    def __init__(self, store: Redis, caps: Caps, clock: Callable[[], int] | None = None) -> None:
        self._store, self._scripts, self._caps = store, Scripts(store, clock), caps

    async def collect(self, most: int) -> tuple[Parcel, ...]:
        """Up to `most` that are due."""
        _, _, found = await self._scripts.run(
            Step.COLLECT,
            (keys.DUE_ENDPOINTS,),
            keys.WEBHOOKS,
            most,
            self._caps.loan_ms,
            self._caps.of_endpoint,
            self._caps.of_team,
            self._caps.pause_ms,
        )
        parts = cast("Sequence[bytes | int | list[bytes]]", found)
        return tuple(_parcel(parts[at : at + 3]) for at in range(0, len(parts), 3))

    async def tried(self, parcel: Parcel, after: Next, tried: Try) -> bool:
        """Tells what became of it. True where its endpoint is disabled from now on for that."""
        endpoint = parcel.endpoint
        reply = await self._scripts.run(
            Step.TRIED,
            (keys.delivery(endpoint.id, parcel.delivery.message),),
            keys.WEBHOOKS,
            endpoint.id,
            endpoint.team,
            parcel.delivery.message,
            parcel.loan_ms,
            after.verdict,
            round(after.pause_s * 1000),
            msgspec.json.encode(tried),
            len(parcel.delivery.tries),
        )
        return reply[0] == b"ok" and bool(reply[2])

    async def redeliver(self, endpoint: Endpoint, message: str) -> bytes:
        """`ok`, `gone` or `disabled`."""
        said, _ = await self._scripts.run(
            Step.REDELIVER,
            (keys.delivery(endpoint.id, message), keys.endpoint(endpoint.id)),
            keys.WEBHOOKS,
            endpoint.id,
            message,
        )
        return cast("bytes", said)

    async def get(self, endpoint: Endpoint, message: str) -> Delivery | None:
        with unavailable():
            found = self._store.hgetall(keys.delivery(endpoint.id, message))
            fields = await cast("Awaitable[dict[bytes, bytes]]", found)
        return _delivery(fields) if fields else None

    async def newest(self, endpoint: Endpoint, after: str, most: int) -> tuple[Delivery, ...]:
        """Up to `most` of an endpoint's, newest first, that come after the message `after` ('': from the newest)."""
        name = keys.deliveries(endpoint.id)
        with unavailable():
            rank = await cast("Awaitable[int | None]", self._store.zrevrank(name, after)) if after else -1  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            if rank is None:  # its time was over, so it was the last
                return ()
            start = rank + 1
            found = self._store.zrevrange(name, start, start + most - 1)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            messages = await cast("Awaitable[list[bytes]]", found)
            pipeline = self._store.pipeline(transaction=False)
            for message in messages:
                pipeline.hgetall(keys.delivery(endpoint.id, message.decode()))
            hashes = cast("list[dict[bytes, bytes]]", await pipeline.execute())
        return tuple(_delivery(fields) for fields in hashes if fields)

    async def late_ms(self, now_ms: int) -> int:
        """For how long the delivery that waits longest has been due."""
        with unavailable():
            found = self._store.zrange(keys.DUE_ENDPOINTS, 0, 0, withscores=True)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            first = await cast("Awaitable[list[tuple[bytes, float]]]", found)
        return max(0, now_ms - int(first[0][1])) if first else 0


def _parcel(parts: Sequence[bytes | int | list[bytes]]) -> Parcel:
    document, loan_ms, flat = parts
    fields = cast("list[bytes]", flat)
    return Parcel(
        endpoint=read_endpoint(cast("bytes", document)),
        delivery=_delivery(dict(zip(fields[::2], fields[1::2], strict=True))),
        loan_ms=cast("int", loan_ms),
    )


_try = msgspec.json.Decoder(Try)


def _delivery(fields: _Fields) -> Delivery:
    due = fields.get(b"due", b"")
    return Delivery(
        message=fields[b"message"].decode(),
        event=fields[b"event"].decode(),
        edit=fields[b"edit"].decode(),
        data=fields[b"data"],
        url=fields[b"url"].decode(),
        state=cast("State", fields[b"state"].decode()),
        created_ms=int(fields[b"created"]),
        due_ms=int(due) if due else None,
        tries_before=int(fields[b"tries_before"]),
        tries=tuple(_try.decode(fields[b"try:%d" % number]) for number in range(1, int(fields[b"tries"]) + 1)),
    )
