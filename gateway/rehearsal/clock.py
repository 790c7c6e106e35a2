"""The stand-ins read time from a callable, so that a test can wind it by hand and nothing has to sleep."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], float]
"""Seconds from any fixed start, never going back (`time.monotonic`)."""

LONGEST_NAP_S = 0.02


async def wait_until(clock: Clock, moment: float) -> None:
    """Return once `clock` has reached `moment`. Naps are short, so a hand-wound clock is noticed too."""
    while (left := moment - clock()) > 0:  # noqa: ASYNC110 (a hand-wound clock tells nobody that it moved)
        await asyncio.sleep(min(left, LONGEST_NAP_S))


def timestamp(epoch: float, moment: float) -> str:
    """`moment` of a clock whose zero was at `epoch` (seconds since 1970), in ISO 8601."""
    return datetime.fromtimestamp(epoch + moment, UTC).isoformat()
