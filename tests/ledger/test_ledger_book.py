"""Rows go in once and come out as they were, on SQLite and PostgreSQL, from several processes, and for good."""

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.ledger.book import Book
from gateway.ledger.connection import LedgerRefused, LedgerUnavailable, RowRefused, connect
from gateway.ledger.migrations import migrate
from gateway.ledger.rows import Mark, Row, RowKind
from gateway.ledger.tables import ledger, metadata
from tests.ledger.histories import History

WHOLE = Row(
    id="e/1/close", kind=RowKind.CLOSE, edit="e", team="growth", key_id="ci", at_ms=1_800_000_000_000, place="7",
    attempt=1, attempt_id="a" * 32, offer="runware/kontext-pro", tier="standard", policy="production", held_micro=2**53,
    quoted_micro=40_000, settled_micro=-(2**62), overrun_micro=1, source="provider", outcome="done", mark=Mark.HEDGE,
    pictures=1, key_hash="k", fingerprint="f", origin="o", note="größer “x”", tags={"campaign": "x", 'a"b$.c': "="},
)  # fmt: skip


async def rows_of(book: Book) -> list[Row]:
    return [row async for row in book.rows()]


async def test_a_row_comes_out_as_it_went_in(book: Book) -> None:
    bare = Row(id="e/accept", kind=RowKind.ACCEPT, edit="e", team="growth", key_id="ci", place="6")
    await book.write([WHOLE, bare])
    assert await rows_of(book) == [bare, WHOLE]
    assert [row async for row in book.rows(RowKind.CLOSE, RowKind.CORRECT)] == [WHOLE]
    assert await book.last_ms() == WHOLE.at_ms


async def test_writing_again_changes_nothing(book: Book) -> None:
    await book.write([WHOLE])
    await book.write([WHOLE, replace(WHOLE, held_micro=1, tags={"campaign": "autumn"}), replace(WHOLE, id="e/other")])
    assert await rows_of(book) == [WHOLE, replace(WHOLE, id="e/other")]


async def test_more_than_a_batch_is_all_or_nothing(book: Book) -> None:
    rows = [replace(WHOLE, id=f"e/{number}", place=f"{number:09}") for number in range(1001)]
    with pytest.raises(RowRefused):
        await book.write([*rows, replace(WHOLE, id="e/bad", held_micro=2**63)])
    assert await rows_of(book) == []
    await book.write(rows)
    assert await rows_of(book) == rows


async def test_by_edit_gathers_what_was_interleaved(book: Book) -> None:
    history = History()
    first, second = history.edit().accept(2), history.edit().accept(3)
    second.open(3)
    first.open(2).close("settled").finish("succeeded")
    await book.write(list(reversed(history.rows)))
    expected = [tuple(row for row in history.rows if row.edit == told.edit) for told in (first, second)]
    assert [rows async for rows in book.by_edit()] == expected


@pytest.mark.parametrize(
    "change", ["UPDATE ledger SET held_micro = 0", "DELETE FROM ledger", "DELETE FROM ledger_tags"]
)
async def test_nothing_written_can_be_changed(url: str, book: Book, change: str) -> None:
    await book.write([WHOLE])
    engine = connect(url)
    try:
        with pytest.raises(DBAPIError, match="append-only"):
            async with engine.begin() as connection:
                await connection.execute(text(change))
    finally:
        await engine.dispose()
    assert await rows_of(book) == [WHOLE]


async def test_migrations_make_the_tables_that_the_code_reads(url: str, book: Book) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = connect(url)
    options = {"version_table": "ledger_version", "compare_type": True}
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts=options), metadata)
        )
    await engine.dispose()
    assert differences == []


async def test_many_open_an_empty_ledger_at_once(url: str) -> None:
    await asyncio.gather(*(migrate(url) for _ in range(6)))
    books = await asyncio.gather(*(Book.open(url) for _ in range(4)))
    await asyncio.gather(*(book.write([WHOLE]) for book in books))
    assert await rows_of(books[0]) == [WHOLE]
    await asyncio.gather(*(book.aclose() for book in books))


async def test_a_ledger_of_a_newer_release_is_refused(url: str, book: Book) -> None:
    engine = connect(url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE ledger_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(LedgerRefused, match="another release"):
        await Book.open(url)


async def test_several_processes_write_one_file(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from gateway.ledger.book import Book
from gateway.ledger.rows import Row, RowKind
async def main(url, name):
    book = await Book.open(url)
    for number in range(40):
        row = Row(id=f"{name}/{number}", kind=RowKind.ACCEPT, edit=name, team="t", key_id="k", place=f"{number:09}")
        await book.write([row])
    await book.aclose()
asyncio.run(main(*sys.argv[1:]))
"""
    url = f"sqlite:{tmp_path / 'ledger.db'}"
    commands = [(sys.executable, "-c", script, url, f"writer{number}") for number in range(3)]
    writers = [await asyncio.create_subprocess_exec(*command) for command in commands]
    assert [await writer.wait() for writer in writers] == [0, 0, 0]
    book = await Book.open(url)
    assert len(await rows_of(book)) == 120
    await book.aclose()


async def test_a_busy_file_is_unavailable_and_nothing_worse(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    await migrate(f"sqlite:{path}")
    book = Book(connect(f"sqlite:{path}", busy_s=0.02))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable):
        await book.write([WHOLE])
    assert await rows_of(book) == []  # a reader waits for nobody
    other.execute("COMMIT")
    other.close()
    await book.write([WHOLE])
    assert await rows_of(book) == [WHOLE]
    await book.aclose()


async def test_what_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("a letter, and not a database. " * 99)
    with pytest.raises(LedgerUnavailable):
        await Book.open(f"sqlite:{path}")
    with pytest.raises(LedgerUnavailable):
        await Book.open(f"postgresql://nobody@/none?host={tmp_path}")


async def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(LedgerRefused, match=r"kontext-gateway\[postgres\]"):
        await Book.open("postgresql://kontext@127.0.0.1/ledger")


@pytest.mark.parametrize("url", ["sqlite:", "mysql://host/db", "nonsense", ""])
async def test_an_address_of_neither_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(LedgerRefused, match=r'"sqlite:PATH" or "postgresql://'):
        await Book.open(url)


async def test_a_password_is_in_no_repr() -> None:
    engine = connect("postgresql://kontext:hush@127.0.0.1:1/ledger?sslmode=require")
    assert "hush" not in repr(Book(engine))
    await engine.dispose()


def test_every_field_of_a_row_has_its_column() -> None:
    assert set(ledger.c.keys()) == set(Row.__struct_fields__)
