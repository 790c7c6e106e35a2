"""The ledger's tests run on SQLite and, where its programs are installed, on PostgreSQL."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.ledger.book import Book
from gateway.ledger.connection import connect
from tests.engine import engine_url, store
from tests.ledger.postgres import programs, server

__all__ = ["engine_url", "store"]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    folder = programs()
    if folder is None:
        assert not os.environ.get("CI"), "CI runs the ledger's tests on PostgreSQL: install the package postgresql"
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with server(folder) as url:
        yield url


async def _emptied(url: str) -> str:
    engine = connect(url)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await engine.dispose()
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'books' / 'ledger.db'}"
    return await _emptied(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def book(url: str) -> AsyncIterator[Book]:
    opened = await Book.open(url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def sqlite_book(tmp_path: Path) -> AsyncIterator[Book]:
    opened = await Book.open(f"sqlite:{tmp_path / 'ledger.db'}")
    yield opened
    await opened.aclose()
