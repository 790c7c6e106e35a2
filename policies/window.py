"""What happened in the last ten seconds, counted in slots of one second: small integers that any replica can share."""

from msgspec import Struct

WINDOW_S = 10


class Window(Struct, frozen=True):
    """`slots`: (second, good, bad), oldest first, never more than `WINDOW_S` of them."""

    slots: tuple[tuple[int, int, int], ...] = ()


def counted(window: Window, at_s: float, *, good: int = 0, bad: int = 0) -> Window:
    """The window with more in the slot of `at_s`; what is too old has fallen out. A late word counts as said now."""
    now = int(at_s)
    kept = tuple(slot for slot in window.slots if slot[0] > now - WINDOW_S)
    if kept and kept[-1][0] >= now:
        second, goods, bads = kept[-1]
        return Window((*kept[:-1], (second, goods + good, bads + bad)))
    return Window((*kept, (now, good, bad)))


def totals(window: Window, at_s: float) -> tuple[int, int]:
    """Good and bad of the last ten seconds."""
    kept = [slot for slot in window.slots if slot[0] > int(at_s) - WINDOW_S]
    return sum(slot[1] for slot in kept), sum(slot[2] for slot in kept)
