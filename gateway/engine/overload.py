"""Why this replica takes no more, in one list: for the caller, and for the metric."""

from enum import StrEnum


class Reason(StrEnum):
    """What there is too much of."""

    IN_FLIGHT = "in_flight"  # edits that this replica follows
    PICTURE_BYTES = "picture_bytes"  # requests that are read, pictures that are taken in or fetched
    QUEUED = "queued"  # edits that wait for a place at a provider
    WAIT = "wait"  # time until there would be one
    CHECKING = "checking"  # pictures that wait for a worker


class Overloaded(Exception):  # noqa: N818 - the name is the fact
    """Nothing was begun. `mine`: there is room, but not for this team, which holds its part already."""

    def __init__(self, reason: Reason, retry_after_s: int, *, mine: bool = False) -> None:
        super().__init__(reason.value)
        self.reason, self.retry_after_s, self.mine = reason, retry_after_s, mine
