"""`/admin/replica`: the one process that answers. Taking it out of service leaves what it works on in peace: it is not
ready, begins nothing new and takes nothing over, so that it can be ended, or looked at, once nothing is in flight."""

from typing import Annotated

import msgspec
from litestar import get, post
from msgspec import Meta, Struct

from gateway.api.audit import keep
from gateway.api.context import Context, Given
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest
from gateway.clock import iso
from gateway.engine.presence import Absence
from gateway.observe import log


class Why(Struct, frozen=True, forbid_unknown_fields=True):
    """For whoever reads the log."""

    note: Annotated[str, Meta(min_length=3, max_length=500)]


class OutOfService(Struct, frozen=True, kw_only=True):
    by: str
    at: str
    note: str


class ReplicaAnswer(Struct, frozen=True, kw_only=True):
    """`ready`: whether a balancer is told to send edits here. `in_flight`: the edits that it works on."""

    replica: str
    ready: bool
    in_flight: int
    out_of_service: OutOfService | None


@get("/admin/replica", tags=["admin"])
async def read_replica(request: AnyRequest, context: Given) -> ReplicaAnswer:
    """The replica that answers, and how much it has to do."""
    context.gate.caller(request, "admin")
    return _answer(context)


@post("/admin/replica/drain", status_code=200, tags=["admin"])
async def drain_replica(request: AnyRequest, context: Given) -> ReplicaAnswer:
    """Begins nothing new here from now on; what runs goes on. Until it is restored, or started anew. Body:
    `{"note": "why"}`."""
    key = context.gate.caller(request, "admin")
    note = _note(await request.body())
    by = await keep(context, key, "drain a replica", context.edits.replica, note)
    context.engine.presence.take_out(Absence(by=by, at_ms=context.clock.now_ms(), note=note))
    log.warning("replica_drained", replica=context.edits.replica, by=by, note=note)
    return _answer(context)


@post("/admin/replica/restore", status_code=200, tags=["admin"])
async def restore_replica(request: AnyRequest, context: Given) -> ReplicaAnswer:
    """Back in service. Body: `{"note": "why"}`."""
    key = context.gate.caller(request, "admin")
    note = _note(await request.body())
    by = await keep(context, key, "restore a replica", context.edits.replica, note)
    context.engine.presence.put_back()
    log.warning("replica_restored", replica=context.edits.replica, by=by, note=note)
    return _answer(context)


def _note(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Why).note
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProblemError("malformed", f"the body is not a note: {error}", expected='{"note": "why"}') from None


def _answer(context: Context) -> ReplicaAnswer:
    presence = context.engine.presence
    out = presence.absence
    return ReplicaAnswer(
        replica=context.edits.replica,
        ready=presence.is_ready,
        in_flight=context.engine.in_flight,
        out_of_service=OutOfService(by=out.by, at=iso(out.at_ms), note=out.note) if out else None,
    )
