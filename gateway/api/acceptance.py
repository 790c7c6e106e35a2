"""From a decoded request to an edit: joined where it is already there, else accepted and begun.

Every route that edits comes through here, whatever the shape of its requests and answers.
"""

from collections.abc import Coroutine
from typing import Any

from msgspec import Struct, structs

from gateway.api.admission import Identity
from gateway.api.auth import team_of
from gateway.api.context import Context
from gateway.api.idempotency import EDITS, fingerprint_aside, idempotency_key
from gateway.api.presence import Caller, Gone
from gateway.api.problems import ProblemError, leaving
from gateway.api.refusals import refuse
from gateway.api.requests import AnyRequest, Form
from gateway.api.routing import excluded
from gateway.engine.engine import NoOffer
from gateway.engine.presence import Leaving
from gateway.identity import EDIT_PREFIX
from gateway.observe.tracecontext import TraceContext
from gateway.observe.tracecontext import read as read_trace
from gateway.settings import Key
from gateway.state.budgets import OverBudget
from gateway.state.claims import Claim
from gateway.state.records import EditRecord
from gateway.state.terms import LostClaim, RefusedBefore, TooMany
from policies.plans import Plan

OUT_OF_SERVICE_S = 30.0
LATER = "the same request later, or one that allows other models"


class Begun(Struct, frozen=True):
    """`replayed`: the edit was there already, and this request joined it. `known`: its caller can ask for it again by a
    key or an SDK's repeat, told or not."""

    record: EditRecord
    replayed: bool = False
    known: bool = True

    @property
    def headers(self) -> dict[str, str]:
        return {"idempotency-replayed": "true"} if self.replayed else {}


async def begin(
    request: AnyRequest,
    context: Context,
    key: Key,
    form: Form,
    caller: Caller,
    *,
    route: str = EDITS,
    patience_s: float = 0.0,
) -> Begun:
    """Raises a problem for every refusal; then nothing is spent. `patience_s`: how long a repeat waits for the first
    request to have made its edit, before it is refused."""
    caller.listen()
    identity = await _identity(request, context, key, form, route)
    claim = await context.admission.claim(key, identity, patience_s)
    if isinstance(claim, str):
        return Begun(await found(context, claim, key.team), replayed=True)
    record = await _accepted(request, context, key, form, caller, identity, claim)
    return Begun(record, known=claim is not None)


async def waited(
    context: Context, begun: Begun, caller: Caller, waiting: Coroutine[Any, Any, EditRecord]
) -> EditRecord:
    """The edit as `waiting` gives it. Where its caller leaves before that, one that nobody else knows of is dropped,
    unless something was bought for it. Raises `Gone`."""
    try:
        return await caller.until(waiting)
    except Gone:
        dropped = not begun.known and context.engine.drop(begun.record.id)
        caller.left("queued" if dropped else "accepted")
        raise


async def _identity(request: AnyRequest, context: Context, key: Key, form: Form, route: str) -> Identity:
    required = team_of(context.settings, key).requires_key
    sent = idempotency_key(request.headers.get("idempotency-key"), required=required)
    count = request.headers.get("x-stainless-retry-count", "")
    repeat = int(count) if count.isdecimal() and len(count) < 4 else None
    return Identity(fingerprint=await fingerprint_aside(form), key=sent, repeat=repeat, route=route)


async def _accepted(
    request: AnyRequest,
    context: Context,
    key: Key,
    form: Form,
    caller: Caller,
    identity: Identity,
    claim: Claim | None,
) -> EditRecord:
    """A new edit, begun. Every refusal is a problem, lets go of the claim, and has spent nothing."""
    async with context.admission.holding(claim):
        try:
            with context.door.refusing():
                context.engine.presence.refuse_new()  # before any picture is fetched
                context.engine.refuse_when_full(key.team)
                context.engine.refuse_when_crowded(
                    key.team, context.desk.offers(form.request, key), form.request.deadline_s
                )
                caller.check()
                order = await context.desk.order(form, key, identity, _trace(request), context.engine.new_id())
                caller.check()
                return await context.engine.accept(structs.replace(order, claim=claim))
        except NoOffer as refused:
            raise no_offer(refused.plan, for_now=refused.for_now) from None
        except Leaving:
            raise leaving() from None
        except (OverBudget, RefusedBefore, TooMany, LostClaim) as refusal:
            refuse(refusal, key, hedged=team_of(context.settings, key).hedge is not None)


def _trace(request: AnyRequest) -> TraceContext | None:
    fields = request.headers
    return read_trace(fields.getall("traceparent", []), fields.getall("tracestate", []))


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


async def found(context: Context, edit_id: str, team: str | None) -> EditRecord:
    """The one way to read an edit: a foreign id and an unknown one are answered alike."""
    record = await context.edits.get(edit_id) if edit_id.startswith(EDIT_PREFIX) and len(edit_id) < 64 else None
    if record is None or (team is not None and record.team != team):
        raise ProblemError("not_found", "there is no such edit, or its record's time is over")
    return record
