"""When are two requests the same? The caller's `Idempotency-Key`, and the fingerprint of what was asked."""

import asyncio
import re
from hashlib import sha256
from hmac import digest
from typing import NoReturn, cast

import msgspec
from msgspec import NODEFAULT, Struct, structs

from gateway.api.problems import ProblemError
from gateway.api.requests import Form
from gateway.secret import Secret

_SHORT = 256_000
"""Bytes that are hashed in well under a millisecond: a thread's hand-over costs as much."""
_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
EDITS = "POST /v1/edits"
"""A key belongs to a route: the same key on another one is another edit."""


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
    asked = _asked(structs.replace(request, images=images, mask=mask))
    return sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


async def fingerprint_aside(form: Form) -> str:
    """The same; in a thread, where hashing would hold the event loop up."""
    return fingerprint(form) if _inline_bytes(form) <= _SHORT else await asyncio.to_thread(fingerprint, form)


def _inline_bytes(form: Form) -> int:
    texts = (*form.request.images, form.request.mask or "")
    return sum(map(len, (*form.images, form.mask or b"", *texts)))


def _asked(value: object) -> object:
    """The value without fields that equal their default. By equality: the encoder's own omission goes by identity, and
    a text that was decoded is never the default's object."""
    if isinstance(value, tuple):
        return [_asked(inner) for inner in cast("tuple[object, ...]", value)]
    if not isinstance(value, Struct):
        return value
    given = {field.encode_name: (getattr(value, field.name), _default(field)) for field in structs.fields(value)}
    return {name: _asked(inner) for name, (inner, default) in given.items() if inner != default}


def _default(field: structs.FieldInfo) -> object:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()


def _reference(text: str) -> str:
    return _digest(text.encode()) if text.startswith("data:") else text


def _digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


def origin(secret: Secret, team: str, route: str, key: str, print_: str) -> str:
    """What an edit's attempt ids derive from, when its caller sent a key: the same request finds the same ids, even
    after the store is lost."""
    text = "\n".join((team, route, key, print_))
    return digest(secret.derive("origin"), text.encode(), "sha256").hex()[:32]
