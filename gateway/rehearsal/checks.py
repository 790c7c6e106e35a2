"""Checks of one JSON value each: `None` if it fits, else the words for what was expected."""

import re
from collections.abc import Callable, Mapping

from gateway.rehearsal.exchange import JsonObject, json_array, json_object

Check = Callable[[object], str | None]

UUID_V4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)


def anything(_: object) -> str | None:
    return None


def boolean(value: object) -> str | None:
    return None if isinstance(value, bool) else "a boolean"


def integer(low: int, high: int) -> Check:
    def check(value: object) -> str | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if fits else f"an integer from {low} to {high}"

    return check


def number(low: float, high: float) -> Check:
    def check(value: object) -> str | None:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        return None if fits else f"a number from {low:g} to {high:g}"

    return check


def text(shortest: int, longest: int) -> Check:
    def check(value: object) -> str | None:
        fits = isinstance(value, str) and shortest <= len(value) <= longest
        return None if fits else f"a string of {shortest} to {longest} characters"

    return check


def one_of(*values: str) -> Check:
    def check(value: object) -> str | None:
        return None if value in values else f"one of {', '.join(values)}"

    return check


def one_of_any_case(*values: str) -> Check:
    folded = {value.casefold() for value in values}

    def check(value: object) -> str | None:
        fits = isinstance(value, str) and value.casefold() in folded
        return None if fits else f"one of {', '.join(values)}"

    return check


def web_address(value: object) -> str | None:
    fits = isinstance(value, str) and value.startswith(("http://", "https://"))
    return None if fits else "an http or https URL"


def uuid_v4(value: object) -> str | None:
    fits = isinstance(value, str) and UUID_V4.fullmatch(value) is not None
    return None if fits else "a UUID of version 4"


def array(each: Check, shortest: int, longest: int) -> Check:
    def check(value: object) -> str | None:
        items = json_array(value)
        if items is None or not shortest <= len(items) <= longest:
            return f"an array of {shortest} to {longest} items"
        return next((f"items that are each {wrong}" for item in items if (wrong := each(item))), None)

    return check


def an_object(fields: Mapping[str, Check], *required: str) -> Check:
    """An object with these fields and no others."""

    def check(value: object) -> str | None:
        members = json_object(value)
        if members is None:
            return "an object"
        return next((f"an object {wrong}" for _, wrong in wrong_fields(members, fields, required)), None)

    return check


def wrong_fields(
    members: JsonObject, fields: Mapping[str, Check], required: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    """`(field, what was expected)` for each unknown, missing or unfitting field."""
    unknown = [(name, f"without {name}: its fields are {', '.join(fields)}") for name in members if name not in fields]
    missing = [(name, f"with {name}") for name in required if name not in members]
    unfit = [(n, f"whose {n} is {wrong}") for n, v in members.items() if n in fields and (wrong := fields[n](v))]
    return unknown + missing + unfit
