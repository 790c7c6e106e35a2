"""The terms on which an edit is accepted, and the ways in which `accept` says no. After each of them nothing was
written and nothing may be bought."""

from typing import cast

from msgspec import Struct

from gateway.state.budgets import Caps, amount, over_budget
from gateway.state.claims import Claim
from gateway.state.scripts import Reply


class Terms(Struct, frozen=True, kw_only=True):
    """`hold_micro`: the dearest permitted candidate, for all pictures. `claim`: the key or fingerprint that this
    request claimed. `content`: hash of prompt and pictures, by which a refusal for safety sticks to the team for a day.
    `most_open`: how many edits the API key may have open; None is any number."""

    hold_micro: int = 0
    caps: Caps = Caps()
    claim: Claim | None = None
    content: str | None = None
    most_open: int | None = None

    def __post_init__(self) -> None:
        amount(self.hold_micro)


class LostClaim(Exception):  # noqa: N818 - the name is the fact
    """The idempotency key is another request's by now: this one took longer than its claim lived."""


class RefusedBefore(Exception):  # noqa: N818 - the name is the fact
    """A provider refused the same content for the same team, and the refusal stands until `until_ms`."""

    def __init__(self, until_ms: int) -> None:
        super().__init__(f"the same content was refused; the refusal stands until {until_ms}")
        self.until_ms = until_ms


class TooMany(Exception):  # noqa: N818 - the name is the fact
    """The API key has as many edits open as it may: `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the key has {limit} edits open, as many as it may")
        self.limit = limit


def agree(reply: Reply, terms: Terms) -> None:
    """Raises what the acceptance was refused for."""
    match reply[0]:
        case b"lost_claim":
            raise LostClaim("another request has claimed the idempotency key")
        case b"refused_before":
            raise RefusedBefore(cast("int", reply[2]))
        case b"too_many":
            raise TooMany(terms.most_open or 0)
        case b"over_budget":
            raise over_budget(reply)
        case _:
            return
