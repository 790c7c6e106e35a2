from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from gateway.ledger.book import Book
from tests.engine_path.conftest import engine_url, pictures, stage
from tests.engine_path.stage import Stage
from tests.reconcile.office import Office

__all__ = ["engine_url", "pictures", "stage"]


@pytest_asyncio.fixture(loop_scope="session")
async def office(stage: Stage, tmp_path: Path) -> AsyncIterator[Office]:
    book = await Book.open(f"sqlite:{tmp_path / 'ledger.db'}")
    yield Office(stage, book)
    await book.aclose()
