"""Our word on an attempt that is over against its provider's: every difference has a name, and some have an amount."""

from enum import StrEnum

from msgspec import Struct
from sqlalchemy import and_, or_, select

from adapters.contract import Done, Failed, FailureKind, Fate, Next, Unclear
from gateway.engine.inquiry import Truth
from gateway.ledger.accounts import SUCCEEDED, UNRESOLVED, Account, AttemptAccount, Standing, account
from gateway.ledger.book import Book
from gateway.ledger.rows import Row, RowKind
from gateway.ledger.tables import ledger, row_of

MOST_CLOSED = 20_000


class Finding(StrEnum):
    MATCHED = "matched"
    OURS_ONLY = "ours_only"  # we booked a charge, and the provider shows none
    THEIRS_ONLY = "theirs_only"  # the provider charged for what we had given up
    AMOUNT_DIFFERS = "amount_differs"
    DUPLICATE_CHARGE = "duplicate_charge"  # theirs only, and another attempt had delivered, or may have
    SETTLED = "settled"  # what was unresolved was charged
    RELEASED = "released"  # what was unresolved was not


class Comparison(Struct, frozen=True):
    """`difference_micro` is what the provider charged beyond what we have booked."""

    finding: Finding
    difference_micro: int = 0


def compare(one: AttemptAccount, each: Account, truth: Truth) -> Comparison | None:
    """None while nothing can be said: the work goes on, or the provider does not know it (now)."""
    if isinstance(truth, (Next, Unclear)):
        return None
    theirs_micro = _theirs_micro(one, truth)
    if theirs_micro is None:
        return unknown_to_them(one)
    difference = theirs_micro - one.charged_micro
    if difference == 0:
        return Comparison(Finding.MATCHED)
    if one.standing is Standing.SETTLED:
        return Comparison(Finding.AMOUNT_DIFFERS, difference)
    elsewhere = each.outcome in (SUCCEEDED, UNRESOLVED) and not one.is_done
    return Comparison(Finding.DUPLICATE_CHARGE if elsewhere else Finding.THEIRS_ONLY, difference)


def unknown_to_them(one: AttemptAccount) -> Comparison:
    """The provider shows no charge: as it should be, where we booked none."""
    return Comparison(Finding.OURS_ONLY if one.charged_micro else Finding.MATCHED)


def _theirs_micro(one: AttemptAccount, truth: Done | Failed) -> int | None:
    """What the provider charged: its figure, or for work that it finished without one our own; None where it finished
    nothing."""
    if truth.cost_micro is not None:
        return truth.cost_micro
    unusable = isinstance(truth, Failed) and (truth.kind, truth.fate) == (FailureKind.BAD_PICTURE, Fate.RAN)
    if isinstance(truth, Done) or unusable:
        return one.charged_micro or one.quoted_micro
    return None


class Closed(Struct, frozen=True):
    """An attempt that ended. `is_sure`: the provider's own figure is booked already, so others are asked for first."""

    edit: str
    number: int
    is_sure: bool


async def recently_closed(book: Book, since_ms: int, until_ms: int) -> tuple[Closed, ...]:
    """The attempts that ended between two moments by the store's clock, those first that may differ."""
    columns = ledger.c
    ended = and_(
        columns.attempt.is_not(None), columns.outcome.is_not(None), columns.outcome != Standing.UNRESOLVED.value
    )
    closing = or_(columns.kind == RowKind.CLOSE.value, columns.kind == RowKind.CORRECT.value)
    wanted = (
        select(columns.edit, columns.attempt, columns.source)
        .where(closing, ended, columns.at_ms >= since_ms, columns.at_ms <= until_ms)
        .order_by(columns.at_ms)
        .limit(MOST_CLOSED)
    )
    async with book.reading() as connection:
        found = [
            Closed(edit, number, source == "provider") for edit, number, source in await connection.execute(wanted)
        ]
    return tuple(sorted(found, key=lambda one: one.is_sure))


async def account_of(book: Book, edit: str) -> Account | None:
    """One edit's books."""
    wanted = select(ledger).where(ledger.c.edit == edit).order_by(ledger.c.place, ledger.c.id)
    async with book.reading() as connection:
        rows: list[Row] = [row_of(dict(columns)) for columns in (await connection.execute(wanted)).mappings()]
    return account(rows) if rows else None
