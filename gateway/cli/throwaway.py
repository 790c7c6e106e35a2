"""A gateway for one call: in this process, on a free port, with everything in a folder that is gone afterwards."""

import secrets
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from gateway.clock import SystemClock, day_of
from gateway.configuration import load
from gateway.identity import api_key
from gateway.server import serving
from gateway.settings import Settings
from gateway.state.embedded import stop


@asynccontextmanager
async def throwaway(env: Mapping[str, str], config: Path | None = None) -> AsyncGenerator[tuple[str, str]]:
    """Its address and a key for it. Without `config`: development, so the preview and what the environment has keys
    for."""
    key = api_key(secrets.token_bytes(32))
    settings = load(config, env, day_of(SystemClock().now_ms()), development_key=None if config else key)
    with tempfile.TemporaryDirectory(prefix="kontext-", ignore_cleanup_errors=True) as folder:
        async with in_folder(settings, Path(folder)) as url:
            yield url, key


@asynccontextmanager
async def in_folder(settings: Settings, folder: Path) -> AsyncGenerator[str]:
    """A gateway whose state and results live in `folder`; its engine is stopped with it."""
    moved = replace(
        settings,
        state_dir=folder,
        results_url=f"file:{folder / 'results'}",
        ledger_url=f"sqlite:{folder / 'ledger.db'}",
    )
    try:
        async with serving(moved) as url:
            yield url
    finally:
        await stop(folder)
