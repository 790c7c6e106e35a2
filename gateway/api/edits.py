"""`/v1/edits`: post one, look at one, fetch its pictures."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import MediaType, Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from gateway.api.acceptance import begin, found, waited
from gateway.api.answers import EditAnswer, problem_kind
from gateway.api.context import Context, Given
from gateway.api.documents import EditOperation
from gateway.api.erase import erased
from gateway.api.preferences import preference
from gateway.api.presence import attended
from gateway.api.problems import KINDS, ProblemError
from gateway.api.problems import answer as problem_answer
from gateway.api.requests import AnyRequest, read_body
from gateway.results import MissingPicture
from gateway.state.records import EditRecord, Status


@post("/v1/edits", status_code=200, operation_class=EditOperation, tags=["edits"])
async def create_edit(request: AnyRequest, context: Given) -> Response[bytes]:
    """Edit a picture. Waits up to 60 s (`Prefer: wait=N`, `respond-async`), then answers 202 with its address."""
    key = context.gate.caller(request, "edit")
    headers = await context.admission.rate(key)
    async with attended(request, context.metrics) as caller:
        with context.door.passed(request, key):
            begun = await begin(request, context, key, await read_body(request), caller)
        preferred = preference(request.headers.getall("prefer", []))
        headers |= begun.headers | preferred.headers
        record = begun.record
        if preferred.wait_s:
            record = await waited(context, begun, caller, context.engine.wait(record, preferred.wait_s))
    return await _waited(request, context, record, headers)


async def _waited(
    request: AnyRequest, context: Context, record: EditRecord, headers: dict[str, str]
) -> Response[bytes]:
    """200 for a success, 202 for what goes on (or is unresolved), a problem that holds the whole edit for the rest."""
    answer = await context.answers.edit(record, context.root(request))
    place = {**headers, "location": f"/v1/edits/{record.id}", "x-edit-id": record.id}
    if record.status is Status.SUCCEEDED:
        return _json(answer, 200, place)
    if record.end is None:
        return _json(answer, 202, {**place, "retry-after": "1", "x-should-retry": "false"})
    return problem_answer(ended_problem(record, answer, place))


def ended_problem(record: EditRecord, answer: EditAnswer, headers: dict[str, str]) -> ProblemError:
    """Of an edit that ended without a picture; it holds the whole edit."""
    assert record.end is not None
    kind, problem = problem_kind(record.end), record.end.problem
    return ProblemError(
        kind,
        problem.detail if problem else KINDS[kind].title,
        extensions={"edit": msgspec.to_builtins(answer)},
        headers={**headers, "x-should-retry": "false"},
    )


def _json(answer: EditAnswer, status: int, headers: dict[str, str]) -> Response[bytes]:
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON, status_code=status, headers=headers)


@get("/v1/edits/{edit_id:str}", tags=["edits"])
async def read_edit(request: AnyRequest, context: Given, edit_id: FromPath[str]) -> EditAnswer:
    """An edit as it stands; 200 for every status."""
    key = context.gate.caller(request, "read")
    return await context.answers.edit(await found(context, edit_id, key.team), context.root(request))


@get("/v1/edits/{edit_id:str}/images/{number:int}", media_type="image/*", tags=["edits"])
async def read_image(
    request: AnyRequest,
    context: Given,
    edit_id: FromPath[str],
    number: FromPath[int],
    expires: Annotated[str | None, QueryParameter(name="expires")] = None,
    signature: Annotated[str | None, QueryParameter(name="signature")] = None,
) -> Stream:
    """A result picture, by its signed address or with a key."""
    now_s = context.clock.now_ms() / 1000
    team = None
    if signature is None or expires is None:
        team = context.gate.caller(request, "read").team
    elif not context.links.is_valid(edit_id, number, expires, signature, now_s):
        raise ProblemError("not_found", "this address is not valid, or its time is over; GET the edit for a fresh one")
    record = await found(context, edit_id, team)
    if record.erase_ms:
        raise erased()
    images = record.end.images if record.end else ()
    if number >= len(images) or context.answers.expires_s(record) < now_s:
        raise ProblemError("not_found", "the edit has no such picture, or its time is over")
    return await _picture(context, record, number)


async def _picture(context: Context, record: EditRecord, number: int) -> Stream:
    assert record.end is not None
    image = record.end.images[number]
    try:
        kept = await context.results.stream(record.team, "results", image.digest, size=image.bytes)
    except MissingPicture:
        raise ProblemError("not_found", "the picture was deleted") from None
    headers = {
        "content-type": image.format.media_type,  # as a header: `Stream` prefers its handler's media type to its own
        "content-length": str(kept.size),
        "content-disposition": f'inline; filename="{record.id}-{number}.{image.format.value}"',
        "content-security-policy": "default-src 'none'",
        "x-content-type-options": "nosniff",
        "cache-control": "private, max-age=3600, immutable",
        "etag": f'"{image.digest}"',
        "last-modified": datetime.fromtimestamp(record.finished_ms / 1000, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }
    return Stream(kept.chunks, headers=headers)
