"""Webhooks on the receiving side, after Standard Webhooks: is this message the gateway's, whole and of now?"""

import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest, digest

import msgspec
from msgspec import Struct

TOLERANCE_S = 300
PREFIX = "whsec_"


class WebhookRefusedError(Exception):
    """The message is not to be trusted. Answer 401, and do nothing."""


class About(Struct, frozen=True, kw_only=True):
    """What the message is about: GET it for the rest."""

    id: str
    object: str = "edit"
    status: str = ""


class Webhook(Struct, frozen=True, kw_only=True):
    """`id` is the same at every try, so drop what you have seen. `type`: edit.succeeded, edit.failed, edit.refused,
    edit.cancelled, edit.unresolved, or one of a newer gateway; `timestamp`: when it happened."""

    id: str = ""
    type: str
    timestamp: datetime
    data: About


def verify(
    body: bytes, headers: Mapping[str, str], secrets: str | Iterable[str], *, now_s: float | None = None
) -> Webhook:
    """The message, if one of the `secrets` signed it within five minutes of now. `body` are the bytes as they came;
    two secrets bridge a rotation. Raises `WebhookRefusedError`."""
    sent = {name.lower(): value for name, value in headers.items()}
    id_, moment, signatures = (sent.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (id_ and moment.isdecimal() and signatures):
        raise WebhookRefusedError("webhook-id, webhook-timestamp or webhook-signature is missing or malformed")
    if abs((time.time() if now_s is None else now_s) - int(moment[:12])) > TOLERANCE_S:
        raise WebhookRefusedError(
            f"webhook-timestamp is more than {TOLERANCE_S} s off: an old message, or a wrong clock"
        )
    signed = b".".join((id_.encode(), moment.encode(), body))
    if not _is_signed(signed, signatures, (secrets,) if isinstance(secrets, str) else tuple(secrets)):
        raise WebhookRefusedError("no signature is right: another secret, or a changed body")
    try:
        return msgspec.structs.replace(msgspec.json.decode(body, type=Webhook), id=id_)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise WebhookRefusedError("the body is no event of the gateway") from None


def _is_signed(signed: bytes, signatures: str, secrets: tuple[str, ...]) -> bool:
    """Every pair is compared, whichever is right."""
    given = [text.removeprefix("v1,").encode() for text in signatures.split(" ") if text.startswith("v1,")]
    right = [b64encode(digest(_key(secret), signed, sha256)) for secret in secrets]
    return sum(compare_digest(one, other) for one in given for other in right) > 0


def _key(secret: str) -> bytes:
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except NotBase64:
        key = b""
    if not key:
        raise ValueError(f"a secret is {PREFIX} and base64, as the endpoint's registration answered it")
    return key
