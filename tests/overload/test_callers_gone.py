"""A caller leaves: its edit is dropped where nobody else can know of it and nothing was bought, and else goes on."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import pytest_asyncio

from gateway.rehearsal.faults import Fault, Script
from tests.end_to_end.stage import OTHER_KEY, PHOTO_URI, Answer, Stage, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLACES = 4
"""Of the account, by its default."""


async def edits(stage: Stage) -> list[Answer]:
    """Of the team, newest first."""
    return (await stage.get("/v1/edits?limit=100", key=OTHER_KEY)).json()["data"]


async def gone_at(stage: Stage, at: str) -> float:
    page = (await stage.get("/metrics")).text
    line = next(line for line in page.splitlines() if line.startswith(f'kontext_callers_gone_total{{at="{at}"}}'))
    return float(line.split()[-1])


@asynccontextmanager
async def asking(stage: Stage, prompt: str, *headers: str) -> AsyncGenerator[None]:
    """Waits for an edit, until the block is left."""
    document = {"prompt": prompt, "images": [PHOTO_URI], "models": ["tortoise/kontext-pro"]}
    body, place = msgspec.json.encode(document), urlsplit(stage.url)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    lines = [f"authorization: Bearer {OTHER_KEY}", f"content-length: {len(body)}", "content-type: application/json"]
    head = "\r\n".join(["POST /v1/edits HTTP/1.1", "host: gateway", *lines, *headers, "", ""])
    writer.write(head.encode() + body)
    await writer.drain()
    try:
        yield
    finally:
        writer.close()
        await writer.wait_closed()


async def listed(stage: Stage, before: int, *statuses: str) -> Answer:
    """The newest edit, once there is one more and it has one of the statuses."""

    async def probe() -> Any:
        found = await edits(stage)
        return found[0] if len(found) > before and found[0]["status"] in statuses else None

    return await eventually(probe)


@pytest_asyncio.fixture(loop_scope="session")
async def busy(stage: Stage) -> AsyncGenerator[None]:
    """Every place of the account is taken, until the end of the test."""
    stage.rehearsal.faults.put("runware", [Script(fault=Fault.SLOW, seconds=3.0, times=PLACES)])
    headers = {"prefer": "respond-async"}
    taking = [await stage.post(models=["tortoise/kontext-pro"], headers=headers) for _ in range(PLACES)]
    assert [response.status_code for response in taking] == [202] * PLACES
    yield
    for response in taking:
        await stage.ended(response.json()["id"])


@pytest.mark.usefixtures("busy")
async def test_an_edit_that_waits_for_a_place_is_dropped_with_its_caller(stage: Stage):
    before, dropped = len(await edits(stage)), await gone_at(stage, "queued")
    async with asking(stage, "Make it blue and go"):
        await listed(stage, before, "queued")
    edit = await listed(stage, before, "cancelled")
    assert (edit["cost"]["usd"], edit["routing"]["attempts"]) == ("0.000000", [])
    assert "gone" in edit["error"]["detail"]
    assert await gone_at(stage, "queued") == dropped + 1


@pytest.mark.usefixtures("busy")
async def test_one_that_can_be_asked_for_again_goes_on_without_its_caller(stage: Stage):
    before = len(await edits(stage))
    async with asking(stage, "Make it blue by a key", "idempotency-key: gone-and-back"):
        await listed(stage, before, "queued")
    assert (await listed(stage, before, "succeeded"))["id"]


async def test_one_that_has_a_place_goes_on_without_its_caller(stage: Stage):
    before, left = len(await edits(stage)), await gone_at(stage, "accepted")
    async with asking(stage, "Make it blue at once"):
        await listed(stage, before, "running")
    assert (await listed(stage, before, "succeeded"))["id"]
    assert await gone_at(stage, "accepted") == left + 1
