"""When to ask again about work in progress: late enough to ask seldom, then closer together than anyone would notice.

The first poll comes at half the usual time and each later one a fixed share of the elapsed time after the last, so the
wait for an answer that is already there is a small share of the whole, however long the work takes.
"""

FIRST_SHARE = 0.5
GROWTH = 0.12
LEAST_S = 0.5
JITTER = 0.1
MOST_POLLS = 60


def next_poll_s(elapsed_s: float, usual_s: float, polls: int, chance: float) -> float | None:
    """Seconds from now to the next poll, or None after the last one.

    `elapsed_s` is counted from the acceptance of the work, `polls` are those already made, `chance` is in [0, 1). The
    first share is a half and not more: polled first at 0.6 of a usual 10 s, work of 5 s would seem a fifth longer.
    """
    if polls >= MOST_POLLS:
        return None
    jitter = 1 + JITTER * (2 * chance - 1)
    if polls == 0:
        return max(0.0, max(LEAST_S, FIRST_SHARE * usual_s) * jitter - elapsed_s)
    return max(LEAST_S, GROWTH * elapsed_s) * jitter
