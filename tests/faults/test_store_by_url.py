"""A Redis by URL is killed while edits run, stays away for a while, and comes back with its append-only file."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.configuration import load
from gateway.ledger.book import Book
from gateway.ledger.rows import Row
from gateway.rehearsal.faults import Fault, Script
from gateway.rehearsal.server import Rehearsal
from gateway.rehearsal.verdict import judge
from gateway.secret import key_hash
from gateway.server import serving
from tests.end_to_end.stage import PHOTO_URI, Answer, eventually, state_folder, today
from tests.faults.tragedy import charges_of
from tests.state.nodes import Fleet, Node, fleet

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """\
[server]
secret = "file:signing"

[state]
url = "redis://127.0.0.1:{port}"
beat_s = 0.2
dead_after_s = 1
patience_s = {patience_s}

[ledger]
url = "sqlite:ledger.db"

[providers.runware]
api_key = "file:key"
base_url = "{url}/runware/v1"
[providers.runware.models.kontext-pro]
usual_s = 0.2

[providers.runflow]
api_key = "file:key"
base_url = "{url}/runflow"
[providers.runflow.models.kontext-pro]
usual_s = 0.2

[policies.runware]
offers = ["runware/kontext-pro"]
[policies.runflow]
offers = ["runflow/kontext-pro"]

[teams.growth]
policy = "runware"
keys = ["{hash}"]
"""
SLOW_S = (0.5, 2.5)
"""One edit is finished by its provider while the store is away, one after it is back."""


class Scene:
    def __init__(self, urls: tuple[str, str], nodes: Fleet, node: Node, rehearsal: Rehearsal, folder: Path) -> None:
        self.urls, self.nodes, self.node, self.rehearsal, self.folder = urls, nodes, node, rehearsal, folder
        self.http = httpx.AsyncClient(timeout=30, headers={"authorization": "Bearer kx_growth"})

    async def post(self, url: str, policy: str, **headers: str) -> httpx.Response:
        document = {"prompt": "Make it blue", "images": [PHOTO_URI], "policy": policy}
        return await self.http.post(f"{url}/v1/edits", json=document, headers=headers)

    async def begun(self, url: str, provider: str) -> str:
        taken = len(self.rehearsal.bill.entries)
        answer = await self.post(url, provider, prefer="respond-async")
        assert answer.status_code == 202, answer.text

        async def is_taken() -> bool:
            return len(self.rehearsal.bill.entries) > taken

        await eventually(is_taken)
        return answer.json()["id"]

    def polls(self) -> int:
        return sum(len(self.rehearsal.log.of(provider, "poll")) for provider in ("runware", "runflow"))

    async def end_of(self, edit: str) -> Answer:
        async def ended() -> Answer | None:
            answer = (await self.http.get(f"{self.urls[1]}/v1/edits/{edit}")).json()
            return answer if answer["status"] not in ("queued", "running") else None

        return await eventually(ended)

    async def rows(self, edits: int) -> list[Row]:
        async def told() -> list[Row] | None:
            book = await Book.open(f"sqlite:{self.folder / 'ledger.db'}")
            try:
                rows = [row async for row in book.rows()]
            finally:
                await book.aclose()
            return rows if sum(row.id.endswith("/finish/succeeded") for row in rows) >= edits else None

        return await eventually(told, 30)


@asynccontextmanager
async def staged(patience_s: float) -> AsyncGenerator[Scene]:
    async with (
        Rehearsal.serve(seconds=0.1, fast=True) as rehearsal,
        state_folder() as folder,
        fleet() as nodes,
    ):
        node = await nodes.durable()
        (folder / "key").write_text(rehearsal.key)
        (folder / "signing").write_text("s" * 32)
        file = folder / "kontext.toml"
        file.write_text(
            CONFIG.format(port=node.port, url=rehearsal.url, hash=key_hash("kx_growth"), patience_s=patience_s)
        )
        settings = load(file, {}, today())
        async with serving(settings) as first, serving(settings) as second:
            scene = Scene((first, second), nodes, node, rehearsal, folder)
            async with scene.http:
                yield scene


@pytest_asyncio.fixture(loop_scope="module")
async def scene() -> AsyncGenerator[Scene]:
    async with staged(patience_s=0.5) as scene:
        yield scene


async def test_who_comes_while_it_is_away_for_a_moment_waits_and_is_served() -> None:
    """With a key, whose claim is the first step that meets nobody, and without one."""
    async with staged(patience_s=30) as patient:
        patient.node.kill()
        posts = [
            asyncio.create_task(patient.post(url, "runware", **headers))
            for url, headers in zip(patient.urls, ({}, {"idempotency-key": "k"}), strict=True)
        ]

        async def unready() -> bool:
            return all([(await patient.http.get(f"{url}/readyz")).status_code == 503 for url in patient.urls])

        await eventually(unready)
        assert not any(post.done() for post in posts)
        await patient.nodes.again(patient.node)
        assert [answer.status_code for answer in await asyncio.gather(*posts)] == [200, 200]
        assert len(patient.rehearsal.bill.entries) == 2


async def test_what_runs_goes_on_without_it_what_is_new_is_refused_and_nothing_is_lost(scene: Scene) -> None:
    edits: list[str] = []
    for provider, url in zip(("runware", "runflow"), scene.urls, strict=True):
        scene.rehearsal.faults.put(provider, [Script(Fault.SLOW, 1, seconds=seconds) for seconds in SLOW_S])
        edits += [await scene.begun(url, provider) for _ in SLOW_S]
    billed = len(scene.rehearsal.bill.entries)
    scene.node.kill()

    polls = scene.polls()
    for url in scene.urls:
        refused, ready = await scene.post(url, "runware"), await scene.http.get(f"{url}/readyz")
        assert (refused.status_code, ready.status_code) == (503, 503)
        assert "the state store does not answer" in ready.json()["detail"]
        assert (await scene.http.get(f"{url}/healthz")).status_code == 200

    async def polled_meanwhile() -> bool:
        return scene.polls() >= polls + 4

    await eventually(polled_meanwhile)
    assert len(scene.rehearsal.bill.entries) == billed, "nothing is bought that the store did not hold"

    await scene.nodes.again(scene.node)
    answers = [await scene.end_of(edit) for edit in edits]
    assert [answer["status"] for answer in answers] == ["succeeded"] * 4

    async def ready_again() -> bool:
        return (await scene.http.get(f"{scene.urls[0]}/readyz")).status_code == 200

    await eventually(ready_again)
    assert (await scene.post(scene.urls[0], "runware")).status_code == 200
    charges = charges_of(scene.rehearsal)
    assert len(charges) == 5
    verdict = judge({answer["id"]: answer["status"] for answer in answers}, charges, await scene.rows(5))
    assert verdict.is_clean, verdict
    assert verdict.unresolved == {}
