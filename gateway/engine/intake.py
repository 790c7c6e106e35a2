"""Pictures on their way in: each reference is fetched or read, checked, cleaned, and kept by digest under its team.

What was uploaded before was checked before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from adapters.contract import Picture
from gateway.egress import INPUT, Egress, EgressError, Refusal
from gateway.engine.overload import Overloaded, Reason
from gateway.engine.room import Room
from gateway.engine.stock import Stock
from gateway.engine.wire import USER_AGENT
from gateway.identity import EDIT_PREFIX, UPLOAD_PREFIX
from gateway.keeper import Keeper
from gateway.pictures import BadPicture, CheckedInput, Pictures, PoolFull
from gateway.results import ResultsUnavailable
from gateway.state.connection import StoreUnavailable
from gateway.state.references import Reference
from gateway.state.uploads import Upload

Source = str | bytes
"""A reference (an http(s) URL, a data URI, `img_…` or `edit_…/0`), or the bytes of a file that came along."""
CHECKING_S = 2
ROOM_S = 5.0
"""How long a picture may wait for room before it is fetched."""

_Kept = TypeVar("_Kept")
_Found = TypeVar("_Found")
_WEB = ("http://", "https://")
_PLACES = "an http(s) URL, data:image/…;base64,…, an img_… or an edit_…/0"
_OWN = "an img_… of POST /v1/images, or edit_…/0 of an edit that succeeded, while each is kept"


class InputRefused(Exception):  # noqa: N818 - the name is the fact
    """A picture that cannot be used. `field` is the caller's; `expected` says what to send instead."""

    def __init__(self, field: str, detail: str, expected: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field, self.detail, self.expected = field, detail, expected


class Intake:
    """`room` is that of picture bytes. What came in a request's body is held by whoever read it; what is fetched counts
    as the largest until it is here."""

    def __init__(self, egress: Egress, pictures: Pictures, keeper: Keeper, stock: Stock, room: Room) -> None:
        self._egress, self._pictures, self._keeper = egress, pictures, keeper
        self._stock, self._room = stock, room

    async def take(self, team: str, sources: Mapping[str, Source], reference: Reference) -> dict[str, Picture]:
        """Every picture of a request, by the field that named it, kept for whoever `reference` says. Raises
        `InputRefused` for the first bad one, `Overloaded` when too many wait, and `ResultsUnavailable` or
        `StoreUnavailable` where they cannot be kept."""
        try:
            async with asyncio.TaskGroup() as group:
                taken = {
                    field: group.create_task(self._one(team, field, one, reference)) for field, one in sources.items()
                }
        except* (InputRefused, Overloaded, ResultsUnavailable, StoreUnavailable) as problems:
            raise problems.exceptions[0] from None
        return {field: task.result() for field, task in taken.items()}

    async def upload(self, team: str, field: str, source: Source) -> Upload:
        """Keeps one picture to be named later. Raises as `take` does."""
        return await self._brought(team, field, source, lambda checked: self._stock.keep(team, checked))

    async def _one(self, team: str, field: str, source: Source, reference: Reference) -> Picture:
        if isinstance(source, str) and source.startswith(UPLOAD_PREFIX):
            return _there(field, await self._stock.upload(team, source, reference))

        async def keep(checked: CheckedInput) -> Picture:
            await self._keeper.put(team, "inputs", checked.picture.digest, checked.data, reference)
            return checked.picture

        return await self._brought(team, field, source, keep)

    async def _brought(
        self, team: str, field: str, source: Source, keep: Callable[[CheckedInput], Awaitable[_Kept]]
    ) -> _Kept:
        """What `keep` makes of the picture, checked; one from elsewhere holds room until it is kept."""
        if isinstance(source, bytes) or source.startswith("data:"):
            return await keep(await self._checked(field, source))
        if not source.startswith((*_WEB, EDIT_PREFIX)):
            raise InputRefused(field, "is no address and no data URI, and names no picture that is here", _PLACES)
        try:
            async with asyncio.timeout(ROOM_S) as patience, self._room.patiently(team, INPUT.answer_bytes) as hold:
                patience.reschedule(None)
                loaded = await self._loaded(team, field, source)
                hold.resize(len(loaded))
                return await keep(await self._checked(field, loaded))
        except TimeoutError:
            raise Overloaded(Reason.PICTURE_BYTES, round(ROOM_S)) from None

    async def _loaded(self, team: str, field: str, source: str) -> bytes:
        if source.startswith(_WEB):
            return await self._fetched(field, source)
        return _there(field, await self._stock.result(team, source))

    async def _checked(self, field: str, source: Source) -> CheckedInput:
        try:
            if isinstance(source, bytes):
                return await self._pictures.check_input(source)
            return await self._pictures.check_input_text(source)
        except BadPicture as error:
            raise InputRefused(field, str(error), "a JPEG, PNG or WebP of at most 20 MB and 25 megapixels") from None
        except PoolFull:
            raise Overloaded(Reason.CHECKING, CHECKING_S) from None

    async def _fetched(self, field: str, url: str) -> bytes:
        expected = "an http(s) URL that answers with the picture itself, or a data URI"
        try:
            reply = await self._egress.send(INPUT, "GET", url, {"user-agent": USER_AGENT, "accept": "image/*"})
        except Refusal as refusal:
            raise InputRefused(field, f"the URL was refused: {refusal}", expected) from None
        except EgressError:
            raise InputRefused(field, "the URL could not be fetched", expected) from None
        if reply.status != 200:
            raise InputRefused(field, f"the URL answered {reply.status} instead of 200", expected)
        return reply.body


def _there(field: str, found: _Found | None) -> _Found:
    """One refusal for what is another team's, what never was and what is over: it tells nothing of others."""
    if found is None:
        raise InputRefused(field, "there is no such picture of this team's, or its time is over", _OWN)
    return found
