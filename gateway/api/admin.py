"""`/admin`: what an operator may say of money that nobody else can account for. Additions to the configuration, never
against it; each act is a row of the ledger, and is logged."""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from litestar import Request, get, post
from litestar.params import FromPath
from msgspec import Meta, Struct, structs

from gateway.api.audit import keep
from gateway.api.context import Context, Given
from gateway.api.problems import ProblemError
from gateway.api.requests import invalid
from gateway.clock import iso
from gateway.engine.late import unresolved
from gateway.ledger.rows import Row, RowKind
from gateway.money import MICRO, micro_from_usd, usd
from gateway.observe import log
from gateway.state.edits import IllegalMove
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Problem, Status

AnyRequest = Request[Any, Any, Any]
MOST_LISTED = 500


class Verdict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of an unresolved attempt: `settled` at `cost_usd`, or `released`. `note` says how you know."""

    verdict: Literal["settled", "released"]
    note: Annotated[str, Meta(min_length=3, max_length=500)]
    cost_usd: str | None = None


class Release(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing was bought for an edit that a lost store brought back without an attempt. `note` says how you know."""

    verdict: Literal["released"]
    note: Annotated[str, Meta(min_length=3, max_length=500)]


class UnresolvedAnswer(Struct, frozen=True, kw_only=True):
    """An attempt whose charge is unknown; `held_usd` is what is held for it. Without an attempt: an edit that a lost
    store brought back, whose attempts are not known."""

    edit: str
    attempt: int | None
    attempt_id: str | None
    team: str
    offer: str | None
    held_usd: str
    posted_at: str
    message: str


class ReleaseAnswer(Struct, frozen=True, kw_only=True):
    edit: str
    edit_status: Status


class VerdictAnswer(Struct, frozen=True, kw_only=True):
    """What the verdict made of the attempt, and of its edit."""

    edit: str
    attempt: int
    state: AttemptState
    cost_usd: str | None
    edit_status: Status


class CorrectionAnswer(Struct, frozen=True, kw_only=True):
    id: str
    edit: str
    attempt: int | None
    team: str
    offer: str | None
    settled_usd: str | None
    source: str | None
    note: str | None
    at: str


@get("/admin/unresolved", tags=["admin"])
async def list_unresolved(request: AnyRequest, context: Given) -> list[UnresolvedAnswer]:
    """Money that is held until somebody knows whether it was charged, longest first."""
    context.gate.caller(request, "admin")
    listed: list[UnresolvedAnswer] = []
    for record in await context.corrections.unresolved(MOST_LISTED):
        attempts = unresolved(record)
        listed += [_unresolved(record, attempt) for attempt in attempts]
        if not attempts:
            listed.append(_unknown(record, await context.corrections.held_micro(record.id)))
    return listed


def _unknown(record: EditRecord, held_micro: int) -> UnresolvedAnswer:
    return UnresolvedAnswer(
        edit=record.id,
        attempt=None,
        attempt_id=None,
        team=record.team,
        offer=None,
        held_usd=usd(held_micro),
        posted_at=iso(record.created_ms),
        message=record.end.problem.detail if record.end and record.end.problem else "",
    )


def _unresolved(record: EditRecord, attempt: AttemptRecord) -> UnresolvedAnswer:
    return UnresolvedAnswer(
        edit=record.id,
        attempt=attempt.number,
        attempt_id=attempt.id,
        team=record.team,
        offer=attempt.offer,
        held_usd=usd(attempt.price_micro),
        posted_at=iso(attempt.first_posted_ms or record.created_ms),  # a restored one's own time is lost
        message=attempt.message,
    )


@post("/admin/edits/{edit_id:str}/attempts/{number:int}/verdict", status_code=200, tags=["admin"])
async def resolve_attempt(
    request: AnyRequest, context: Given, edit_id: FromPath[str], number: FromPath[int]
) -> VerdictAnswer:
    """Settle or release an unresolved attempt. Body: `{"verdict": "settled", "cost_usd": "0.04", "note": "…"}`."""
    key = context.gate.caller(request, "admin")
    verdict = _verdict(await request.body())
    record, attempt = await _attempt(context, edit_id, number)
    ended = _ended(attempt, verdict)
    by = await keep(context, key, f"{verdict.verdict} an attempt", f"{edit_id}/{number}", verdict.note)
    # Each call is an act of its own: one that comes second, with whatever verdict, must learn that it came too late.
    operation = f"{number}/{verdict.verdict}/{context.clock.random_bytes(4).hex()}"
    try:
        record = await context.corrections.resolve(
            record, ended, _end(record, ended), operation=operation, note=f"{by}: {verdict.note}"
        )
    except IllegalMove as error:
        raise ProblemError("conflict", f"the attempt cannot be resolved now: {error}") from None
    log.warning(
        "attempt_resolved", edit=edit_id, attempt=number, verdict=verdict.verdict, cost_micro=ended.cost_micro, by=by
    )
    cost = None if ended.cost_micro is None else usd(ended.cost_micro)
    return VerdictAnswer(edit=edit_id, attempt=number, state=ended.state, cost_usd=cost, edit_status=record.status)


@post("/admin/edits/{edit_id:str}/verdict", status_code=200, tags=["admin"])
async def release_edit(request: AnyRequest, context: Given, edit_id: FromPath[str]) -> ReleaseAnswer:
    """Release what an edit holds that a lost store brought back without an attempt. Body: `{"verdict": "released",
    "note": "…"}`."""
    key = context.gate.caller(request, "admin")
    verdict = _decoded(await request.body(), Release, '{"verdict": "released", "note": "how you know"}')
    record = await context.edits.get(edit_id)
    if record is None:
        raise ProblemError("not_found", "there is no such edit")
    by = await keep(context, key, "release an edit", edit_id, verdict.note)
    operation = f"release/{context.clock.random_bytes(4).hex()}"
    end = _failed(record, 0, "the store was lost before any attempt of the edit was known")
    try:
        record = await context.corrections.release(record, end, operation=operation, note=f"{by}: {verdict.note}")
    except IllegalMove as error:
        raise ProblemError("conflict", f"the edit cannot be released now: {error}") from None
    log.warning("edit_released", edit=edit_id, by=by)
    return ReleaseAnswer(edit=edit_id, edit_status=record.status)


T = TypeVar("T")


def _decoded(body: bytes, kind: type[T], expected: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProblemError("malformed", f"the body is not a verdict: {error}", expected=expected) from None


def _verdict(body: bytes) -> Verdict:
    expected = '{"verdict": "settled" or "released", "cost_usd": "0.04", "note": "how you know"}'
    verdict = _decoded(body, Verdict, expected)
    if (verdict.verdict == "settled") != (verdict.cost_usd is not None):
        invalid("cost_usd", "goes with settled, and only with it", 'decimal dollars, such as "0.04"')
    return verdict


async def _attempt(context: Context, edit_id: str, number: int) -> tuple[EditRecord, AttemptRecord]:
    record = await context.edits.get(edit_id)
    attempts = record.attempts if record else ()
    for attempt in attempts:
        if record and attempt.number == number:
            return record, attempt
    raise ProblemError("not_found", "there is no such edit or attempt")


def _ended(attempt: AttemptRecord, verdict: Verdict) -> AttemptRecord:
    if verdict.cost_usd is None:
        return structs.replace(attempt, state=AttemptState.RELEASED)
    try:
        cost_micro = micro_from_usd(verdict.cost_usd)
    except ValueError as error:
        invalid("cost_usd", str(error), 'decimal dollars, such as "0.04"')
    if cost_micro > 4 * max(attempt.price_micro, MICRO // 100):
        invalid("cost_usd", "is more than four times the attempt's price", f"at most ${usd(4 * attempt.price_micro)}")
    return structs.replace(attempt, state=AttemptState.SETTLED, cost_micro=cost_micro, cost_source="operator")


def _end(record: EditRecord, ended: AttemptRecord) -> End:
    """An unresolved edit fails once its money is accounted for: its picture never came."""
    return _failed(record, ended.cost_micro or 0, "what became of the edit was found out too late for its picture")


def _failed(record: EditRecord, cost_micro: int, detail: str) -> End:
    before_micro = record.end.cost_micro if record.end else 0
    problem = Problem(kind="lost", detail=detail)
    return End(status=Status.FAILED, cost_micro=before_micro + cost_micro, problem=problem)


@get("/admin/corrections", tags=["admin"])
async def list_corrections(request: AnyRequest, context: Given) -> list[CorrectionAnswer]:
    """Every act of an operator or the reconciler that is in the ledger, newest first."""
    context.gate.caller(request, "admin")
    found = [row async for row in context.book.rows() if row.kind is RowKind.CORRECT or row.note]
    return [_correction(row) for row in reversed(found[-MOST_LISTED:])]


def _correction(row: Row) -> CorrectionAnswer:
    return CorrectionAnswer(
        id=row.id,
        edit=row.edit,
        attempt=row.attempt,
        team=row.team,
        offer=row.offer,
        settled_usd=None if row.settled_micro is None else usd(row.settled_micro),
        source=row.source,
        note=row.note,
        at=iso(row.at_ms),
    )
