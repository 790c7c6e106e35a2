"""`/admin/keys`: taking an API key back at once, everywhere. The configuration still holds its hash; whoever edits it
next may leave the line out."""

from typing import Annotated

import msgspec
from litestar import post
from litestar.params import FromPath
from msgspec import Meta, Struct

from gateway.api.audit import keep
from gateway.api.context import Context, Given
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest
from gateway.observe import log
from gateway.settings import Key
from gateway.state.revoked import Revocation


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for whoever reads the log."""

    note: Annotated[str, Meta(min_length=3, max_length=500)]


class RevokedAnswer(Struct, frozen=True, kw_only=True):
    team: str
    key: str
    revoked: bool = True


@post("/admin/keys/{team:str}/{key:str}/revoke", status_code=200, tags=["admin"])
async def revoke_key(request: AnyRequest, context: Given, team: FromPath[str], key: FromPath[str]) -> RevokedAnswer:
    """Takes a key back for good; every replica refuses it within a second. `key` is its id in the configuration, else
    TEAM-0 for a team's first, and so on. Body: `{"note": "why"}`."""
    caller = context.gate.caller(request, "admin")
    found, note = _known(context, team, key), _note(await request.body())
    by = await keep(context, caller, "revoke a key", f"{team}/{key}", note)
    await context.revoked.revoke(found.hash, Revocation(by=by, at_ms=context.clock.now_ms(), note=note))
    log.warning("key_revoked", team=team, key_id=key, by=by, note=note)
    return RevokedAnswer(team=team, key=key)


def _known(context: Context, team: str, key: str) -> Key:
    for one in context.settings.keys.values():
        if (one.team, one.id) == (team, key):
            return one
    raise ProblemError("not_found", "the configuration has no such key", expected="a team and the id of a key of it")


def _note(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Reason).note
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProblemError("malformed", f"the body is not a note: {error}", expected='{"note": "why"}') from None
