"""A gateway that asks its providers to call back, with stand-ins that do. By itself it would poll for the first time
after a quarter of a minute, so that a test that ends sooner owes it to a call."""

from collections.abc import AsyncGenerator

import httpx
import pytest_asyncio

from gateway.configuration import load
from gateway.rehearsal.runflow import RunflowSwitches
from gateway.rehearsal.runware import RunwareSwitches
from gateway.rehearsal.server import Rehearsal
from gateway.secret import key_hash
from gateway.server import serving
from tests.callbacks.house import KEY, SECONDS, SECRET, House
from tests.end_to_end.stage import TIMING, state_folder, today
from tests.engine import engine_url, store
from tests.ports import free_port

__all__ = ["engine_url", "store"]

CONFIG = """\
[server]
public_url = "http://127.0.0.1:{port}"

[state]
dir = "state"

[providers.runware]
api_key = "file:stand-in.key"
base_url = "{runware}"
callbacks = true
[providers.runware.models.kontext-pro]
usual_s = 30

[providers.runflow]
api_key = "file:stand-in.key"
base_url = "{runflow}"
callbacks = true
callback_secrets = ["file:old.secret", "file:callback.secret"]
[providers.runflow.models.kontext-pro]
usual_s = 30

[policies.runware]
offers = ["runware/kontext-pro"]
[policies.runflow]
offers = ["runflow/kontext-pro"]

[teams.tests]
policy = "runware"
keys = ["{key}"]
"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def built() -> AsyncGenerator[House]:
    async with (
        Rehearsal.serve(seconds=SECONDS, fast=True) as rehearsal,
        state_folder() as folder,
        httpx.AsyncClient(timeout=30) as http,
    ):
        port = free_port()
        (folder / "stand-in.key").write_text(rehearsal.key)
        (folder / "callback.secret").write_text(SECRET)
        (folder / "old.secret").write_text("whsec_old")
        path = folder / "kontext.toml"
        runware, runflow = rehearsal.runware_url, rehearsal.runflow_url
        path.write_text(CONFIG.format(port=port, runware=runware, runflow=runflow, key=key_hash(KEY)))
        async with serving(load(path, {}, today()), port=port, timing=TIMING) as url:
            yield House(url, rehearsal, http)


@pytest_asyncio.fixture(loop_scope="session")
async def house(built: House) -> AsyncGenerator[House]:
    """Swept: no script, no bill, no log, no call."""
    built.rehearsal.reset()
    built.rehearsal.runware.switches = RunwareSwitches()
    built.rehearsal.runflow.switches = RunflowSwitches(callback_secret=SECRET)
    yield built
    built.rehearsal.faults.reset()
