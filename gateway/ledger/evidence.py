"""What the audit is given beside the rows, as plain data: what the store holds, what providers billed, and the caps."""

from datetime import date
from typing import Literal
from uuid import UUID

from msgspec import Struct

from gateway.ledger.accounts import Account
from gateway.ledger.rows import Row


class StoredAttempt(Struct, frozen=True, kw_only=True):
    """`state` is the store's word: intent, accepted, unknown, settled, released or unresolved."""

    number: int
    state: str
    opened_ms: int = 0
    posted_ms: int = 0
    cost_micro: int | None = None


class StoredEdit(Struct, frozen=True, kw_only=True):
    """`is_restored`: it was put there from the ledger, after the store was lost."""

    id: str
    status: str
    held_micro: int = 0
    is_restored: bool = False
    attempts: tuple[StoredAttempt, ...] = ()


class StoredWindow(Struct, frozen=True):
    """What the store counts for a scope (`team:growth`) in a window (`month:2027-01`)."""

    scope: str
    window: str
    spent_micro: int
    held_micro: int


class StoreSnapshot(Struct, frozen=True, kw_only=True):
    """The store at one instant. `place` is the outbox's last entry then, as `entries.place` writes it: later rows are
    left out of the comparison (None: none are). The rows given must include those that waited in the outbox. `windows`
    and `edits` are all that the store has (None: not looked at)."""

    windows: tuple[StoredWindow, ...] | None = None
    edits: tuple[StoredEdit, ...] | None = None
    place: str | None = None


class Cap(Struct, frozen=True, kw_only=True):
    """A budget. `since_ms`: it has been in force from then on; what was done before is not judged by it."""

    scope: str
    period: Literal["day", "month", "total"]
    micro: int
    since_ms: int = 0

    def window(self, day: date) -> str:
        return {"day": f"day:{day.isoformat()}", "month": f"month:{day:%Y-%m}", "total": "total"}[self.period]


class Charge(Struct, frozen=True, kw_only=True):
    """One line of a provider's bill. `key` is the attempt's id, as the provider writes it."""

    provider: str
    key: str
    amount_micro: int


class Bill(Struct, frozen=True, kw_only=True):
    """All charges of `providers`, for all of the ledger's time: an attempt there without a charge is a difference."""

    providers: frozenset[str]
    charges: tuple[Charge, ...]


class Evidence(Struct, frozen=True, kw_only=True):
    """Everything the audit looks at. `rows` are in the order in which their steps took effect."""

    rows: tuple[Row, ...]
    accounts: tuple[Account, ...]
    store: StoreSnapshot | None = None
    bill: Bill | None = None
    caps: tuple[Cap, ...] = ()


def same_id(attempt_id: str) -> str:
    """An attempt's id in one form: a provider may want the 128 bits in the shape of a UUID, with version 4's bits."""
    try:
        return UUID(hex=attempt_id, version=4).hex
    except ValueError:
        return attempt_id
