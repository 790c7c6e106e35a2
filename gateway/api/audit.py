"""`GET /admin/audit`: who did what by `/admin`, when and why. An act is kept before it is done: one that was refused
for the state of things is there, too; one whose request was wrong is not."""

from litestar import get
from msgspec import Struct

from gateway.api.context import Context, Given
from gateway.api.requests import AnyRequest
from gateway.clock import iso
from gateway.settings import Key
from gateway.state.acts import Act

MOST_LISTED = 500


class ActAnswer(Struct, frozen=True, kw_only=True):
    at: str
    by: str
    what: str
    subject: str
    note: str


@get("/admin/audit", tags=["admin"])
async def list_acts(request: AnyRequest, context: Given) -> list[ActAnswer]:
    """Every act of an operator, newest first, at most 500; who reads is not kept."""
    context.gate.caller(request, "admin")
    return [
        ActAnswer(at=iso(act.at_ms), by=act.by, what=act.what, subject=act.subject, note=act.note)
        for act in await context.acts.newest(MOST_LISTED)
    ]


async def keep(context: Context, key: Key, what: str, subject: str, note: str) -> str:
    """Before the act. Who does it, as every record and log line names them. Raises `StoreUnavailable`."""
    by, identity = f"{key.team}/{key.id}", context.clock.random_bytes(8).hex()
    at_ms = context.clock.now_ms()
    await context.acts.keep(Act(id=identity, at_ms=at_ms, by=by, what=what, subject=subject, note=note))
    return by
