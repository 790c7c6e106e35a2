"""Who spent what: sums over the ledger, by team, key, model, tier, tag and day.

An edit counts for the UTC day on which it was accepted, like its budget windows do, whenever its money is charged. It
is counted at the model that delivered it, else at the last one tried; money counts at the model that it was paid to.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    select,
    union_all,
)

from gateway.ledger.accounts import DONE, SUCCEEDED, UNDONE, UNRESOLVED
from gateway.ledger.book import Book
from gateway.ledger.rows import RowKind
from gateway.ledger.tables import ledger, tags

DIMENSIONS = ("team", "key", "model", "tier", "day")
TAG = "tag:"
_MEASURES = ("edits", "pictures", "spent_micro", "wasted_micro", "unresolved_micro", "held_micro")
_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)
_TAG_NAME = re.compile(r"tag:.{1,256}", re.DOTALL)
_MOST = 6


class Query(Struct, frozen=True, kw_only=True):
    """`by`: some of `DIMENSIONS` and `tag:<name>`, in the order of the answer's columns; none gives one line of totals.
    `since` and `until` are UTC days, both inclusive."""

    by: tuple[str, ...] = ("day",)
    since: date | None = None
    until: date | None = None
    team: str | None = None


class Line(Struct, frozen=True, kw_only=True):
    """One group. `group` has a value for each of the query's `by`: None where an edit has no such tag, or no model.

    `wasted_micro` is the part of `spent_micro` that delivered nothing. `unresolved_micro` is the price of attempts of
    which nobody knows whether they were charged; `held_micro` contains it.
    """

    group: tuple[str | None, ...]
    edits: int
    pictures: int
    spent_micro: int
    wasted_micro: int
    unresolved_micro: int
    held_micro: int


def parse_by(text: str) -> tuple[str, ...]:
    """`team,tag:campaign` as dimensions. Raises `ValueError` with words for whoever wrote it."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in DIMENSIONS and not _TAG_NAME.fullmatch(name):
            raise ValueError(f"{name[:60]!r} is nothing to group by; known are {', '.join(DIMENSIONS)} and tag:NAME")
    if not 1 <= len(set(names)) == len(names) <= _MOST:
        raise ValueError(f"expected one to {_MOST} different names from {', '.join(DIMENSIONS)} and tag:NAME")
    return names


async def usage(book: Book, query: Query) -> tuple[Line, ...]:
    """The lines, sorted by their groups. Raises `LedgerUnavailable`."""
    async with book.reading() as connection:
        found = (await connection.execute(_summed(query))).all()
    lines = (_line(query.by, tuple(row)) for row in found)
    return tuple(sorted(lines, key=lambda line: tuple(((part is not None), part or "") for part in line.group)))


def _line(by: Sequence[str], columns: Sequence[Any]) -> Line:
    group = tuple(_day(value) if name == "day" else value for name, value in zip(by, columns, strict=False))
    measures = {name: int(value or 0) for name, value in zip(_MEASURES, columns[len(by) :], strict=True)}
    return Line(group=group, **measures)


def _day(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


def _from_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


# --- the sums: facts of edits and facts of attempts, one under the other, then added up -------------------------------


def _summed(query: Query) -> Select[Any]:
    facts = union_all(_edit_facts(query), _attempt_facts(query)).subquery("facts")
    groups = [facts.c[f"group_{number}"] for number in range(len(query.by))]
    sums = [cast(func.sum(facts.c[name]), BigInteger).label(name) for name in _MEASURES]
    return select(*groups, *sums).group_by(*groups)


def _edit_facts(query: Query) -> Select[Any]:
    """A line for each accepted edit. Subqueries, not joins: a row too many somewhere must not double a sum."""
    accepted = ledger.alias("accepted")
    model = func.coalesce(_of_end(accepted, "offer"), _latest(accepted, "offer", RowKind.OPEN))
    none = literal(0, BigInteger)
    return _chosen(
        query,
        accepted,
        model,
        edits=case((_of_end(accepted, "outcome") == UNDONE, 0), else_=1),
        pictures=func.coalesce(_of_end(accepted, "pictures"), 0),
        spent_micro=none,
        wasted_micro=none,
        unresolved_micro=none,
        held_micro=_latest(accepted, "held_micro"),
    )


def _attempt_facts(query: Query) -> Select[Any]:
    """A line for each close and correction."""
    accepted, row = ledger.alias("accepted"), ledger.alias("attempt_row")
    opened = _latest(accepted, "offer", RowKind.OPEN, attempt=row.c.attempt)
    model: ColumnElement[Any] = func.coalesce(row.c.offer, opened)
    spent = func.coalesce(row.c.settled_micro, 0)
    none = literal(0, BigInteger)
    facts = _chosen(
        query,
        accepted,
        model,
        edits=none,
        pictures=none,
        spent_micro=spent,
        wasted_micro=case((_delivered(accepted, row, model), 0), else_=spent),
        unresolved_micro=_unresolved(accepted, row),
        held_micro=none,
    )
    kinds = row.c.kind.in_((RowKind.CLOSE.value, RowKind.CORRECT.value))
    return facts.join(row, and_(row.c.edit == accepted.c.edit, kinds))


def _chosen(
    query: Query, accepted: FromClause, model: ColumnElement[Any], **measures: ColumnElement[Any]
) -> Select[Any]:
    columns: dict[str, ColumnElement[Any]] = {
        "team": accepted.c.team,
        "key": accepted.c.key_id,
        "model": model,
        "tier": accepted.c.tier,
        "day": accepted.c.at_ms // _DAY_MS,
    }
    groups = [
        (columns[name] if name in columns else _tag(accepted, name.removeprefix(TAG))).label(f"group_{number}")
        for number, name in enumerate(query.by)
    ]
    named = [measures[name].label(name) for name in _MEASURES]
    chosen = select(*groups, *named).select_from(accepted).where(accepted.c.kind == RowKind.ACCEPT.value)
    if query.team is not None:
        chosen = chosen.where(accepted.c.team == query.team)
    if query.since is not None:
        chosen = chosen.where(accepted.c.at_ms >= _from_ms(query.since))
    if query.until is not None:
        chosen = chosen.where(accepted.c.at_ms < _from_ms(query.until) + _DAY_MS)
    return chosen


def _tag(accepted: FromClause, name: str) -> ColumnElement[Any]:
    value = select(tags.c.value).where(tags.c.edit == accepted.c.edit, tags.c.name == name)
    return value.correlate(accepted).scalar_subquery()


def _latest(
    accepted: FromClause, column: str, kind: RowKind | None = None, attempt: ColumnElement[Any] | None = None
) -> ColumnElement[Any]:
    """A column of the edit's last row (of a kind; or of the last one of an attempt that has something there)."""
    other = ledger.alias()
    found = select(other.c[column]).where(other.c.edit == accepted.c.edit)
    if kind is not None:
        found = found.where(other.c.kind == kind.value)
    if attempt is not None:
        found = found.where(other.c.attempt == attempt, other.c[column].is_not(None))
    return found.order_by(other.c.place.desc()).limit(1).scalar_subquery()


def _of_end(accepted: FromClause, column: str) -> ColumnElement[Any]:
    """A column of the row that ended the edit for good."""
    return _latest(accepted, column, RowKind.FINISH)


def _delivered(accepted: FromClause, row: FromClause, model: ColumnElement[Any]) -> ColumnElement[bool]:
    """The edit succeeded by this attempt, as far as its rows say: what was paid beside it is marked."""
    return and_(
        _of_end(accepted, "outcome") == SUCCEEDED,
        _of_end(accepted, "offer") == model,
        _latest(accepted, "outcome", attempt=row.c.attempt).in_(DONE),
        row.c.mark.is_(None),
    )


def _unresolved(accepted: FromClause, row: FromClause) -> ColumnElement[Any]:
    later = ledger.alias()
    resolved = exists().where(
        later.c.edit == row.c.edit, later.c.attempt == row.c.attempt, later.c.place > row.c.place,
        later.c.kind.in_((RowKind.CLOSE.value, RowKind.CORRECT.value)),
    )  # fmt: skip
    price = func.coalesce(row.c.quoted_micro, _latest(accepted, "quoted_micro", RowKind.OPEN, attempt=row.c.attempt), 0)
    return case((and_(row.c.outcome == UNRESOLVED, ~resolved), price), else_=0)
