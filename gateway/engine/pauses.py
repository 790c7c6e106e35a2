"""Edits that cannot go on for a reason of ours, each left alone for longer after every try."""

from gateway.clock import Clock

FIRST_S, LONGEST_S = 5.0, 300.0


class Pauses:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s: dict[str, float] = {}
        self._pause_s: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"Pauses({len(self)} edits)"

    def __len__(self) -> int:
        return len(self._until_s)

    def pause(self, edit: str) -> float:
        """Begins the next pause, and says how many seconds it takes: twice the last one, with a little chance."""
        pause_s = self._pause_s[edit] = min(LONGEST_S, 2 * self._pause_s.get(edit, FIRST_S / 2))
        pause_s *= 0.9 + self._clock.chance() / 5
        self._until_s[edit] = self._clock.monotonic() + pause_s
        return pause_s

    def holds(self, edit: str) -> bool:
        return self._until_s.get(edit, 0.0) > self._clock.monotonic()

    def forget(self, edit: str) -> None:
        """It went on, or is somebody else's."""
        self._until_s.pop(edit, None)
        self._pause_s.pop(edit, None)
