"""An edit's events from the first to the last, whatever cuts the streams between: at any replica, each event once."""

from collections import deque

from gateway.client.asking import Asking
from gateway.client.errors import UnreachableError
from gateway.client.events import FINAL, Event, Reader
from gateway.client.steps import Call, Lost, Pause, Steps, read

SILENCE_S = 15.0
"""The gateway says something every two seconds; a line that is silent for longer is cut."""


class Following:
    """`after`: the id of the last event that is known. `until`: epoch seconds, when to give up."""

    def __init__(self, asking: Asking, edit_id: str, after: str = "", until: float = float("inf")) -> None:
        self._asking, self._path, self._after, self._until = asking, f"/v1/edits/{edit_id}/events", after, until
        self._reader: Reader | None = None
        self._told = deque[Event]()
        self._is_over = False
        self._cuts = 0

    def next(self) -> Steps[Event | None]:
        """None after the last event, or when the time is over."""
        while not self._told:
            if self._is_over or self._asking.now() >= self._until:
                return None
            yield from self._open() if self._reader is None else self._read(self._reader)
        return self._told.popleft()

    def _open(self) -> Steps[None]:
        headers = {"accept": "text/event-stream", **({"last-event-id": self._after} if self._after else {})}
        call = Call(method="GET", path=self._path, headers=headers, patience_s=SILENCE_S)
        reply = yield from self._asking.open(call)
        self._is_over = reply.status == 204
        self._reader = Reader()

    def _read(self, reader: Reader) -> Steps[None]:
        chunk = yield from read()
        if chunk is None or isinstance(chunk, Lost):
            yield from self._cut(chunk.why if chunk else "the stream ended before the edit")
            return
        for event in reader.feed(chunk):
            self._cuts = 0
            self._after = event.id or self._after
            self._is_over = self._is_over or event.name == FINAL
            self._told.append(event)

    def _cut(self, why: str) -> Steps[None]:
        """Another replica, or this one again, goes on after the last event."""
        self._reader = None
        if self._cuts == self._asking.retry.times:
            raise UnreachableError(f"the events were cut {self._cuts + 1} times in a row ({why})")
        yield Pause(self._asking.retry.jitter_s(self._cuts, self._asking.chance()))
        self._cuts += 1
