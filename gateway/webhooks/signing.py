"""A message on the wire, as Standard Webhooks wants it: `webhook-id` is the same at every try, `webhook-timestamp` is
the try's own, and every live secret of the endpoint signs both together with the body."""

from base64 import b64encode
from datetime import UTC, datetime

import msgspec
from standardwebhooks import Webhook

from gateway.clock import iso
from gateway.engine.wire import USER_AGENT
from gateway.state.deliveries import Delivery

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of a secret, and none
SECRET_BYTES = 32


class Event(msgspec.Struct, frozen=True):
    """The body. `timestamp` is when the edit ended, so a repeat is the same text."""

    type: str
    timestamp: str
    data: msgspec.Raw


def new_secret(chance: bytes) -> str:
    """`chance` is `SECRET_BYTES` long."""
    return SECRET_PREFIX + b64encode(chance).decode("ascii")


def body_of(delivery: Delivery) -> bytes:
    return msgspec.json.encode(Event(delivery.event, iso(delivery.created_ms), msgspec.Raw(delivery.data)))


def signed(delivery: Delivery, secrets: tuple[str, ...], now_ms: int) -> tuple[dict[str, str], bytes]:
    """Header fields and body of a try that begins now."""
    body, at_s = body_of(delivery), now_ms // 1000
    moment = datetime.fromtimestamp(at_s, UTC)
    signatures = (Webhook(secret).sign(delivery.message, moment, body.decode()) for secret in secrets)
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": delivery.message,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signatures),
    }
    return headers, body
