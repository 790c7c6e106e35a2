"""SIGTERM with edits in flight: not ready, no new edits, every waiting caller told where its edit is, and another
gateway ends what this one began. Nothing is lost, and nothing is paid twice."""

import asyncio
import signal
from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from tests.end_to_end.processes import EXTRA, KEY, Field, Server, field_of
from tests.end_to_end.stage import PHOTO_URI, PROMPT, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

IN_FLIGHT, WAITING = 12, 4
HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def field() -> AsyncGenerator[Field]:
    async with field_of(f"{EXTRA}\n[server]\ndrain_s = 1.5\n") as it:
        yield it


async def posted(field: Field, server: Server, **headers: str) -> httpx.Response:
    document = {"prompt": PROMPT, "images": [PHOTO_URI], "policy": "runflow_first"}
    return await field.http.post(f"{server.url}/v1/edits", json=document, headers={**HEADERS, **headers})


async def accepted(field: Field, server: Server, number: int) -> None:
    """Waits until so many edits are in the store."""

    async def probe() -> bool:
        page = await field.http.get(f"{server.url}/v1/edits", params={"limit": "100"}, headers=HEADERS)
        return len(page.json()["data"]) >= number

    await eventually(probe)


async def ready(field: Field, server: Server) -> int:
    return (await field.http.get(f"{server.url}/readyz")).status_code


async def test_what_is_in_flight_is_handed_over_and_none_is_lost(field: Field) -> None:
    leaving, staying = await asyncio.gather(field.gateway(), field.gateway())
    edits = [await field.begin(leaving, policy=f"{way}") for way in ("production", "runflow_first") * (IN_FLIGHT // 2)]
    waiting = [asyncio.create_task(posted(field, leaving)) for _ in range(WAITING)]
    await accepted(field, staying, IN_FLIGHT + WAITING)
    leaving.process.send_signal(signal.SIGTERM)

    async def unready() -> bool:
        return await ready(field, leaving) == 503

    await eventually(unready)
    while (refused := await posted(field, leaving)).status_code == 202:
        edits.append(refused.json()["id"])  # whoever balances load has not noticed yet
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:kontext:problem:leaving")
    assert (refused.json()["retryable"], refused.headers["retry-after"]) == (True, "1")
    assert (await field.read(leaving, edits[0]))["id"] == edits[0], "reading goes on"
    told = await asyncio.gather(*waiting)
    assert {response.headers["connection"] for response in (refused, *told)} == {"close"}
    assert [response.status_code for response in told] == [202] * WAITING
    edits += [response.json()["id"] for response in told]
    assert await asyncio.wait_for(leaving.process.wait(), 25) == 0
    answers = [await field.ended(staying, edit, within_s=60) for edit in edits]
    assert [answer["status"] for answer in answers] == ["succeeded"] * len(edits)
    assert len(await field.charges()) == len(edits)


async def test_a_second_signal_ends_at_once(field: Field) -> None:
    server = await field.gateway()
    server.process.send_signal(signal.SIGTERM)

    async def unready() -> bool:
        return await ready(field, server) == 503

    await eventually(unready)
    assert await server.end(signal.SIGTERM) == 0
