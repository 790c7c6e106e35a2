"""Places in the configuration file, as its errors name them."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from gateway.choices import choices

_T = TypeVar("_T")


class SettingsError(ValueError):
    """The configuration cannot be used; the text says where, why and what to write."""


def converted(place: str, document: object, kind: type[_T]) -> _T:
    """`document` as `kind`, or an error that names `place` in the file."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        path = path.removesuffix("`")
        where = f"{place}{path}".lstrip(".") or "the file"
        raise SettingsError(f"{where}: {text}{_instead(kind, path, text)}") from None


def _instead(kind: type, path: str, text: str) -> str:
    """What to write, where the type's own words leave it open."""
    if path.endswith(".order"):
        return '; expected "balanced", or a list such as ["cheapest"]'
    if path.endswith("_usd") and text.startswith("Expected `str"):
        return '; write decimal dollars in quotes, such as "25.00"'
    allowed = choices(kind, path) if "enum value" in text else ()
    return f"; expected one of {', '.join(allowed)}" if allowed else ""


def listed(names: Iterable[str]) -> str:
    """Names as an error offers them."""
    return ", ".join(sorted(names)) or "none"
