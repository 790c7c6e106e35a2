"""Who refers to a picture, and until when: what nobody refers to is swept.

An edit refers to its inputs until an hour after its end and to its results for as long as results are kept; an upload
refers to its picture until its own time is over. Nothing has to be told of an edit's end: a picture whose time may be
over is looked at, and with it every edit that refers to it, in one step with the mark by which it goes.

Deleting cannot be fenced: it is a call to another system. So a sweep marks first, deletes within `DELETE_MS` of its
mark or not at all, and says when it is done. Whoever wants to keep a picture that is marked waits for that; after
`MARK_MS` the sweep is taken as dead.
"""

import secrets
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import cast

from msgspec import Struct
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.connection import unavailable
from gateway.state.scripts import Scripts, Step

DELETE_MS = 10_000
MARK_MS = 60_000


class Reference(Struct, frozen=True, kw_only=True):
    """`who` refers to a picture for `for_ms` from now. An edit (`who` is its id) that is accepted by then refers to it
    until `after_end_ms` after its end instead."""

    who: str
    for_ms: int
    after_end_ms: int | None = None


class Said(StrEnum):
    """`GOING`: it is being deleted; ask again. `GONE`: it is not kept, or may not be. `SHARED`: another one refers to
    it."""

    OK = "ok"
    GOING = "going"
    GONE = "gone"
    SHARED = "shared"


class Marked(Struct, frozen=True, kw_only=True):
    """Pictures to delete, each with its bytes (0: not known), under one mark. `looked`: how many were due."""

    operation: str
    pictures: Sequence[tuple[str, int]]
    looked: int = 0


class References:
    """Pictures go by their names in the result store, `team/kind/digest`. Raises `StoreUnavailable`."""

    def __init__(self, store: Redis, clock: Callable[[], int] | None = None) -> None:
        self._store = store
        self._scripts = Scripts(store, clock)

    async def refer(self, name: str, reference: Reference, *, size: int | None = None, kept: bool = False) -> Said:
        """`kept`: only to a picture that is kept already, else `GONE`; so is any of an edit that was erased."""
        after_ms = reference.after_end_ms
        reply = await self._scripts.run(
            Step.REFER,
            (keys.PICTURES, keys.PICTURE + name),
            name,
            reference.who,
            reference.for_ms,
            "" if after_ms is None else after_ms,
            "" if size is None else size,
            "1" if kept else "",
            MARK_MS,
            keys.EDIT,
        )
        return _said(reply[0])

    async def release(self, name: str, who: str) -> Marked | Said:
        """Takes `who`'s reference back. `Marked`: it was the last one, and the caller deletes the picture now."""
        operation = _operation()
        reply = await self._scripts.run(
            Step.RELEASE_PICTURE,
            (keys.PICTURES, keys.PICTURE + name),
            name,
            who,
            operation,
            MARK_MS,
            keys.EDIT,
        )
        if reply[0] != b"ok":
            return _said(reply[0])
        return Marked(operation=operation, pictures=((name, cast("int", reply[2])),))

    async def sweep(self, most: int) -> Marked:
        """Looks at up to `most` pictures whose time may be over; those that nobody refers to are marked."""
        operation = _operation()
        reply = await self._scripts.run(Step.SWEEP, (keys.PICTURES,), operation, most, MARK_MS, keys.PICTURE, keys.EDIT)
        flat = cast("list[bytes | int]", reply[3])
        names = [cast("bytes", name).decode() for name in flat[::2]]
        sizes = [cast("int", size) for size in flat[1::2]]
        return Marked(operation=operation, pictures=tuple(zip(names, sizes, strict=True)), looked=cast("int", reply[2]))

    async def swept(self, name: str, operation: str) -> None:
        """The picture is deleted."""
        await self._scripts.run(Step.SWEPT, (keys.PICTURES, keys.PICTURE + name), name, operation)

    async def unknown(self, pictures: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Those of `pictures` (names, with whatever stands beside them) to which nobody ever referred."""
        if not pictures:
            return []
        with unavailable():
            found = self._store.zmscore(keys.PICTURES, [name for name, _ in pictures])  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            scores = await found
        return [picture for picture, score in zip(pictures, scores, strict=True) if score is None]


def _said(word: object) -> Said:
    return Said(cast("bytes", word).decode())


def _operation() -> str:
    """Names one call of one method, so that the client library's own repeat of it is known as a repeat."""
    return secrets.token_hex(8)
