"""Places in the configuration file, as its errors name them."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

_T = TypeVar("_T")


class SettingsError(ValueError):
    """The configuration cannot be used; the text says where, why and what to write."""


def converted(place: str, document: object, kind: type[_T]) -> _T:
    """`document` as `kind`, or an error that names `place` in the file."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        where = f"{place}{path.removesuffix('`')}".lstrip(".") or "the file"
        raise SettingsError(f"{where}: {text}") from None


def listed(names: Iterable[str]) -> str:
    """Names as an error offers them."""
    return ", ".join(sorted(names)) or "none"
