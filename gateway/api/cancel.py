"""`DELETE /v1/edits/{id}`: cancel an edit, honest about money.

One that waits ends at once and costs nothing. What a provider has taken it goes on with, and charges for: the edit is
followed to its end, is then `cancelled` at its true cost, and its picture is neither fetched nor kept.
"""

import asyncio

import msgspec
from litestar import MediaType, Response, delete
from litestar.params import FromPath

from gateway.api.acceptance import found
from gateway.api.answers import EditAnswer
from gateway.api.context import Context, Given
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest
from gateway.state.events import EventName
from gateway.state.records import EditRecord

WAIT_S = 1.0
"""So long the answer waits for the end: one that waited for a place ends within it."""


@delete("/v1/edits/{edit_id:str}", status_code=200, tags=["edits"])
async def cancel_edit(request: AnyRequest, context: Given, edit_id: FromPath[str]) -> Response[bytes]:
    """Cancel an edit. 200 once it is cancelled, 202 while a provider goes on with it, 409 for one that has ended."""
    key = context.gate.caller(request, "edit")
    record = await found(context, edit_id, key.team)
    if not await context.edits.cancel(record.id):
        raise await _ended(request, context, record.id, key.team)
    record = await _followed(context, record)
    answer = await context.answers.edit(record, context.root(request), inline=False)
    return _json(answer, 200 if record.end else 202)


async def _ended(request: AnyRequest, context: Context, edit_id: str, team: str) -> ProblemError:
    record = await found(context, edit_id, team)
    answer = await context.answers.edit(record, context.root(request), inline=False)
    return ProblemError(
        "ended",
        f"the edit is {record.status} already, and nothing of it can be cancelled",
        expected="an edit that is queued or running",
        extensions={"edit": msgspec.to_builtins(answer)},
    )


async def _followed(context: Context, record: EditRecord) -> EditRecord:
    """As it stands when it ended, or after a second: its owner may be another replica."""
    try:
        async with asyncio.timeout(WAIT_S):
            await _end(context, record.id)
    except TimeoutError:
        pass
    return await context.edits.get(record.id) or record


async def _end(context: Context, edit_id: str) -> None:
    last = await context.feed.last(edit_id)
    with context.feed.watching(edit_id, last.id if last else "0-0") as watch:
        await context.feed.look_again()
        while last is None or last.name != EventName.FINAL:
            if watch.is_over:
                return
            await watch.news(WAIT_S)
            last = await context.feed.last(edit_id)


def _json(answer: EditAnswer, status: int) -> Response[bytes]:
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON, status_code=status)
