"""Whether this replica takes part. It may be told to end (a signal), or be taken out of service by an operator and put
back; in both cases what it works on goes on."""

import asyncio

from msgspec import Struct


class Leaving(Exception):  # noqa: N818 - the name is the fact
    """This replica has been told to end, or is out of service, and begins nothing new."""


class Absence(Struct, frozen=True, kw_only=True):
    """By whom it was taken out of service, when, and why."""

    by: str
    at_ms: int
    note: str


class Presence:
    def __init__(self) -> None:
        self._left = asyncio.Event()
        self._warned = False
        self.absence: Absence | None = None

    @property
    def is_leaving(self) -> bool:
        return self._left.is_set()

    @property
    def is_ready(self) -> bool:
        return not (self._warned or self.is_leaving or self.absence)

    @property
    def takes_over(self) -> bool:
        """Whether it goes on with what dead replicas left."""
        return not (self.is_leaving or self.absence)

    def warn(self) -> None:
        """It will leave: not ready from here on, and still taking what comes until whoever balances has noticed."""
        self._warned = True

    def leave(self) -> None:
        """Begins nothing new from here on, and lets no caller wait."""
        self._left.set()

    async def left(self) -> None:
        """Returns once it leaves."""
        await self._left.wait()

    def take_out(self, absence: Absence) -> None:
        """Begins nothing new until it is put back; whoever waits goes on waiting."""
        self.absence = absence

    def put_back(self) -> None:
        self.absence = None

    def refuse_new(self) -> None:
        """Raises `Leaving`."""
        if self.is_leaving or self.absence:
            raise Leaving
