"""`/v1/webhooks`: where a team is told what becomes of its edits. A secret is shown once, when it is made."""

import re
from typing import Annotated, Literal

from litestar import delete, get, post
from litestar.params import FromPath
from msgspec import Meta, Struct, structs

from gateway.api.context import Context, Given
from gateway.api.documents import EndpointOperation, EndpointRequest
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest, decoded, invalid
from gateway.clock import iso
from gateway.egress import Refused
from gateway.observe import log
from gateway.state.endpoints import MOST_OF_A_TEAM, Endpoint, Receives, Told, TooManyEndpoints
from gateway.webhooks.registrar import Changed, Registered

_ID = re.compile(r"we_[0-9a-f]{32}")
EXPECTED_URL = (
    "an https address on the public internet, port 443; its operator may allow a host inside by [egress] allow_hosts"
)


class EndpointAnswer(Struct, frozen=True, kw_only=True):
    """`status` `disabled`: nothing is sent there until it is enabled; `reason` is `given_up` (it took nothing for three
    days) or `gone` (it answered 410). `rotated_until`: until then the secret before the last rotation signs too."""

    object: str = "webhook_endpoint"
    id: str
    url: str
    receives: Receives
    events: tuple[Told, ...]
    status: Literal["enabled", "disabled"]
    reason: str | None
    disabled_at: str | None
    delivered_at: str | None
    rotated_until: str | None
    created_at: str


class EndpointSecretAnswer(EndpointAnswer, frozen=True, kw_only=True):
    """With the secret that signs from now on. It is not shown again."""

    secret: Annotated[str, Meta(description="whsec_…, as Standard Webhooks' libraries take it")]


class EndpointsAnswer(Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: tuple[EndpointAnswer, ...]


@post("/v1/webhooks", status_code=201, operation_class=EndpointOperation, tags=["webhooks"])
async def create_endpoint(request: AnyRequest, context: Given) -> EndpointSecretAnswer:
    """Register an endpoint of the team. The answer holds its secret, once."""
    key = context.gate.caller(request, "edit")
    wanted = decoded(await request.body(), EndpointRequest)
    try:
        endpoint = await context.registrar.register(key.team, wanted.url, wanted.receives, wanted.events or ())
    except Refused as refused:
        invalid("url", str(refused), EXPECTED_URL)
    except Registered as there:
        invalid("url", f"is registered already, as {there.endpoint.id}", "another address, or that endpoint")
    except TooManyEndpoints:
        invalid("url", f"the team has {MOST_OF_A_TEAM} endpoints", "one fewer: DELETE /v1/webhooks/{id}")
    log.info("webhook_registered", endpoint=endpoint.id, team=key.team, by=key.id)
    return _with_secret(context, endpoint)


@get("/v1/webhooks", tags=["webhooks"])
async def list_endpoints(request: AnyRequest, context: Given) -> EndpointsAnswer:
    """The team's endpoints, oldest first."""
    key = context.gate.caller(request, "read")
    found = await context.endpoints.of_team(key.team)
    return EndpointsAnswer(data=tuple(_answer(context, one) for one in found))


@get("/v1/webhooks/{endpoint_id:str}", tags=["webhooks"])
async def read_endpoint(request: AnyRequest, context: Given, endpoint_id: FromPath[str]) -> EndpointAnswer:
    """One endpoint as it stands."""
    key = context.gate.caller(request, "read")
    return _answer(context, await owned(context, endpoint_id, key.team))


@delete("/v1/webhooks/{endpoint_id:str}", status_code=204, tags=["webhooks"])
async def delete_endpoint(request: AnyRequest, context: Given, endpoint_id: FromPath[str]) -> None:
    """Remove an endpoint, with all that waits for it."""
    key = context.gate.caller(request, "edit")
    endpoint = await owned(context, endpoint_id, key.team)
    await context.endpoints.remove(endpoint)
    log.info("webhook_removed", endpoint=endpoint.id, team=key.team, by=key.id)


@post("/v1/webhooks/{endpoint_id:str}/rotate", status_code=200, tags=["webhooks"])
async def rotate_secret(request: AnyRequest, context: Given, endpoint_id: FromPath[str]) -> EndpointSecretAnswer:
    """A new secret. The one before it signs beside it for 24 hours, so that no message is refused meanwhile."""
    key = context.gate.caller(request, "edit")
    endpoint = await owned(context, endpoint_id, key.team)
    try:
        rotated = await context.registrar.rotate(endpoint)
    except Changed:
        raise ProblemError("conflict", "another request changed the endpoint", retry_after_s=1) from None
    log.info("webhook_rotated", endpoint=endpoint.id, team=key.team, by=key.id)
    return _with_secret(context, rotated)


@post("/v1/webhooks/{endpoint_id:str}/enable", status_code=200, tags=["webhooks"])
async def enable_endpoint(request: AnyRequest, context: Given, endpoint_id: FromPath[str]) -> EndpointAnswer:
    """Send to a disabled endpoint again. What waits for it and is not a week old is tried at once."""
    key = context.gate.caller(request, "edit")
    endpoint = await owned(context, endpoint_id, key.team)
    await context.endpoints.enable(endpoint)
    log.info("webhook_enabled", endpoint=endpoint.id, team=key.team, by=key.id)
    return _answer(context, await owned(context, endpoint_id, key.team))


async def owned(context: Context, endpoint_id: str, team: str) -> Endpoint:
    """The one way to read an endpoint: a foreign id and an unknown one are answered alike."""
    endpoint = await context.endpoints.get(endpoint_id) if _ID.fullmatch(endpoint_id) else None
    if endpoint is None or endpoint.team != team:
        raise ProblemError("not_found", "there is no such endpoint")
    return endpoint


def _answer(context: Context, endpoint: Endpoint) -> EndpointAnswer:
    now_ms = context.clock.now_ms()
    old = [one.until_ms for one in endpoint.secrets if one.until_ms and one.until_ms > now_ms]
    return EndpointAnswer(
        id=endpoint.id,
        url=endpoint.url,
        receives=endpoint.receives,
        events=endpoint.events or tuple(Told),
        status="disabled" if endpoint.disabled_ms else "enabled",
        reason=endpoint.reason or None,
        disabled_at=_moment(endpoint.disabled_ms),
        delivered_at=_moment(endpoint.delivered_ms),
        rotated_until=_moment(max(old, default=0)),
        created_at=iso(endpoint.created_ms),
    )


def _with_secret(context: Context, endpoint: Endpoint) -> EndpointSecretAnswer:
    answer = structs.asdict(_answer(context, endpoint))
    return EndpointSecretAnswer(**answer, secret=endpoint.secrets[0].text)


def _moment(ms: int) -> str | None:
    return iso(ms) if ms else None
