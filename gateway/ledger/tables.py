"""How rows lie in SQL: a column for each field of a row, and the caller's tags once more, to group by."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import JSON, BigInteger, Column, Index, Integer, MetaData, Table, Text

from gateway.ledger.rows import Mark, Row, RowKind

metadata = MetaData()

ledger = Table(
    "ledger",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("edit", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("place", Text, nullable=False),
    Column("attempt", Integer),
    Column("attempt_id", Text),
    Column("offer", Text),
    Column("tier", Text),
    Column("policy", Text),
    Column("held_micro", BigInteger, nullable=False),
    Column("quoted_micro", BigInteger),
    Column("settled_micro", BigInteger),
    Column("overrun_micro", BigInteger, nullable=False),
    Column("source", Text),
    Column("outcome", Text),
    Column("mark", Text),
    Column("pictures", Integer),
    Column("key_hash", Text),
    Column("fingerprint", Text),
    Column("origin", Text),
    Column("note", Text),
    Column("tags", JSON, nullable=False),
    Index("ledger_by_edit", "edit", "place"),
    Index("ledger_by_time", "kind", "at_ms"),
)

# A tag's name is the caller's: as a value of its own it needs no quoting into a JSON path.
tags = Table(
    "ledger_tags",
    metadata,
    Column("edit", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


def values(row: Row) -> dict[str, Any]:
    """The row as its columns."""
    return asdict(row)


def tag_values(row: Row) -> list[dict[str, str]]:
    return [{"edit": row.edit, "name": name, "value": value} for name, value in row.tags.items()]


def row_of(columns: Mapping[str, Any]) -> Row:
    """The row as it lies there. Amounts are not converted: the audit must see what a sum would add up."""
    mark: str | None = columns["mark"]
    found: dict[str, Any] = {**columns, "kind": RowKind(columns["kind"]), "mark": mark and Mark(mark)}
    return Row(**found)
