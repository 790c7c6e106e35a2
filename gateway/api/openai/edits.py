"""`POST /v1/images/edits`: an edit as OpenAI's clients ask for it, on the way that every edit takes.

Never 202, which those clients take for a success: the answer waits for the end. What is not known by then is a 504 that
no client repeats, with the edit's id in it; a repeat of the same request would join the edit.
"""

from collections.abc import AsyncGenerator
from math import isfinite
from typing import Any

import msgspec
from litestar import MediaType, Response, post
from litestar.response import Stream
from msgspec import Struct

from adapters.contract import Adjustment
from gateway.api.acceptance import Begun, begin, waited
from gateway.api.context import Context, Given
from gateway.api.documents import ImageEditOperation
from gateway.api.edits import ended_problem
from gateway.api.erase import erased
from gateway.api.openai.answers import ImagesAnswer, completed_events, headers_of, images_answer
from gateway.api.openai.errors import in_openais_shape
from gateway.api.openai.requests import read_image_edit
from gateway.api.presence import Caller, attended
from gateway.api.problems import ProblemError
from gateway.api.problems import answer as problem_answer
from gateway.api.requests import AnyRequest
from gateway.observe import log
from gateway.settings import Key
from gateway.state.records import EditRecord, Status

ROUTE = "POST /v1/images/edits"
CREATION_S = 30.0
"""How long a repeat waits for the first request to have made its edit: as long as a claim lives."""
LONGEST_S, MARGIN_S = 900.0, 2.0
"""An attempt is followed for 15 minutes. The answer leaves before the client's own time is over."""
POLL_S, KEEP_ALIVE_S = 0.5, 10.0


@post("/v1/images/edits", status_code=200, operation_class=ImageEditOperation, tags=["openai"])
async def create_image_edit(request: AnyRequest, context: Given) -> Response[Any]:
    """OpenAI's images edit, for its official SDKs unchanged but for address and key. Waits for the edit's end."""
    key = context.gate.caller(request, "edit")
    headers = {"x-request-id": context.clock.random_bytes(12).hex(), **await context.admission.rate(key)}
    async with attended(request, context.metrics) as caller:
        return await _answered(request, context, key, caller, headers)


async def _answered(
    request: AnyRequest, context: Context, key: Key, caller: Caller, headers: dict[str, str]
) -> Response[Any]:
    begun, asked = await _begin(request, context, key, caller)
    headers |= {**begun.headers, "x-kontext-edit-id": begun.record.id}
    patience_s, root = patience(request.headers.get("x-stainless-read-timeout", "")), context.root(request)
    if asked.stream:
        events = _events(context, begun.record, asked, root, patience_s)
        return Stream(events, media_type="text/event-stream", headers={**headers, "cache-control": "no-store"})
    record = await waited(context, begun, caller, _ended(context, begun.record, patience_s))
    if record.status is not Status.SUCCEEDED:
        return _refused(await _problem(context, record, root), headers)
    answer = await _answer(context, record, asked, root)
    content = msgspec.json.encode(answer)
    return Response(content, media_type=MediaType.JSON, headers={**headers, **headers_of(answer)})


class _Asked(Struct, frozen=True):
    """What is left to know of a request once its edit has begun: not its pictures, which would be held till the end."""

    stream: bool
    adjustments: tuple[Adjustment, ...]


async def _begin(request: AnyRequest, context: Context, key: Key, caller: Caller) -> tuple[Begun, _Asked]:
    with context.door.passed(request, key):
        asked = await read_image_edit(request, context.settings)
        begun = await begin(request, context, key, asked.form, caller, route=ROUTE, patience_s=CREATION_S)
        return begun, _Asked(asked.stream, asked.adjustments)


def patience(read_timeout: str) -> float:
    """How long to wait for the end: the SDKs say how long they do (600 s unless set)."""
    try:
        client_s = float(read_timeout)
    except ValueError:
        client_s = LONGEST_S
    return min(max(client_s - MARGIN_S, 1.0), LONGEST_S) if isfinite(client_s) else LONGEST_S


async def _ended(context: Context, record: EditRecord, seconds: float) -> EditRecord:
    """The edit when it ended, whichever replica follows it, or as it stands after `seconds`."""
    until = context.clock.monotonic() + seconds
    while (
        record.end is None
        and not context.engine.presence.is_leaving
        and (left := until - context.clock.monotonic()) > 0
    ):
        record = await context.engine.wait(record, left)
        if record.end is None:  # another replica follows it, and the wait was none
            await context.clock.sleep(min(POLL_S, left))
    return record


async def _answer(context: Context, record: EditRecord, asked: _Asked, root: str) -> ImagesAnswer:
    if record.erase_ms:
        raise erased()
    edit = await context.answers.edit(record, root)
    return images_answer(edit, record.finished_ms // 1000, asked.adjustments)


async def _problem(context: Context, record: EditRecord, root: str) -> ProblemError:
    """Of an edit that gave no picture, or none yet."""
    if record.end is not None:
        return ended_problem(record, await context.answers.edit(record, root), {})
    detail = f"the edit goes on, and the time to wait for it is over: GET /v1/edits/{record.id} tells how it ends"
    return ProblemError("unresolved", detail, extensions={"edit_id": record.id})


def _refused(problem: ProblemError, headers: dict[str, str]) -> Response[bytes]:
    """Money may have moved: no client shall repeat it by itself."""
    problem.headers.update({**headers, "x-should-retry": "false"})
    return in_openais_shape(problem_answer(problem))


# --- as a stream ----------------------------------------------------------------------------------------------------


async def _events(
    context: Context, record: EditRecord, asked: _Asked, root: str, patience_s: float
) -> AsyncGenerator[bytes]:
    """Ends with `image_edit.completed` or `error`, whatever happens: clients take a stream that just ends for a good
    one. No provider shows a picture half made, so there are no partial ones."""
    until, presence = context.clock.monotonic() + patience_s, context.engine.presence
    yield b": the edit is under way\n\n"
    try:
        while record.end is None and not presence.is_leaving and (left := until - context.clock.monotonic()) > 0:
            record = await _ended(context, record, min(left, KEEP_ALIVE_S))
            yield b": waiting\n\n"
        if record.status is Status.SUCCEEDED:
            for event in completed_events(await _answer(context, record, asked, root)):
                yield _event(event.type, msgspec.json.encode(event))
        else:
            yield _event("error", _error(await _problem(context, record, root)))
    except Exception as error:  # noqa: BLE001 - the status is out: only an event can still say that it failed
        log.error("stream_failed", edit=record.id, error=type(error).__name__, exc_info=error)
        detail = f"the gateway failed while it waited: GET /v1/edits/{record.id} tells how the edit ends"
        yield _event("error", _error(ProblemError("internal", detail, extensions={"edit_id": record.id})))


def _event(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def _error(problem: ProblemError) -> bytes:
    return in_openais_shape(problem_answer(problem)).content
