"""What can be believed of a provider's reply: a JSON tree, the few kinds of value that an adapter asks of it, and words
that are safe to repeat. Nothing here raises, whatever the reply holds.

Wire documents are read as trees, not decoded into structs: providers send the same fact in several shapes, and one
field of an unexpected type must not make the rest of a paid answer unreadable.
"""

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import cast

import msgspec
from msgspec import Struct

from adapters.contract import HttpReply

Tree = dict[str, object]

_MILLION = 1_000_000
_MOST_RETRY_S = 3600.0
_MOST_SEED = 2**63 - 1
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}\Z", re.ASCII)
_FIELD = re.compile(r"[\w.\[\]\-]{1,64}\Z", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_\-:][A-Za-z0-9_\-:.]{0,199}\Z", re.ASCII)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what a Decimal holds
        return None


# Fractions stay decimal from the raw text on: a float would be wrong for one price in ninety.
_JSON = msgspec.json.Decoder(float_hook=_decimal)


def document(reply: HttpReply) -> object:
    """The reply's JSON document; None where it is not JSON or is nested beyond reason."""
    try:
        return _JSON.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def tree(value: object) -> Tree:
    """A JSON object; empty for anything else."""
    return cast("Tree", value) if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """A JSON array; empty for anything else."""
    return cast("list[object]", value) if isinstance(value, list) else []


def text(value: object) -> str:
    """A JSON string; empty for anything else."""
    return value if isinstance(value, str) else ""


def code(value: object) -> str:
    """A provider's error code, only where it looks like one, so that a message may repeat it."""
    return text(value) if _CODE.match(text(value)) else ""


def identifier(value: object) -> str:
    """An id that is safe to put in a path; empty for anything else (`/`, `..`, spaces, more than 200 characters)."""
    return text(value) if _ID.match(text(value)) else ""


def seed(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _MOST_SEED else None


def flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def micro_usd(value: object, most_micro: int) -> int | None:
    """Dollars, as a decimal string or a JSON number, in micro-dollars. None where the figure is not to be believed:
    missing, unreadable, zero, negative, or more than `most_micro`."""
    dollars = _decimal(value) if isinstance(value, str) and len(value) <= 32 else value
    if isinstance(dollars, int) and not isinstance(dollars, bool):
        dollars = Decimal(dollars)
    if not isinstance(dollars, Decimal) or not dollars.is_finite() or not 0 < dollars <= Decimal(most_micro) / _MILLION:
        return None
    return int((dollars * _MILLION).to_integral_value(ROUND_HALF_UP)) or None


def seconds(value: object, most_s: float) -> float | None:
    """A JSON number above 0 and up to `most_s`; None for anything else."""
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        return None
    return float(value) if 0 < value <= most_s else None


def retry_after(reply: HttpReply) -> float | None:
    """Seconds from the `Retry-After` header, at most an hour. A date there is None: reading it needs a clock."""
    value = reply.headers.get("retry-after", "").strip()
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        return None
    return min(float(value), _MOST_RETRY_S)


class Refusal(Struct, frozen=True):
    """What an error reply says. Its text (`str`) is safe to show; `words` are the provider's own, for matching only."""

    status: int
    code: str
    type: str
    words: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        field = f"field {self.fields[0]}" if self.fields else ""
        return f"HTTP {self.status}" + "".join(f", {part}" for part in (self.code, field) if part)


def refusal(reply: HttpReply) -> Refusal:
    """An error in any of its usual shapes: flat (`code, message, errors`), nested (`error: {code, type, message}`), as
    text (`error, code`), or as `detail`, text or list. A field is named by `field`, or by the steps of `loc`."""
    body = tree(document(reply))
    nested = tree(body.get("error"))
    details = [tree(one) for key in ("errors", "detail") for one in items(body.get(key))]
    words = [nested.get("message"), body.get("error"), body.get("message"), body.get("detail")]
    words += [one.get(key) for one in details for key in ("message", "msg")]
    places = [text(one.get("field")) or ".".join(filter(None, map(text, items(one.get("loc"))))) for one in details]
    return Refusal(
        status=reply.status,
        code=code(nested.get("code")) or code(body.get("code")),
        type=code(nested.get("type")),
        words=" ".join(filter(None, map(text, words))),
        fields=tuple(place for place in places if _FIELD.match(place)),
    )
