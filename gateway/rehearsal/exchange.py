"""One HTTP exchange as data: what came in, what goes out, and in which manner it goes out."""

from enum import StrEnum
from typing import cast

import msgspec
from msgspec import Struct


class Provider(StrEnum):
    RUNWARE = "runware"
    RUNFLOW = "runflow"


class Step(StrEnum):
    """What a call is for. A fault is scripted for some of these."""

    SUBMIT = "submit"
    POLL = "poll"
    LOOK_UP = "look_up"
    UPLOAD = "upload"
    FETCH = "fetch"
    HEALTH = "health"


class Manner(StrEnum):
    """How a reply leaves: whole, or in one of the ways in which networks lose one."""

    WHOLE = "whole"
    CUT = "cut"  # the head promises the whole body, half of it comes, then the connection is closed
    RESET = "reset"  # a TCP reset instead of any answer
    HANG = "hang"  # nothing, until released or the caller leaves; then closed without a byte


class Request(Struct, frozen=True):
    """`origin` is this server as the caller addressed it (`http://host:port`); header names are lower-case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    origin: str

    @property
    def bearer(self) -> str | None:
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        return key if scheme.lower() == "bearer" else None


class About(Struct, frozen=True):
    """What the log says of an exchange. No prompt, no key, no picture."""

    step: Step | None = None
    endpoint: str = ""
    ids: tuple[str, ...] = ()
    client_ref: str | None = None
    outcome: str = ""
    fault: str | None = None


NOTHING = About()


class Reply(Struct, frozen=True):
    status: int
    body: bytes = b""
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    manner: Manner = Manner.WHOLE
    about: About = NOTHING


def json_reply(status: int, content: object, about: About = NOTHING, retry_after_s: float | None = None) -> Reply:
    headers = () if retry_after_s is None else (("retry-after", f"{retry_after_s:g}"),)
    return Reply(status, msgspec.json.encode(content), headers=headers, about=about)


def text_reply(status: int, text: str, media_type: str = "text/plain; charset=utf-8") -> Reply:
    return Reply(status, text.encode(), media_type)


JsonObject = dict[str, object]


def json_object(value: object) -> JsonObject | None:
    """`value` if it is a JSON object. Decoded JSON has string keys, so the cast says nothing that is not so."""
    return cast("JsonObject", value) if isinstance(value, dict) else None


def json_array(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def text_of(value: object) -> str:
    """`value` if it is a string, else the empty string."""
    return value if isinstance(value, str) else ""


def decode_json(body: bytes) -> object:
    """Decoded JSON. Raises `msgspec.DecodeError` for anything else, absurd nesting included."""
    try:
        return msgspec.json.decode(body)
    except RecursionError as deep:
        raise msgspec.DecodeError("nested too deeply") from deep
