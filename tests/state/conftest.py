"""The store's tests run on the wheel's Valkey and, where one is installed, on a plain Redis."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.engine import running_engine, store

__all__ = ["engine_url", "store"]


REDIS = shutil.which("redis-server")
PROGRAMS = {"valkey": None, "redis": Path(REDIS) if REDIS else Path("redis-server")}


@pytest_asyncio.fixture(
    scope="session", loop_scope="session", params=PROGRAMS if REDIS or os.environ.get("CI") else ["valkey"]
)
async def engine_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with running_engine(PROGRAMS[request.param]) as url:
        yield url
