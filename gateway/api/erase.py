"""`DELETE /v1/edits/{id}/content`: erase an edit's pictures and its prompt now.

The edit stays, with digests, money and routing. A picture that another edit of the team still needs stays for that one.
"""

import msgspec
from litestar import MediaType, Response, delete
from litestar.params import FromPath

from gateway.api.acceptance import found
from gateway.api.context import Given
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest
from gateway.state.records import EditRecord, Status

SHARED = "x-kontext-pictures-shared"


@delete("/v1/edits/{edit_id:str}/content", status_code=200, tags=["edits"])
async def erase_content(request: AnyRequest, context: Given, edit_id: FromPath[str]) -> Response[bytes]:
    """Erase the pictures, the prompt and the stored calls of an ended edit. 200 once all of it is gone, 202 while the
    prompt is needed to find out what was charged; `X-Kontext-Pictures-Shared` counts those that other edits need."""
    key = context.gate.caller(request, "edit")
    record = await found(context, edit_id, key.team)
    if not await context.eraser.asked(record.id):
        raise _goes_on(await found(context, edit_id, key.team))
    erased = await context.eraser.erase(record)
    record = await found(context, edit_id, key.team)
    answer = await context.answers.edit(record, context.root(request), inline=False)
    status = 200 if erased.whole else 202
    headers = {SHARED: str(erased.shared)}
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON, status_code=status, headers=headers)


def _goes_on(record: EditRecord) -> ProblemError:
    """What is still needed cannot go: by the provider, or by whoever finds out what became of it."""
    if record.status is Status.UNRESOLVED:
        return ProblemError(
            "not_ended",
            "what became of the edit is not known yet, and finding it out needs its prompt",
            expected=f"the same request once GET /v1/edits/{record.id} says succeeded, failed, refused or cancelled",
        )
    return ProblemError(
        "not_ended",
        f"the edit is {record.status}, and what is under way needs its content",
        expected=f"the same request after its end; DELETE /v1/edits/{record.id} asks for that",
    )


def erased() -> ProblemError:
    """Of a picture of such an edit: 410, since it was there and will not come back."""
    return ProblemError("erased", "the edit's content was erased, as its team asked")
