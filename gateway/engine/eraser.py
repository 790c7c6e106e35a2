"""Erasing an edit's content at once: its pictures, unless another edit of the team needs them, then its words.

Asking is one step, and what follows may break off anywhere: the duty of forgetting finds what was asked for.
"""

from collections.abc import Iterator

from msgspec import Struct

from gateway.keeper import Keeper
from gateway.observe import Metrics
from gateway.results import Kind
from gateway.state.contents import Contents, Emptied
from gateway.state.records import EditRecord


class Erased(Struct, frozen=True, kw_only=True):
    """`shared`: how many pictures stay, since somebody else of the team needs them. Not `whole`: an attempt of the edit
    is unresolved, and its words go when that is known."""

    shared: int
    whole: bool


class Eraser:
    def __init__(self, contents: Contents, keeper: Keeper, metrics: Metrics) -> None:
        self._contents, self._keeper, self._metrics = contents, keeper, metrics

    async def asked(self, edit_id: str) -> bool:
        """Asks for it. False for an edit that goes on."""
        return await self._contents.erase(edit_id)

    async def erase(self, record: EditRecord) -> Erased:
        """What was asked for. Raises `ResultsUnavailable` and `StoreUnavailable`; the duty tries again."""
        shared = 0
        for kind, digest, size in dict.fromkeys(_pictures(record)):
            if await self._keeper.release(record.team, kind, digest, record.id):
                self._metrics.pictures_deleted.labels("erased").inc()
                self._metrics.picture_bytes_deleted.labels("erased").inc(size)
            else:
                shared += 1
        return Erased(shared=shared, whole=await self.emptied(record.id))

    async def emptied(self, edit_id: str) -> bool:
        """Takes the words out of the record; False where they have to stay for now."""
        said = await self._contents.empty(edit_id)
        if said is Emptied.OK:
            self._metrics.prompts_dropped.inc()
        return said in (Emptied.OK, Emptied.GONE)


def _pictures(record: EditRecord) -> Iterator[tuple[Kind, str, int]]:
    edit = record.edit
    for picture in (*edit.images, *((edit.mask,) if edit.mask else ()), *edit.option_pictures):
        yield "inputs", picture.digest, picture.bytes
    for image in record.end.images if record.end else ():
        yield "results", image.digest, image.bytes
