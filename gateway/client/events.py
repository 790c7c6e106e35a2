"""Server-sent events: the text of a stream as events, and an edit's events by what they tell."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from gateway.client.edits import Edit, Image

FINAL = "final"


class Event(Struct, frozen=True, kw_only=True):
    """`name`: queued, routed, attempt, cancel_requested, progress, picture, final, or one of a newer gateway. `id` goes
    into `after` to go on from here; progress has none. `data` is its JSON; `image` is set where it
    tells of a picture, `edit` where it is final."""

    name: str
    id: str = ""
    data: bytes = b""
    image: Image | None = None
    edit: Edit | None = None

    def field(self, name: str) -> object:
        """One of the data's fields; None where it has no such thing."""
        return msgspec.json.decode(self.data, type=dict[str, object]).get(name)


class _Picture(Struct, frozen=True):
    image: Image | None = None


def event_of(name: str, id_: str, data: bytes) -> Event:
    match name:
        case "final":
            return Event(name=name, id=id_, data=data, edit=msgspec.json.decode(data, type=Edit))
        case "picture":
            return Event(name=name, id=id_, data=data, image=msgspec.json.decode(data, type=_Picture).image)
        case _:
            return Event(name=name, id=id_, data=data)


class Reader:
    """The text of one stream, fed as it comes (the HTML standard's event stream). An event that was cut is none."""

    def __init__(self) -> None:
        self._rest = b""
        self._name, self._id, self._data = "", "", list[bytes]()

    def feed(self, chunk: bytes) -> Iterator[Event]:
        *lines, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                yield event_of(self._name or "message", self._id, b"\n".join(self._data))
                self._name, self._id, self._data = "", "", []

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"event":
                self._name = value.decode()
            case b"id":
                self._id = value.decode()
            case b"data":
                self._data.append(value)
            case _:  # a comment, `retry` (`Retry` has its own pauses), or what nobody knows
                pass
