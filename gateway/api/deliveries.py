"""`/v1/webhooks/{id}/deliveries`: what was sent to an endpoint in the last week, and sending it again."""

from typing import Annotated, Literal

from litestar import get, post
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from gateway.api.context import Given
from gateway.api.listing import page_limit
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest
from gateway.api.webhooks import owned
from gateway.clock import iso
from gateway.state.deliveries import Delivery
from gateway.state.endpoints import Endpoint

_LONGEST_ID = 80


class TryAnswer(Struct, frozen=True, kw_only=True):
    """`status` is what the endpoint answered; null where no answer came, and `said` is why not."""

    at: str
    seconds: float
    status: int | None
    said: str | None


class DeliveryAnswer(Struct, frozen=True, kw_only=True):
    """`id` is the `webhook-id` of every try. `next_try_at`: not before then; null where it is over."""

    object: str = "webhook_delivery"
    id: str
    event: str
    edit: str
    url: str
    status: Literal["pending", "delivered", "failed"]
    created_at: str
    next_try_at: str | None
    tries: tuple[TryAnswer, ...]


class DeliveriesAnswer(Struct, frozen=True, kw_only=True):
    """`next` goes into `cursor` for the page that follows; None is the end."""

    object: str = "list"
    data: tuple[DeliveryAnswer, ...]
    next: str | None


@get("/v1/webhooks/{endpoint_id:str}/deliveries", tags=["webhooks"])
async def list_deliveries(
    request: AnyRequest,
    context: Given,
    endpoint_id: FromPath[str],
    cursor: Annotated[str | None, QueryParameter(required=False, description="the `next` of the page before")] = None,
    limit: Annotated[str | None, QueryParameter(required=False, description="1 to 100; 20 if left out")] = None,
) -> DeliveriesAnswer:
    """What was sent there in the last week, newest first."""
    key = context.gate.caller(request, "read")
    endpoint = await owned(context, endpoint_id, key.team)
    whose = f"{key.team}/{endpoint.id}"
    after = "" if cursor is None else context.cursors.read(whose, cursor)
    most = page_limit(limit)
    found = await context.deliveries.newest(endpoint, after, most + 1)
    page = found[:most]
    more = context.cursors.write(whose, page[-1].message) if len(found) > most else None
    return DeliveriesAnswer(data=tuple(_answer(endpoint, one) for one in page), next=more)


@post("/v1/webhooks/{endpoint_id:str}/deliveries/{delivery_id:str}/redeliver", status_code=202, tags=["webhooks"])
async def redeliver(
    request: AnyRequest, context: Given, endpoint_id: FromPath[str], delivery_id: FromPath[str]
) -> DeliveryAnswer:
    """Send it again, now, under the same id, whatever became of it before. Its schedule begins anew."""
    key = context.gate.caller(request, "edit")
    endpoint = await owned(context, endpoint_id, key.team)
    said = await context.deliveries.redeliver(endpoint, delivery_id) if len(delivery_id) <= _LONGEST_ID else b"gone"
    if said == b"disabled":
        path = f"/v1/webhooks/{endpoint.id}/enable"
        raise ProblemError("disabled", "nothing is sent to a disabled endpoint", expected=f"POST {path} first")
    delivery = await context.deliveries.get(endpoint, delivery_id) if said == b"ok" else None
    if delivery is None:
        raise ProblemError("not_found", "the endpoint has no such delivery, or its week is over")
    return _answer(endpoint, delivery)


def _answer(endpoint: Endpoint, delivery: Delivery) -> DeliveryAnswer:
    tries = (
        TryAnswer(at=iso(one.at_ms), seconds=one.seconds, status=one.status, said=one.said or None)
        for one in delivery.tries
    )
    return DeliveryAnswer(
        id=delivery.message,
        event=delivery.event,
        edit=delivery.edit,
        url=delivery.url or endpoint.url,
        status=delivery.state,
        created_at=iso(delivery.created_ms),
        next_try_at=None if delivery.due_ms is None else iso(delivery.due_ms),
        tries=tuple(tries),
    )
