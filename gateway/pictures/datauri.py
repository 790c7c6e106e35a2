"""Pictures as text: base64, bare or in a data URI (RFC 2397). Strict, since lenient decoders disagree about what was
sent.

The size is judged from the text's length, before anything is decoded; decoding runs in a worker.
"""

import binascii
import re

from msgspec import Struct

from adapters.contract import ImageFormat
from gateway.pictures.sniff import BadPicture, Fault, Limits

_HEAD = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)(?:;[a-z0-9-]+=[a-z0-9._-]{1,40}){0,4};base64,", re.IGNORECASE)
_MOST_HEAD = 256
_DECLARED = {
    "image/png": ImageFormat.PNG,
    "image/jpeg": ImageFormat.JPEG,
    "image/jpg": ImageFormat.JPEG,  # not registered, widely sent
    "image/webp": ImageFormat.WEBP,
}


class Encoded(Struct, frozen=True):
    """Where the base64 starts in the text, and the format that a data URI declared."""

    start: int
    declared: ImageFormat | None


def split(text: str, limits: Limits) -> Encoded:
    """Raises `BadPicture` for another scheme, a declared type that is not taken, or too much text."""
    encoded = _head(text[:_MOST_HEAD]) if text[:5].lower() == "data:" else Encoded(0, None)
    limits.check_bytes((len(text) - encoded.start) // 4 * 3 - 2)  # at the least: two may be padding
    return encoded


def _head(text: str) -> Encoded:
    match = _HEAD.match(text)
    if match is None:
        raise BadPicture(
            Fault.ENCODING, "the data URI does not start like data:image/jpeg;base64, (or image/png, image/webp)"
        )
    declared = _DECLARED.get(match[1].lower())
    if declared is None:
        raise BadPicture(Fault.UNSUPPORTED, f"the data URI says {match[1]}; send image/jpeg, image/png or image/webp")
    return Encoded(match.end(), declared)


def decode(text: bytes) -> bytes:
    """Padded base64 of the standard alphabet in one unbroken line. Raises `BadPicture` for anything else."""
    if text.endswith(b"==="):  # Python's strict mode takes any number of these after a whole group
        raise not_base64()
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise not_base64() from None


def not_base64() -> BadPicture:
    return BadPicture(
        Fault.ENCODING,
        "the picture is not strict base64; send the standard alphabet with padding, without spaces or line breaks",
    )


def check_declared(declared: ImageFormat | None, true: ImageFormat) -> None:
    if declared is not None and declared is not true:
        raise BadPicture(
            Fault.MISDECLARED,
            f"the data URI says {declared.media_type}, but the picture is {true.media_type}; declare the true type",
        )
