"""All tests of this folder look at one run."""

from collections.abc import AsyncGenerator
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
import pytest_asyncio

from tests.watch.run import Run, ran
from tests.watch.scraper import WANTED


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def run() -> AsyncGenerator[Run]:
    async with ran() as run:
        yield run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and isinstance(item, pytest.Function) and iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if item.get_closest_marker("prometheus") and not WANTED:
                item.add_marker(pytest.mark.skip(reason="needs Debian's prometheus"))
