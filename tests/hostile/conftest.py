from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.end_to_end.stage import stage, theatre
from tests.hostile.door import Door, opened_door

__all__ = ["stage", "theatre"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def door() -> AsyncGenerator[Door]:
    async with opened_door() as door:
        yield door
