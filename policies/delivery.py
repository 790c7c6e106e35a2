"""What follows a try to deliver a webhook: it is over, or comes again after a pause. The pauses are a table of three
days; time and chance are the caller's."""

from enum import StrEnum

from msgspec import Struct

PAUSES_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 72_000, 86_400)
"""After the first try, the second, and so on: 71.7 hours in all."""

JITTER = 0.2
MOST_ASKED_S = 3_600.0
GONE = 410
_ASKS_FOR_TIME = (429, 503)


class Verdict(StrEnum):
    """`gone`: the endpoint said that it wants no more, so nothing more is sent there."""

    DELIVERED = "delivered"
    AGAIN = "again"
    GIVEN_UP = "given_up"
    GONE = "gone"


class Next(Struct, frozen=True):
    verdict: Verdict
    pause_s: float = 0.0


def after_try(status: int | None, tries: int, chance: float, retry_after_s: float | None = None) -> Next:
    """`status` None: no answer came. `tries`: how many there were, with this one. `retry_after_s`: what a 429 or 503
    asked for; a longer pause than the table's is granted, up to an hour."""
    if status is not None and 200 <= status < 300:
        return Next(Verdict.DELIVERED)
    if status == GONE:
        return Next(Verdict.GONE)
    if tries > len(PAUSES_S):
        return Next(Verdict.GIVEN_UP)
    asked_s = min(retry_after_s or 0.0, MOST_ASKED_S) if status in _ASKS_FOR_TIME else 0.0
    return Next(Verdict.AGAIN, max(asked_s, PAUSES_S[tries - 1] * (1 - JITTER + 2 * JITTER * chance)))
