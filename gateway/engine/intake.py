"""Pictures on their way in: each reference is fetched or read, checked, cleaned, and kept by digest under its team."""

import asyncio
from collections.abc import Mapping

from adapters.contract import Picture
from gateway.egress import INPUT, Egress, EgressError, Refusal
from gateway.engine.overload import Overloaded, Reason
from gateway.engine.room import Room
from gateway.engine.wire import USER_AGENT
from gateway.keeper import Keeper
from gateway.pictures import BadPicture, CheckedInput, Pictures, PoolFull
from gateway.results import ResultsUnavailable
from gateway.state.connection import StoreUnavailable
from gateway.state.references import Reference

Source = str | bytes
"""A reference (an http(s) URL or a data URI), or the bytes of an uploaded file."""
CHECKING_S = 2
ROOM_S = 5.0
"""How long a picture may wait for room before it is fetched."""


class InputRefused(Exception):  # noqa: N818 - the name is the fact
    """A picture that cannot be used. `field` is the caller's; `expected` says what to send instead."""

    def __init__(self, field: str, detail: str, expected: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field, self.detail, self.expected = field, detail, expected


class Intake:
    """`room` is that of picture bytes. What came in a request's body is held by whoever read it; what is fetched counts
    as the largest until it is here."""

    def __init__(self, egress: Egress, pictures: Pictures, keeper: Keeper, room: Room) -> None:
        self._egress, self._pictures, self._keeper, self._room = egress, pictures, keeper, room

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

    async def _one(self, team: str, field: str, source: Source, reference: Reference) -> Picture:
        if isinstance(source, bytes) or not source.startswith(("http://", "https://")):
            return await self._kept(team, field, source, reference)
        try:
            async with asyncio.timeout(ROOM_S) as patience, self._room.patiently(team, INPUT.answer_bytes) as hold:
                patience.reschedule(None)
                fetched = await self._fetched(field, source)
                hold.resize(len(fetched))
                return await self._kept(team, field, fetched, reference)
        except TimeoutError:
            raise Overloaded(Reason.PICTURE_BYTES, round(ROOM_S)) from None

    async def _kept(self, team: str, field: str, source: Source, reference: Reference) -> Picture:
        try:
            checked = await self._checked(field, source)
        except BadPicture as error:
            raise InputRefused(field, str(error), "a JPEG, PNG or WebP of at most 20 MB and 25 megapixels") from None
        except PoolFull:
            raise Overloaded(Reason.CHECKING, CHECKING_S) from None
        await self._keeper.put(team, "inputs", checked.picture.digest, checked.data, reference)
        return checked.picture

    async def _checked(self, field: str, source: Source) -> CheckedInput:
        if isinstance(source, bytes):
            return await self._pictures.check_input(source)
        if source.startswith("data:"):
            return await self._pictures.check_input_text(source)
        raise InputRefused(field, "is neither an address nor a data URI", "an http(s) URL or data:image/…;base64,…")

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
