"""The section `limits`, its sizes in bytes."""

from gateway.configuration.place import SettingsError
from gateway.sections import LimitsSection
from gateway.settings import BODY_BYTES, Limits

_UNITS = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


def limits(section: LimitsSection) -> Limits:
    picture_bytes = size("limits.picture_bytes", section.picture_bytes)
    if picture_bytes < BODY_BYTES:
        least = f"{BODY_BYTES // _UNITS['MB']}MB"
        raise SettingsError(f"limits.picture_bytes: at least {least}, or the largest request could never be taken")
    return Limits(
        in_flight=section.in_flight,
        queued=section.queued,
        queue_s=section.queue_s,
        picture_bytes=picture_bytes,
    )


def size(place: str, text: str) -> int:
    """`512MB` in bytes."""
    number, unit = text[:-2], text[-2:]
    if not (number.isascii() and number.isdigit()) or unit not in _UNITS:
        raise SettingsError(f"{place}: expected a whole number and one of {' '.join(_UNITS)}, such as 512MB")
    return int(number) * _UNITS[unit]
