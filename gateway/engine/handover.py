"""A finished picture is PUT to the address that the caller gave (`output.upload_url`). Its failure never changes the
edit: the picture stays where it is, and the log says what happened."""

import asyncio

from msgspec.structs import replace

from gateway.clock import Clock
from gateway.egress import RESULT, Egress, EgressError
from gateway.engine.wire import USER_AGENT
from gateway.observe import log
from gateway.results import MissingPicture, Results, ResultsUnavailable
from gateway.state.records import EditRecord, Image, Status

PAUSES_S = (1.0, 5.0, 20.0)
_PROFILE = replace(RESULT, name="upload", redirects=0, answer_bytes=65_536)


class HandOver:
    def __init__(self, egress: Egress, results: Results, clock: Clock) -> None:
        self._egress, self._results, self._clock = egress, results, clock
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, record: EditRecord) -> None:
        """Starts the upload where one was asked for; nobody waits for it."""
        url = record.wish.output.upload_url
        if url is None or record.end is None or record.end.status is not Status.SUCCEEDED:
            return
        task = asyncio.create_task(self._upload(record, record.end.images[0], url))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Breaks off what is under way; the caller can still fetch the picture."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _upload(self, record: EditRecord, image: Image, url: str) -> None:
        said = await self._put(record, image, url)
        for pause_s in PAUSES_S:
            if said is None:
                break
            await self._clock.sleep(pause_s)
            said = await self._put(record, image, url)
        if said is None:
            log.info("picture_uploaded", edit=record.id)
        else:
            log.warning("upload_failed", edit=record.id, said=said)

    async def _put(self, record: EditRecord, image: Image, url: str) -> str | None:
        """None when it is there, else what went wrong."""
        try:
            data = await self._results.get(record.team, "results", image.digest)
            headers = {"content-type": image.format.media_type, "user-agent": USER_AGENT}
            reply = await self._egress.send(_PROFILE, "PUT", url, headers, data)
        except (EgressError, MissingPicture, ResultsUnavailable) as error:
            return type(error).__name__
        return None if 200 <= reply.status < 300 else f"status {reply.status}"
