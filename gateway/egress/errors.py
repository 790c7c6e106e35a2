"""What can go wrong on the way out, in the only terms that matter for money: was the request sent or not?

`str(error)` is safe to show to a caller: it tells neither an open port from a closed one, nor what the other side
said. `error.detail` is for our own log.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why our own rules refused a URL, an address or an answer."""

    URL = "url"  # malformed, or a character that parsers read differently
    SCHEME = "scheme"
    USERINFO = "userinfo"
    HOST = "host"  # neither a plain DNS name nor a canonical IP literal
    PORT = "port"
    NOT_LISTED = "not_listed"  # a host outside the configured list
    ADDRESS = "address"  # not a public address
    REDIRECTS = "redirects"  # too many, or without a place to go
    DOWNGRADE = "downgrade"  # a redirect from https to http
    ENCODING = "encoding"  # a compressed answer, though identity was asked
    SIZE = "size"  # an answer over the byte cap


class EgressError(Exception):
    """Base of everything that `Egress.send` raises. `detail` names the engine's error, for logs only."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class NotSent(EgressError):  # noqa: N818 - the name is the fact
    """Never connected: provably nothing of the request has left."""


class MaybeSent(EgressError):  # noqa: N818
    """A connection existed, so the other side may have the request, whatever happened afterwards."""


class Refusal(EgressError):  # noqa: N818
    """Our own rules said no; `reason` says which. The other side did nothing wrong that a retry would cure."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message, detail=reason.value)
        self.reason = reason


class Refused(Refusal, NotSent):
    """Refused before anything was sent."""


class AnswerRefused(Refusal, MaybeSent):
    """Sent, and the answer (or where it redirects to) was refused."""
