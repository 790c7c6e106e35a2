"""A real engine for tests: started once a session in a short private folder, ended after, emptied between tests.

Name the fixtures in a conftest: `from tests.engine import engine_url, store`.
"""

import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from gateway.state.connection import connect
from gateway.state.embedded import ensure, stop


@asynccontextmanager
async def state_folder() -> AsyncGenerator[Path]:
    """An empty state folder; whatever engine runs in it at the end is ended."""
    folder = Path(tempfile.mkdtemp(prefix="kontext-test-"))
    try:
        yield folder
    finally:
        await stop(folder)
        shutil.rmtree(folder)


@asynccontextmanager
async def running_engine(program: Path | None = None) -> AsyncGenerator[str]:
    """The `unix://` address of an engine of its own: `program`, else the wheel's."""
    async with state_folder() as folder:
        yield "unix://" + await ensure(folder, program)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine_url() -> AsyncGenerator[str]:
    async with running_engine() as url:
        yield url


@pytest.fixture
async def store(engine_url: str) -> AsyncGenerator[Redis]:
    """A client of the session's engine, empty."""
    client = await connect(engine_url, folder=Path())
    await client.flushall()
    yield client
    await client.aclose()
