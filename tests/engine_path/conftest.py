"""All tests of this folder share one event loop: the worker process that looks at pictures lives in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import ConnectionPool

from gateway.pictures import Pictures, Pool
from tests.engine import engine_url
from tests.engine_path.stage import Stage
from tests.engine_path.store_line import StoreLine

__all__ = ["engine_url"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pictures() -> AsyncIterator[Pictures]:
    desk = Pictures(Pool(workers=1))
    await desk.warm()
    yield desk
    await desk.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(engine_url: str, pictures: Pictures, tmp_path: Path) -> AsyncIterator[Stage]:
    pool = ConnectionPool.from_url(engine_url)
    line = StoreLine(connection_pool=pool)
    await line.flushall()
    stage = Stage(line, pictures, tmp_path)
    yield stage
    await stage.aclose()
    await line.aclose()
    await pool.aclose()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
