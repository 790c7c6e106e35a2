"""One line of the books. Written in the same atomic step as what it tells of, into an outbox; copied to SQL later."""

from enum import StrEnum

from msgspec import Struct


class RowKind(StrEnum):
    ACCEPT = "accept"  # an edit was accepted: its hold
    OPEN = "open"  # an attempt was opened: its quote
    CLOSE = "close"  # an attempt ended: what it cost, or that nobody knows
    FINISH = "finish"  # an edit ended: what it cost in all, and what of the hold came back
    CORRECT = "correct"  # late truth about an attempt: an operator's or the reconciler's word


HEDGE_LOST = "hedge_lost"
"""The outcome of an attempt that another one outran: what it cost is the price of the race."""


class Mark(StrEnum):
    """Why an edit may be charged for more than one attempt, or open one beside another. Each is bought, or alerted."""

    HEDGE = "hedge"  # a second horse that the team bought
    ACCEPT_RISK = "accept_risk"  # opened while an older attempt is unknown, because the team would rather pay twice
    DUPLICATE_CHARGE = "duplicate_charge"  # charged beside the attempt that delivered; an alert fired


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`id` is unique and says what it tells of (`edit_…/accept`, `edit_…/2/close`): writing it twice changes nothing.

    Money is in micro-dollars. `held_micro` is what the edit holds after this step, `quoted_micro` the attempt's price,
    `settled_micro` what was charged (a correction's may be negative). `source` is provider, table, local or operator.
    `key_hash` is the SHA-256 of the caller's idempotency key. `tags` are the caller's metadata.

    `outcome`: an attempt's is `done`, `released`, `unresolved`, `hedge_lost` or the kind of its failure; an edit's is
    its status, or `undone` where its acceptance was taken back and nothing was sent. An unresolved edit has a second
    finish row.
    `place` sorts rows in the order in which their steps took effect; like `at_ms`, it is set when the outbox is read.
    """

    id: str
    kind: RowKind
    edit: str
    team: str
    key_id: str
    at_ms: int = 0
    place: str = ""
    attempt: int | None = None
    attempt_id: str | None = None
    offer: str | None = None
    tier: str | None = None
    policy: str | None = None
    held_micro: int = 0
    quoted_micro: int | None = None
    settled_micro: int | None = None
    overrun_micro: int = 0
    source: str | None = None
    outcome: str | None = None
    mark: Mark | None = None
    pictures: int | None = None
    key_hash: str | None = None
    fingerprint: str | None = None
    origin: str | None = None
    note: str | None = None
    tags: dict[str, str] = {}
