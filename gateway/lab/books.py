"""Where a past comes from: a ledger's rows exported as JSON lines or CSV, or the ledger itself, which is only read."""

import asyncio
import csv
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import msgspec

from gateway.lab.trace import Line, Past, UnreadableLedger, past_of
from gateway.ledger.book import Book
from gateway.ledger.connection import LedgerRefused, connect
from gateway.ledger.rows import RowKind

_KINDS = (RowKind.ACCEPT, RowKind.OPEN, RowKind.CLOSE, RowKind.FINISH)
_SQLITE = "sqlite:"


def past_at(where: str) -> Past:
    """The past at a file of rows, or at `sqlite:PATH` or `postgresql://…`.

    Raises `UnreadableLedger`, `LedgerRefused` and `LedgerUnavailable`.
    """
    if where.startswith(_SQLITE) and not Path(where.removeprefix(_SQLITE)).is_file():
        raise LedgerRefused(f"there is no file {where.removeprefix(_SQLITE)}")
    if "://" in where or where.startswith(_SQLITE):
        return past_of(asyncio.run(_from_books(where)))
    return past_of(_exported(Path(where)))


async def _from_books(url: str) -> list[Line]:
    """As they lie there, by whichever release: another's books are not brought up to this one for a look at them."""
    book = Book(connect(url))
    try:
        async with aclosing(book.rows(*_KINDS)) as rows:
            return [msgspec.convert(row, Line, from_attributes=True) async for row in rows]
    finally:
        await book.aclose()


def _exported(path: Path) -> Iterator[Line]:
    read = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _csv}.get(path.suffix)
    if read is None:
        raise UnreadableLedger(
            f"{path.name}: expected a file of rows, .jsonl or .csv, or sqlite:PATH or postgresql://…"
        )
    try:
        yield from read(path)
    except OSError as error:
        raise UnreadableLedger(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UnreadableLedger(f"{path}: is not UTF-8 text") from None


def _json_lines(path: Path) -> Iterator[Line]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _row(number, line)


def _row(number: int, line: bytes) -> Line:
    try:
        return msgspec.json.decode(line, type=Line)
    except msgspec.MsgspecError as error:
        raise _no_row(number, error) from None


def _csv(path: Path) -> Iterator[Line]:
    """A column for each field of a row, named in the first line; an empty cell is no value."""
    with path.open(encoding="utf-8", newline="") as text:
        for number, cells in enumerate(csv.DictReader(text), 2):
            given = {name: cell for name, cell in cells.items() if cell}
            try:
                yield msgspec.convert(given, Line, strict=False)
            except msgspec.ValidationError as error:
                raise _no_row(number, error) from None


def _no_row(number: int, error: Exception) -> UnreadableLedger:
    return UnreadableLedger(f"line {number} is no ledger row: {error}; export the ledger's rows, not its sums")
