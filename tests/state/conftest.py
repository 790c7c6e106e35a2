"""The store's tests run on the wheel's Valkey, on a Cluster of six of them, and, where one is installed, on a plain
Redis."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.engine import running_engine, store
from tests.state.nodes import running_cluster

__all__ = ["engine_url", "store"]


REDIS = shutil.which("redis-server")
STORES = ("valkey", "redis", "cluster") if REDIS or os.environ.get("CI") else ("valkey", "cluster")


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=STORES)
async def engine_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "cluster":
        async with running_cluster() as (url, _):
            yield url
    else:
        async with running_engine(Path(REDIS or "redis-server") if request.param == "redis" else None) as url:
            yield url
