"""Before a body is read: whether this replica has room for it, and for an edit that may come of it.

A refusal here costs a look at a few numbers. Its `Retry-After` is how long what it lacks is usually held.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

from msgspec import Struct

from gateway.api.auth import team_of
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest
from gateway.current import Current
from gateway.engine.engine import Engine
from gateway.engine.overload import Overloaded, Reason
from gateway.engine.room import Room
from gateway.observe import Metrics
from gateway.settings import BODY_BYTES, Key

LONGEST_S = 900.0
"""The longest deadline that an edit may have."""
_TOO_MUCH = {
    Reason.IN_FLIGHT: "this gateway follows as many edits as it may",
    Reason.PICTURE_BYTES: "this gateway holds as many bytes of pictures as it may",
    Reason.QUEUED: "as many edits as may wait for a place at a provider already",
    Reason.WAIT: "an edit would wait too long for a place at its provider",
    Reason.CHECKING: "too many pictures are being checked",
}
_TOO_MUCH_OF_A_TEAM = {
    Reason.IN_FLIGHT: "the team has its share of the edits that this gateway can follow",
    Reason.QUEUED: "the team has its share of the edits that may wait for a place at a provider",
    Reason.PICTURE_BYTES: "the team has its share of the picture bytes that this gateway can hold",
}


class Door(Struct, frozen=True):
    """`room` is that of picture bytes."""

    current: Current
    engine: Engine
    room: Room
    metrics: Metrics

    @contextmanager
    def passed(self, request: AnyRequest, key: Key, *, edits: bool = True) -> Generator[None]:
        """Holds the body's bytes while the block runs, and refuses what has no room. Not `edits`: no edit can come of
        it. A request that may join an edit is refused for want of room for a new one later, once it is known."""
        with self.refusing():
            if edits and not _may_join(request):
                self.engine.refuse_when_full(key.team)
                self.engine.refuse_when_crowded(key.team, self._offers(key), LONGEST_S)
            size = body_bytes(request)
            self.room.check(key.team, size)
            hold = self.room.hold(key.team, size)
            try:
                yield
            finally:
                hold.let_go()

    def _offers(self, key: Key) -> Iterable[str]:
        """All that the team may use: what the request names of it is not read yet."""
        settings = self.current.settings
        return team_of(settings, key).offers or settings.offers

    @contextmanager
    def refusing(self) -> Generator[None]:
        """`Overloaded`, counted and in words for the caller."""
        try:
            yield
        except Overloaded as why:
            self.metrics.refusals.labels(why.reason.value).inc()
            kind, words = ("over_share", _TOO_MUCH_OF_A_TEAM) if why.mine else ("overloaded", _TOO_MUCH)
            raise ProblemError(kind, words[why.reason], retry_after_s=why.retry_after_s) from None


def body_bytes(request: AnyRequest) -> int:
    """What reading the body may take; one that does not tell its length counts as the largest."""
    told = request.headers.get("content-length", "")
    if told.isdecimal():
        return min(int(told), BODY_BYTES)
    return BODY_BYTES if "transfer-encoding" in request.headers else 0


def _may_join(request: AnyRequest) -> bool:
    return "idempotency-key" in request.headers or "x-stainless-retry-count" in request.headers
