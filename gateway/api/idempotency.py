"""When are two requests the same? The caller's `Idempotency-Key`, and the fingerprint of what was asked."""

import re
from hashlib import sha256
from hmac import digest
from typing import NoReturn

import msgspec

from gateway.api.problems import ProblemError
from gateway.api.requests import Form
from gateway.secret import Secret

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
ROUTE = "POST /v1/edits"


def idempotency_key(header: str | None, *, required: bool) -> str | None:
    """The key; `"quoted"` (the structured-field form) and bare are the same one. Raises a 400 problem."""
    if header is None:
        if required:
            _refuse("is required for this team", "one key per edit, such as a UUID, repeated with every retry")
        return None
    text = header.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not _VISIBLE.fullmatch(text):
        _refuse("is not 1 to 255 visible ASCII characters", "a key such as a UUID")
    return text


def _refuse(detail: str, expected: str) -> NoReturn:
    raise ProblemError("malformed", f"Idempotency-Key {detail}", field="Idempotency-Key", expected=expected)


def fingerprint(form: Form) -> str:
    """SHA-256 of the decoded request, in hex: fields that equal their default are left out (so that a release with a
    new field changes no old fingerprint), addresses are text, and inline pictures are their digests."""
    request = form.request
    if form.images:
        images = tuple(_digest(image) for image in form.images)
    else:
        images = tuple(_reference(image) for image in request.images)
    mask = _digest(form.mask) if form.mask is not None else request.mask and _reference(request.mask)
    canonical = msgspec.structs.replace(request, images=images, mask=mask)
    return sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()


def _reference(text: str) -> str:
    return _digest(text.encode()) if text.startswith("data:") else text


def _digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


def origin(secret: Secret, team: str, key: str, print_: str) -> str:
    """What an edit's attempt ids derive from, when its caller sent a key: the same request finds the same ids, even
    after the store is lost."""
    text = "\n".join((team, ROUTE, key, print_))
    return digest(secret.derive("origin"), text.encode(), "sha256").hex()[:32]
