"""What the protocol asks its driver to do, and what it is told back: values, so that the protocol itself does nothing.

A driver that meets `Give` hands the value to whoever iterates; every other step has an answer.
"""

from collections.abc import Generator
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")


class Json(Struct, frozen=True):
    content: bytes


class File(Struct, frozen=True):
    """A picture of one's own, as it is."""

    content: bytes


class Form(Struct, frozen=True):
    """A multipart form. `files`: names with their pictures."""

    fields: dict[str, str | list[str]]
    files: tuple[tuple[str, File], ...]


class Call(Struct, frozen=True, kw_only=True):
    """One HTTP request. It holds no key: the driver adds that, to a `path` that is relative to the gateway alone."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = {}
    body: Json | Form | None = None
    patience_s: float = 30.0


class Reply(Struct, frozen=True):
    """`headers`: by their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Lost(Struct, frozen=True):
    """No answer, or not all of it."""

    why: str


class Send(Struct, frozen=True):
    """Answered by `Reply` or `Lost`."""

    call: Call


class Open(Struct, frozen=True):
    """As `Send`, but the body of a 200 is left to `Read`."""

    call: Call


class Read(Struct, frozen=True):
    """The next bytes of what was opened; `None` at its end, `Lost` where it was cut."""


class Pause(Struct, frozen=True):
    seconds: float


class Give(Struct, frozen=True):
    value: object


Step = Send | Open | Read | Pause | Give
Told = Reply | Lost | bytes | None
Steps = Generator[Step, Told, T]


def asked(step: Send | Open) -> "Steps[Reply | Lost]":
    told = yield step
    assert isinstance(told, Reply | Lost)
    return told


def read() -> "Steps[bytes | Lost | None]":
    told = yield Read()
    assert not isinstance(told, Reply)
    return told
