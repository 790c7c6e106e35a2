"""The edits that wait for the one model or have it, in the order of their coming."""

import math
import time
from collections import deque
from collections.abc import Callable

from gateway.local.dev.messages import Broken, Finished, Stopped
from gateway.local.engine import Progress

Outcome = Finished | Stopped | Broken
KEPT = 100  # ended edits whose progress can still be asked for


class Entry:
    """One edit. What it holds is read and written under the engine's lock."""

    def __init__(self, edit: str, steps: int) -> None:
        self.edit, self.steps, self.step = edit, steps, 0
        self.began_s: float | None = None
        self.cancelled = False
        self.outcome: Outcome | None = None

    def __repr__(self) -> str:
        return f"Entry({self.edit}, {self.step}/{self.steps}, cancelled={self.cancelled})"

    def progress(self) -> Progress:
        return Progress("waiting" if self.began_s is None else "running", self.step, self.steps)


class Line:
    """Not locked by itself: the engine's lock guards it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.entries: list[Entry] = []
        self.ended: deque[tuple[str, Progress]] = deque(maxlen=KEPT)
        self._seconds: deque[float] = deque(maxlen=20)

    def __repr__(self) -> str:
        return f"Line({self.entries})"

    @property
    def running(self) -> Entry | None:
        return self.entries[0] if self.entries and self.entries[0].began_s is not None else None

    def is_first(self, entry: Entry) -> bool:
        return self.entries[0] is entry

    def find(self, edit: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.edit == edit), None)

    def begin(self, entry: Entry) -> None:
        entry.began_s = self._clock()

    def leave(self, entry: Entry, progress: Progress) -> None:
        self.entries.remove(entry)
        self.ended.append((entry.edit, progress))

    def progress(self, edit: str) -> Progress | None:
        if entry := self.find(edit):
            return entry.progress()
        return next((progress for ended, progress in reversed(self.ended) if ended == edit), None)

    def measure(self, seconds: float) -> None:
        self._seconds.append(seconds)

    @property
    def seconds_per_edit(self) -> float | None:
        """The mean of the last twenty; None before the first."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else None

    def place_in_s(self, guess_s: float) -> int:
        """A place is free when the running edit ends: what it still takes, by what edits took, else by the guess."""
        usual = self.seconds_per_edit or guess_s
        running = self.running
        spent = self._clock() - running.began_s if running and running.began_s is not None else 0.0
        return max(1, math.ceil(usual - spent))
