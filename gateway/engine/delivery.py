"""Pictures on their way out: what a provider delivered is fetched, checked, cleaned and kept.

A picture that was paid for is delivered. One that cannot be fetched is asked for again by a fresh link, never bought
again; one that is blank, unchanged or of another size is delivered with a warning.
"""

import asyncio

from msgspec import Struct

from adapters.contract import Attempt, Done, Failed, FailureKind, Fate, HttpCall, Inline, Link, Next, Offer, Pixels
from adapters.fit import Fit, fit
from gateway.clock import Clock
from gateway.egress import EgressError
from gateway.engine.exchange import exchange
from gateway.engine.room import Room
from gateway.engine.timing import Timing
from gateway.engine.wire import Wire
from gateway.keeper import Keeper, of_result
from gateway.pictures import BadPicture, CheckedResult, Original, Pictures
from gateway.results import MissingPicture, ResultsUnavailable
from gateway.settings import Provider
from gateway.state.records import EditRecord, Image
from gateway.state.references import Reference


class Delivered(Struct, frozen=True):
    """`notes` are words for the caller: fewer pictures than asked, what a preview did not apply."""

    images: tuple[Image, ...]
    notes: tuple[str, ...]


class _Job(Struct, frozen=True):
    """One edit's delivery: whose it is, from whom, and what was asked."""

    record: EditRecord
    provider: Provider
    attempt: Attempt
    expected: Pixels | None


USUAL_BYTES = 4_000_000
"""What a result counts for until it is here: Kontext's megapixel, uncompressed."""

_PUT_AGAIN_S = 2.5

_UNUSABLE = Failed(
    kind=FailureKind.BAD_PICTURE, fate=Fate.RAN, message="the provider finished, but its picture could not be used"
)


class Delivery:
    """`room` is that of picture bytes: what was paid for waits for it, and is never refused."""

    def __init__(
        self, wire: Wire, pictures: Pictures, keeper: Keeper, room: Room, clock: Clock, timing: Timing
    ) -> None:
        self._wire, self._pictures, self._keeper, self._room = wire, pictures, keeper, room
        self._clock, self._timing = clock, timing

    async def deliver(
        self, record: EditRecord, provider: Provider, offer: Offer, attempt_id: str, done: Done
    ) -> Delivered | Failed:
        """Every picture of `done` in the store, or `bad_picture` when not one of them can be used."""
        attempt = Attempt(id=attempt_id, number=1, edit=record.edit, offer=offer)
        job = _Job(record, provider, attempt, _expected(record, offer))
        images = await self._images(job, done)
        for pause_s in self._timing.refresh_s if done.refresh else ():
            if all(images):
                break
            await self._clock.sleep(pause_s)
            images = await self._refreshed(job, done.refresh, images)
        usable = tuple(image for image in images if image)
        if not usable:
            return _UNUSABLE
        missing = record.edit.n - len(usable)
        short = (f"{len(usable)} of {record.edit.n} pictures were made",) if missing > 0 else ()
        return Delivered(usable, (*short, *done.notes))

    async def _images(self, job: _Job, done: Done) -> list[Image | None]:
        return list(await asyncio.gather(*(self._image(job, picture) for picture in done.pictures)))

    async def _refreshed(self, job: _Job, refresh: HttpCall | None, images: list[Image | None]) -> list[Image | None]:
        """The missing ones, by the fresh links of `refresh`."""
        if refresh is None:
            return images
        outcome = await exchange(self._wire, job.provider, job.record.team, job.attempt, refresh, stamped_s=0.0)
        fresh = outcome.partial if isinstance(outcome, Next) else outcome
        if not isinstance(fresh, Done) or len(fresh.pictures) != len(images):
            return images
        pairs = zip(images, fresh.pictures, strict=True)
        return [image or await self._image(job, picture) for image, picture in pairs]

    async def _image(self, job: _Job, picture: Link | Inline) -> Image | None:
        async with self._room.patiently(job.record.team, USUAL_BYTES) as hold:
            data = picture.data if isinstance(picture, Inline) else await self._fetched(job, picture.url)
            if data is None:
                return None
            hold.resize(len(data))
            return await self._kept(job, picture, data)

    async def _kept(self, job: _Job, picture: Link | Inline, data: bytes | str) -> Image | None:
        edit = job.record.edit
        size = job.expected and (job.expected.width, job.expected.height)
        try:
            checked = await self._pictures.check_result(
                data, edit.output_format, edit.output_quality, size, self._original(job.record)
            )
        except BadPicture:
            return None
        reference = of_result(job.record.id, job.record.wish.output.ttl_s or self._keeper.keep_s)
        await self._put(job, picture, checked, reference)
        return Image(
            digest=checked.digest,
            format=checked.format,
            width=checked.width,
            height=checked.height,
            bytes=len(checked.data),
            seed=picture.seed,
            nsfw=picture.nsfw if edit.flag_nsfw else None,
            warnings=tuple(warning.value for warning in checked.warnings),
        )

    async def _put(self, job: _Job, picture: Link | Inline, checked: CheckedResult, reference: Reference) -> None:
        """One that came in the answer itself may be paid for, and nobody can be asked for it again: it waits here for a
        result store that is away."""
        over_s = self._clock.monotonic() + self._timing.resolve_s
        while True:
            try:
                return await self._keeper.put(job.record.team, "results", checked.digest, checked.data, reference)
            except ResultsUnavailable:
                if isinstance(picture, Link) or self._clock.monotonic() >= over_s:
                    raise
                await self._clock.sleep(_PUT_AGAIN_S)

    def _original(self, record: EditRecord) -> Original | None:
        """None for an edit whose pictures were lost with the store."""
        if not record.edit.images:
            return None
        picture = record.edit.images[0]

        async def load() -> bytes | None:
            try:
                return await self._keeper.results.get(record.team, "inputs", picture.digest)
            except MissingPicture:
                return None

        return Original(picture, load)

    async def _fetched(self, job: _Job, url: str) -> bytes | None:
        try:
            reply = await self._wire.fetch(job.provider, url)
        except EgressError:
            return None
        return reply.body if reply.status == 200 else None


def _expected(record: EditRecord, offer: Offer) -> Pixels | None:
    fitted = fit(record.edit, offer)
    return fitted.sent.size if isinstance(fitted, Fit) else None
