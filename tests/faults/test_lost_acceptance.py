"""A store that takes every acceptance and loses every reply to it: nothing is bought of which nobody was told."""

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.configuration import load
from gateway.rehearsal.server import Rehearsal
from gateway.secret import key_hash
from gateway.server import serving
from gateway.state.budgets import Balance, Budgets
from gateway.state.connection import connect
from tests.end_to_end.stage import PHOTO_URI, eventually, state_folder, today
from tests.engine import running_engine
from tests.state.losing_replies import losing_replies

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIG = """\
[server]
secret = "file:signing"

[state]
url = "unix://{store}"
beat_s = 0.2
dead_after_s = 1
patience_s = 0

[ledger]
url = "sqlite:ledger.db"

[results]
url = "memory:"

[providers.runware]
api_key = "file:key"
base_url = "{url}/runware/v1"
[providers.runware.models.kontext-pro]
usual_s = 0.2

[policies.pro]
offers = ["runware/kontext-pro"]

[teams.growth]
policy = "pro"
keys = ["{hash}"]
"""


class Scene:
    def __init__(self, url: str, engine: str, rehearsal: Rehearsal, http: httpx.AsyncClient) -> None:
        self.url, self.engine, self.rehearsal, self.http = url, engine, rehearsal, http

    async def post(self, **headers: str) -> httpx.Response:
        document = {"prompt": "Make it blue", "images": [PHOTO_URI]}
        return await self.http.post(f"{self.url}/v1/edits", json=document, headers=headers)

    async def is_gone(self, edit: str) -> bool:
        return (await self.http.get(f"{self.url}/v1/edits/{edit}")).status_code == 404

    async def balances(self) -> set[Balance]:
        store = await connect(self.engine, folder=Path())
        try:
            return set((await Budgets(store).everything()).values())
        finally:
            await store.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def scene() -> AsyncGenerator[Scene]:
    def is_accepted(request: bytes) -> bool:
        return b"/accept" in request and b"EVALSHA" in request

    headers = {"authorization": "Bearer kx_growth"}
    async with (
        Rehearsal.serve(seconds=0.1, fast=True) as rehearsal,
        state_folder() as folder,
        running_engine() as engine,
        losing_replies(engine.removeprefix("unix://"), folder, is_accepted) as store,
        httpx.AsyncClient(timeout=30, headers=headers) as http,
    ):
        (folder / "key").write_text(rehearsal.key)
        (folder / "signing").write_text("s" * 32)
        file = folder / "kontext.toml"
        file.write_text(CONFIG.format(store=store, url=rehearsal.url, hash=key_hash("kx_growth")))
        async with serving(load(file, {}, today())) as url:
            yield Scene(url, engine, rehearsal, http)


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "k"}], ids=["without a key", "with a key"])
async def test_a_503_is_not_bought_behind_its_callers_back(scene: Scene, headers: dict[str, str]) -> None:
    answer = await scene.post(**headers)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (503, "urn:kontext:problem:store_unavailable")
    assert problem["edit_id"] in problem["detail"]

    async def gone() -> bool:
        return await scene.is_gone(problem["edit_id"])

    await eventually(gone)
    assert await scene.balances() == {Balance()}
    assert scene.rehearsal.bill.entries == ()
    assert scene.rehearsal.log.of("runware", "submit") == ()
