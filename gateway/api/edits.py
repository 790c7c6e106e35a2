"""`/v1/edits`: post one, look at one, fetch its pictures."""

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import MediaType, Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from msgspec import structs

from gateway.api.admission import Identity
from gateway.api.answers import EditAnswer, problem_kind
from gateway.api.context import Context, Given
from gateway.api.documents import EditOperation
from gateway.api.idempotency import fingerprint, idempotency_key
from gateway.api.problems import KINDS, ProblemError
from gateway.api.problems import answer as problem_answer
from gateway.api.refusals import refuse
from gateway.api.requests import AnyRequest, Form, read_body
from gateway.api.routing import excluded
from gateway.engine.engine import NoOffer, Overloaded
from gateway.identity import EDIT_PREFIX
from gateway.results import MissingPicture
from gateway.settings import Key
from gateway.state.budgets import OverBudget
from gateway.state.claims import Claim
from gateway.state.records import EditRecord, Status
from gateway.state.terms import LostClaim, RefusedBefore, TooMany
from policies.plans import Plan

DEFAULT_WAIT_S = 60.0
OUT_OF_SERVICE_S = 30.0
LATER = "the same request later, or one that allows other models"
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,4})(?:$|[,;\s])")
_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@post("/v1/edits", status_code=200, operation_class=EditOperation, tags=["edits"])
async def create_edit(request: AnyRequest, context: Given) -> Response[bytes]:
    """Edit a picture. Waits up to 60 s (`Prefer: wait=N`, `respond-async`), then answers 202 with its address."""
    key = context.gate.caller(request, "edit")
    headers = await context.admission.rate(key)
    form = await read_body(request)
    identity = _identity(request, context, key, form)
    claim = await context.admission.claim(key, identity)
    if isinstance(claim, str):
        headers["idempotency-replayed"] = "true"
        record = await _found(context, claim, key.team)
    else:
        record = await _accepted(request, context, key, form, identity, claim)
    if wait_s := preferred_wait_s(request.headers.get("prefer", "")):
        record = await context.engine.wait(record, wait_s)
    return await _waited(request, context, record, headers)


def _identity(request: AnyRequest, context: Context, key: Key, form: Form) -> Identity:
    required = context.settings.teams[key.team].requires_key
    sent = idempotency_key(request.headers.get("idempotency-key"), required=required)
    count = request.headers.get("x-stainless-retry-count", "")
    repeat = int(count) if count.isdecimal() and len(count) < 4 else None
    return Identity(fingerprint=fingerprint(form), key=sent, repeat=repeat)


async def _accepted(
    request: AnyRequest, context: Context, key: Key, form: Form, identity: Identity, claim: Claim | None
) -> EditRecord:
    """A new edit, begun. Every refusal is a problem, lets go of the claim, and has spent nothing."""
    async with context.admission.holding(claim):
        order = await context.desk.order(form, key, identity, _trace_id(request))
        try:
            return await context.engine.accept(structs.replace(order, claim=claim))
        except NoOffer as refused:
            raise no_offer(refused.plan, for_now=refused.for_now) from None
        except Overloaded:
            raise ProblemError("overloaded", "this gateway follows as many edits as it may", retry_after_s=2) from None
        except (OverBudget, RefusedBefore, TooMany, LostClaim) as refusal:
            refuse(refusal, key)


def preferred_wait_s(prefer: str) -> float:
    """RFC 7240: `respond-async` waits not at all, `wait=N` that long, but not past the longest deadline."""
    if "respond-async" in prefer:
        return 0.0
    match = _WAIT.search(prefer)
    return min(float(match.group(1)), 900.0) if match else DEFAULT_WAIT_S


def _trace_id(request: AnyRequest) -> str | None:
    """The trace of a W3C `traceparent`; a malformed one begins no trace and harms nothing."""
    parent = request.headers.get("traceparent", "")
    return parent.split("-")[1] if _TRACE.fullmatch(parent) else None


def no_offer(plan: Plan, *, for_now: bool = False) -> ProblemError:
    """Why nothing fits, offer by offer; the field is named where all of them object to the same one. `for_now`: one
    would, and is out of service."""
    fields = {exclusion.field for exclusion in plan.exclusions}
    field = fields.pop() if len(fields) == 1 else None
    reasons = [
        {"offer": one.offer, "reason": one.excluded, "field": one.field, "why": one.why} for one in excluded(plan)
    ]
    said = "; ".join(f"{one.offer} {one.detail}" for one in plan.exclusions) or "no offer is configured"
    expected = "change the field that the reasons name, or allow other models" if field is None else None
    return ProblemError(
        "no_offer_now" if for_now else "no_offer",
        f"no offer can do this{' now' if for_now else ''}: {said}",
        field=None if for_now else field,
        expected=LATER if for_now else expected or "; ".join(dict.fromkeys(one.detail for one in plan.exclusions)),
        retry_after_s=OUT_OF_SERVICE_S if for_now else None,
        extensions={"exclusions": reasons},
    )


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
    kind = problem_kind(record.end)
    problem = record.end.problem
    return problem_answer(
        ProblemError(
            kind,
            problem.detail if problem else KINDS[kind].title,
            extensions={"edit": msgspec.to_builtins(answer)},
            headers={**place, "x-should-retry": "false"},
        )
    )


def _json(answer: EditAnswer, status: int, headers: dict[str, str]) -> Response[bytes]:
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON, status_code=status, headers=headers)


async def _found(context: Context, edit_id: str, team: str | None) -> EditRecord:
    """The one way to read an edit: a foreign id and an unknown one are answered alike."""
    record = await context.edits.get(edit_id) if edit_id.startswith(EDIT_PREFIX) and len(edit_id) < 64 else None
    if record is None or (team is not None and record.team != team):
        raise ProblemError("not_found", "there is no such edit, or its record's time is over")
    return record


@get("/v1/edits/{edit_id:str}", tags=["edits"])
async def read_edit(request: AnyRequest, context: Given, edit_id: FromPath[str]) -> EditAnswer:
    """An edit as it stands; 200 for every status."""
    key = context.gate.caller(request, "read")
    return await context.answers.edit(await _found(context, edit_id, key.team), context.root(request))


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
    record = await _found(context, edit_id, team)
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
