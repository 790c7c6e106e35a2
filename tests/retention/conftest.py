"""All tests of this folder share one event loop: the worker process that looks at pictures lives in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import ConnectionPool

from gateway.results import Results
from tests.engine_path.conftest import engine_url, pictures, stage
from tests.engine_path.store_line import StoreLine
from tests.retention.keeping import Keeping

__all__ = ["engine_url", "pictures", "stage"]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results.open(f"file:{tmp_path}/results")


@pytest_asyncio.fixture(loop_scope="session")
async def keeping(engine_url: str, results: Results) -> AsyncIterator[Keeping]:
    pool = ConnectionPool.from_url(engine_url)
    line = StoreLine(connection_pool=pool)
    await line.flushall()
    yield Keeping(line, results)
    await line.aclose()
    await pool.aclose()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
