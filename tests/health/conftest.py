"""The stage of the engine's path: real store, scripted providers, a clock wound by hand."""

from pathlib import Path

import pytest

from tests.engine_path.conftest import engine_url, pictures, stage

__all__ = ["engine_url", "pictures", "stage"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
