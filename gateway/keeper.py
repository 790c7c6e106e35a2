"""Pictures kept for whoever refers to them, and deleted when nobody does any more.

A reference is written before its picture is put: from then on no sweep takes it, whether it was there before or is new.
"""

import asyncio

from msgspec import Struct

from gateway.clock import Clock
from gateway.results import Kind, Results, ResultsUnavailable, name_of
from gateway.state.patience import Patience
from gateway.state.references import DELETE_MS, Marked, Reference, References, Said

HOUR_MS = 3_600_000
FOUND = "found"
"""Who refers to a picture that was found without a reference."""

_PATIENCE_S = 2.0
_AGAIN_S = 0.05
_REMOVE_S = 20.0  # with the time in which it must begin, half of what a mark holds


class Swept(Struct, frozen=True, kw_only=True):
    """`looked`: how many pictures were looked at; `deleted`, of `bytes`: how many of them are gone."""

    looked: int
    deleted: int
    bytes: int


def of_input(edit_id: str) -> Reference:
    """An edit's input: until an hour after its end. One that is never accepted refers to it for an hour."""
    return Reference(who=edit_id, for_ms=HOUR_MS, after_end_ms=HOUR_MS)


def of_result(edit_id: str, keep_s: float) -> Reference:
    """An edit's result, for `keep_s` after its end."""
    return Reference(who=edit_id, for_ms=HOUR_MS, after_end_ms=round(keep_s * 1000))


def of_upload(upload_id: str, life_ms: int) -> Reference:
    """An upload's picture, for as long as the upload is kept."""
    return Reference(who=upload_id, for_ms=life_ms)


class Keeper:
    """`keep_s`: for how long a result is kept whose caller names no time."""

    def __init__(
        self, results: Results, references: References, patience: Patience, clock: Clock, keep_s: float
    ) -> None:
        self.results, self.keep_s = results, keep_s
        self._references, self._patience, self._clock = references, patience, clock

    async def put(self, team: str, kind: Kind, digest: str, data: bytes, reference: Reference) -> None:
        """Keeps a picture under the SHA-256 of its bytes for as long as `reference` says, and longer where another one
        does. Raises `ResultsUnavailable` and `StoreUnavailable`."""
        over_s = self._clock.monotonic() + _PATIENCE_S
        name = name_of(team, kind, digest)
        while (said := await self._patience.keep(lambda: self._refer(name, reference, len(data)))) is not Said.OK:
            if said is Said.GONE:
                raise ResultsUnavailable("the edit's content was erased, and nothing is kept for it any more")
            if self._clock.monotonic() >= over_s:
                raise ResultsUnavailable("the same picture is being deleted at this moment")
            await self._clock.sleep(_AGAIN_S)
        await self.results.put(team, kind, digest, data)

    async def _refer(self, name: str, reference: Reference, size: int) -> Said:
        return await self._references.refer(name, reference, size=size)

    async def refer(self, team: str, kind: Kind, digest: str, reference: Reference) -> bool:
        """Keeps a picture that is there for longer. False where it is gone, or about to be: then it is put again.
        Raises `StoreUnavailable`."""
        return await self._references.refer(name_of(team, kind, digest), reference, kept=True) is Said.OK

    async def release(self, team: str, kind: Kind, digest: str, who: str) -> bool:
        """Takes a reference back, and deletes the picture where it was the last one. False where somebody else still
        refers to it. Raises `ResultsUnavailable` and `StoreUnavailable`."""
        began_s = self._clock.monotonic()
        marked = await self._references.release(name_of(team, kind, digest), who)
        if isinstance(marked, Marked):
            await self._delete(marked, began_s)
        return marked is not Said.SHARED

    async def sweep(self, most: int) -> Swept:
        """Looks at up to `most` pictures whose time may be over, and deletes those to which nobody refers. Raises
        `ResultsUnavailable` and `StoreUnavailable`; then the rest is found again."""
        began_s = self._clock.monotonic()
        marked = await self._references.sweep(most)
        deleted = await self._delete(marked, began_s)
        return Swept(looked=marked.looked, deleted=len(deleted), bytes=sum(deleted))

    async def adopt(self) -> int:
        """Refers to every picture to which nobody does, and gives how many there were: it is kept as long as a result.
        Sweeps must not run meanwhile. Raises `ResultsUnavailable` and `StoreUnavailable`."""
        found, count = Reference(who=FOUND, for_ms=round(self.keep_s * 1000)), 0
        async for pictures in self.results.pictures():
            for name, size in await self._references.unknown(pictures):
                await self._references.refer(name, found, size=size)
                count += 1
        return count

    async def _delete(self, marked: Marked, began_s: float) -> list[int]:
        """Deletes what was marked, and gives the sizes. What is not begun in time is left for another sweep: its mark
        may be somebody else's by then."""
        if self._clock.monotonic() - began_s >= DELETE_MS / 1000:
            return []
        ends = await asyncio.gather(
            *(self._remove(name, marked.operation) for name, _ in marked.pictures), return_exceptions=True
        )
        if failures := [end for end in ends if end is not None]:
            raise failures[0]
        return [size for _, size in marked.pictures]

    async def _remove(self, name: str, operation: str) -> None:
        try:
            async with asyncio.timeout(_REMOVE_S):
                await self.results.remove(name)
        except TimeoutError:
            raise ResultsUnavailable("the result store does not delete in time") from None
        await self._references.swept(name, operation)
