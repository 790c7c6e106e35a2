"""`GET /v1/edits/{id}/events`: what becomes of an edit, as server-sent events, from any replica.

Every event that the store keeps has an id, and `Last-Event-ID` goes on after it. `progress` is reckoned here from what
the offer usually takes, and has the model's steps where a server of one's own tells them; it has no id, and is never
repeated. The stream ends after `final`, and a client that comes back after it is told by a 204 to stop.
"""

import re
from collections.abc import AsyncIterator

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from gateway.api.acceptance import found
from gateway.api.context import Context, Given
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest, invalid
from gateway.state.events import EventName
from gateway.state.feed import START, Event
from gateway.state.records import AttemptRecord, EditRecord

RETRY_MS = 1_000
PROGRESS_S = 2.0
_ID = re.compile(r"\d{1,15}-\d{1,15}")
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@get("/v1/edits/{edit_id:str}/events", media_type="text/event-stream", tags=["edits"])
async def follow_edit(request: AnyRequest, context: Given, edit_id: FromPath[str]) -> Response[bytes] | Stream:
    """The edit's events: queued, routed, attempt, progress, picture, final.

    `Last-Event-ID` goes on after that event, at any replica; 204 says that none comes any more.
    """
    key = context.gate.caller(request, "read")
    told = Telling(context, await found(context, edit_id, key.team), context.root(request))
    after = _last_event_id(request)
    last = await context.feed.last(told.record.id)
    if last is not None and last.id == after and last.name == EventName.FINAL:
        return Response(b"", status_code=204)
    if context.feed.is_full:
        raise ProblemError("overloaded", "as many event streams are open here as may be", retry_after_s=2)
    events = told.only_the_end() if last is None and told.record.end else told.events(after)
    return Stream(events, headers=_HEADERS)


def _last_event_id(request: AnyRequest) -> str:
    sent = request.headers.get("last-event-id", "")
    if not sent:
        return START
    if not _ID.fullmatch(sent):
        invalid("Last-Event-ID", "is none of this stream", "the id of the last event, as it came, or no such header")
    return sent


class Telling:
    """One stream of one edit. `root` is the gateway's own address."""

    def __init__(self, context: Context, record: EditRecord, root: str) -> None:
        self._context, self.record, self._root = context, record, root

    async def only_the_end(self) -> AsyncIterator[bytes]:
        """The events of an edit are kept for an hour after its end, its record for longer."""
        yield _RETRY
        yield _written(EventName.FINAL, await self._final())

    async def events(self, after: str) -> AsyncIterator[bytes]:
        """What was told after `after`, then what is told, until the end or until this replica leaves."""
        feed, edit = self._context.feed, self.record.id
        yield _RETRY
        with feed.watching(edit, after) as watch:
            await feed.look_again()
            while not watch.is_over:
                for event in await feed.read(edit, after):
                    after = event.id
                    yield await self._told(event)
                    if event.name == EventName.FINAL:
                        return
                if not await watch.news(PROGRESS_S):
                    yield await self._meanwhile()

    async def _told(self, event: Event) -> bytes:
        """Pictures and the end are shown as the record has them: their addresses are this moment's."""
        match event.name:
            case EventName.FINAL:
                return _written(EventName.FINAL, await self._final(), event.id)
            case EventName.PICTURE:
                return _written(event.name, await self._picture(event), event.id)
            case _:
                return _written(event.name, event.data, event.id)

    async def _final(self) -> bytes:
        await self._read()
        return msgspec.json.encode(await self._context.answers.edit(self.record, self._root, inline=False))

    async def _picture(self, event: Event) -> bytes:
        await self._read()
        number = msgspec.json.decode(event.data, type=_Numbered).number
        answer = await self._context.answers.edit(self.record, self._root, inline=False)
        image = answer.images[number] if number < len(answer.images) else None
        return msgspec.json.encode({"number": number, "image": image})

    async def _meanwhile(self) -> bytes:
        """How far an attempt should be by now; a comment where none runs, so that nobody takes the line for dead."""
        await self._read()
        running = next((one for one in self.record.attempts if one.state.is_open), None)
        if running is None:
            return b": waiting\n\n"
        elapsed_s = max(0.0, (self._context.clock.now_ms() - running.opened_ms) / 1000)
        expected_s = self.record.plan.candidate(running.offer).expected_s
        progress = {"offer": running.offer, "elapsed_s": round(elapsed_s, 1), "expected_s": round(expected_s, 1)}
        return _written(EventName.PROGRESS, msgspec.json.encode(progress | self._steps(running)))

    def _steps(self, running: AttemptRecord) -> dict[str, int]:
        """How far its server says that the model is, at most two seconds ago; empty where it says nothing."""
        load = self._context.health.load(running.provider)
        steps = load.steps.get(running.id) if load else None
        return {"step": steps.done, "steps": steps.of} if steps else {}

    async def _read(self) -> None:
        self.record = await self._context.edits.get(self.record.id) or self.record


class _Numbered(msgspec.Struct):
    number: int


_RETRY = f"retry: {RETRY_MS}\n\n".encode()


def _written(name: str, data: bytes, id_: str | None = None) -> bytes:
    """One event on the wire. JSON escapes line breaks, so its data is one line."""
    line = b"" if id_ is None else b"id: %b\n" % id_.encode()
    return line + b"event: %b\ndata: %b\n\n" % (name.encode(), data)
