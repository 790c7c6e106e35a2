"""What the rows of one edit add up to: its hold, its spending, and what became of each attempt. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from gateway.clock import day_of
from gateway.ledger.rows import Mark, Row, RowKind

SUCCEEDED, UNRESOLVED, UNDONE = "succeeded", "unresolved", "undone"
DONE = ("done", "settled")


class Standing(StrEnum):
    """Where the rows leave an attempt."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    UNRESOLVED = "unresolved"


class AttemptAccount(Struct, frozen=True, kw_only=True):
    """`charged_micro` is what was settled, corrections included. `is_done`: it delivered, as far as it is known.
    `outcome` and `ended_ms` are those of its last end."""

    number: int
    id: str | None = None
    offer: str | None = None
    quoted_micro: int = 0
    charged_micro: int = 0
    overrun_micro: int = 0
    standing: Standing = Standing.OPEN
    is_done: bool = False
    outcome: str | None = None
    ended_ms: int = 0
    source: str | None = None
    mark: Mark | None = None

    @property
    def provider(self) -> str:
        return (self.offer or "").partition("/")[0]


class Account(Struct, frozen=True, kw_only=True):
    """One edit's books. `outcome` and `finished_ms` are those of its last finish row; `accepted` is missing only where
    rows were lost."""

    edit: str
    team: str
    key_id: str
    accepted: Row | None = None
    attempts: tuple[AttemptAccount, ...] = ()
    held_micro: int = 0
    spent_micro: int = 0
    outcome: str | None = None
    finished_ms: int = 0
    rows: tuple[Row, ...] = ()

    @property
    def is_over(self) -> bool:
        """It ended, and will not end otherwise."""
        return self.outcome not in (None, UNRESOLVED)

    @property
    def unresolved(self) -> tuple[AttemptAccount, ...]:
        """The attempts of which nobody knows whether they were charged. An attempt that is still open is one, unless
        the edit was undone before anything was sent."""
        unknown = (Standing.UNRESOLVED,) if self.outcome == UNDONE else (Standing.OPEN, Standing.UNRESOLVED)
        return tuple(one for one in self.attempts if one.standing in unknown)

    @property
    def day(self) -> date:
        """The UTC day that all its money counts for: that of its acceptance, whenever it is charged."""
        return day_of((self.accepted or self.rows[0]).at_ms)

    @property
    def scopes(self) -> tuple[str, ...]:
        return ("gateway", f"team:{self.team}", f"key:{self.team}/{self.key_id}")


def windows(day: date) -> tuple[str, str, str]:
    """The budget windows that a day lies in."""
    return (f"day:{day.isoformat()}", f"month:{day:%Y-%m}", "total")


def account(rows: Sequence[Row]) -> Account:
    """The account of one edit from its rows, in their order; there is at least one."""
    *_, (_, _, attempts) = walk(rows)
    ends = [row for row in rows if row.kind is RowKind.FINISH]
    first = rows[0]
    return Account(
        edit=first.edit,
        team=first.team,
        key_id=first.key_id,
        accepted=next((row for row in rows if row.kind is RowKind.ACCEPT), None),
        attempts=tuple(attempts[number] for number in sorted(attempts)),
        held_micro=rows[-1].held_micro,
        spent_micro=sum(charge(row) for row in rows),
        outcome=ends[-1].outcome if ends else None,
        finished_ms=ends[-1].at_ms if ends else 0,
        rows=tuple(rows),
    )


Attempts: TypeAlias = Mapping[int, AttemptAccount]


def walk(rows: Iterable[Row]) -> Iterator[tuple[Row, Attempts, Attempts]]:
    """Each row of one edit with its attempts as they stood before it, and after."""
    attempts: dict[int, AttemptAccount] = {}
    for row in rows:
        before = dict(attempts)
        if row.attempt is not None and row.kind is not RowKind.FINISH:
            known = attempts.get(row.attempt, AttemptAccount(number=row.attempt))
            attempts[row.attempt] = _after(known, row)
        yield row, before, attempts


def charge(row: Row) -> int:
    """What a row adds to the spending. A finish row's sum repeats what its attempts' rows say."""
    return (row.settled_micro or 0) if row.kind in (RowKind.CLOSE, RowKind.CORRECT) else 0


def overrun(row: Row) -> int:
    """What a row books beyond the quote. A correction of an amount is late truth: all that it adds is beyond."""
    return (
        max(row.overrun_micro, charge(row))
        if row.kind is RowKind.CORRECT and row.outcome is None
        else row.overrun_micro
    )


def standing(row: Row) -> Standing:
    """Where a close or a correction leaves its attempt."""
    if row.outcome == UNRESOLVED:
        return Standing.UNRESOLVED
    return Standing.RELEASED if row.settled_micro is None else Standing.SETTLED


def _after(before: AttemptAccount, row: Row) -> AttemptAccount:
    known = replace(
        before,
        id=row.attempt_id or before.id,
        offer=row.offer or before.offer,
        quoted_micro=before.quoted_micro if row.quoted_micro is None else row.quoted_micro,
        mark=row.mark or before.mark,
    )
    if row.kind not in (RowKind.CLOSE, RowKind.CORRECT):
        return known
    return replace(
        known,
        charged_micro=known.charged_micro + charge(row),
        overrun_micro=known.overrun_micro + overrun(row),
        standing=_corrected(known.standing, row) if row.kind is RowKind.CORRECT else standing(row),
        is_done=known.is_done if row.outcome is None else row.outcome in DONE,
        outcome=row.outcome or known.outcome,
        ended_ms=known.ended_ms if row.outcome is None else row.at_ms,
        source=row.source or known.source,
    )


def _corrected(before: Standing, row: Row) -> Standing:
    """A correction ends what was unresolved (an open attempt too, if the store was lost with it); of what had ended it
    changes the amount alone."""
    return before if before in (Standing.SETTLED, Standing.RELEASED) or row.outcome is None else standing(row)


def accounts(rows: Iterable[Row]) -> tuple[Account, ...]:
    """The accounts of all edits, from rows in the order in which their steps took effect."""
    by_edit: dict[str, list[Row]] = {}
    for row in rows:
        by_edit.setdefault(row.edit, []).append(row)
    return tuple(account(found) for found in by_edit.values())
