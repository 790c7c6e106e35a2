"""An edit's events: in order, whole, and at any replica; and what a caller gets who cancels."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from gateway.configuration import load
from gateway.server import serving
from tests.end_to_end.stage import EDIT_KEY, KEY, OTHER_KEY, READ_KEY, TIMING, Stage, cost_micro, today

pytestmark = pytest.mark.asyncio(loop_scope="session")

PREVIEW = {"policy": "preview", "prompt": "Make it black and white"}
ASYNC = {"prefer": "respond-async"}
Told = tuple[str, str, Any]
"""id ('' for none), name, data."""


@asynccontextmanager
async def following(
    stage: Stage, edit: str, *, url: str | None = None, after: str = "", key: str = KEY
) -> AsyncGenerator[httpx.Response]:
    headers = {"authorization": f"Bearer {key}", **({"last-event-id": after} if after else {})}
    async with stage.http.stream("GET", f"{url or stage.url}/v1/edits/{edit}/events", headers=headers) as response:
        yield response


async def events(response: httpx.Response) -> AsyncIterator[Told]:
    """As a browser reads them."""
    assert response.status_code == 200, await response.aread()
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield fields.get("id", ""), fields["event"], msgspec.json.decode(fields["data"])
            fields = {}


async def all_events(stage: Stage, edit: str, **rest: Any) -> list[Told]:
    async with following(stage, edit, **rest) as response:
        return [event async for event in events(response)]


@pytest_asyncio.fixture(loop_scope="session")
async def other_url(stage: Stage) -> AsyncIterator[str]:
    """Another replica on the same store."""
    async with serving(load(stage.config, {}, today()), timing=TIMING) as url:
        yield url


async def test_an_edit_tells_its_whole_story(stage: Stage) -> None:
    begun = (await stage.post(headers=ASYNC)).json()
    told = [event for event in await all_events(stage, begun["id"]) if event[1] != "progress"]
    assert [name for _, name, _ in told] == ["queued", "routed", "attempt", "attempt", "picture", "final"]
    assert [data["state"] for _, name, data in told if name == "attempt"] == ["started", "ended"]
    final = told[-1][2]
    assert final == (await stage.get(f"/v1/edits/{begun['id']}")).json()
    assert told[-2][2] == {"number": 0, "image": final["images"][0]}
    ids = [tuple(map(int, id_.split("-"))) for id_, _, _ in told]
    assert ids == sorted(set(ids))


async def test_a_client_that_goes_on_at_another_replica_misses_nothing_and_sees_nothing_twice(
    stage: Stage, other_url: str
) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=1.0)
    begun = (await stage.post(headers=ASYNC)).json()
    seen: list[Told] = []
    for url in (other_url, stage.url, other_url):
        after = seen[-1][0] if seen else ""
        async with following(stage, begun["id"], url=url, after=after) as response:
            async for event in events(response):
                if event[0]:
                    seen.append(event)
                    if len(seen) % 2 == 0 and event[1] != "final":
                        break
    whole = [event for event in await all_events(stage, begun["id"]) if event[0]]
    assert [event[:2] for event in seen] == [event[:2] for event in whole]
    assert [event[1] for event in seen] == ["queued", "routed", "attempt", "attempt", "picture", "final"]


async def test_who_comes_back_after_the_end_is_told_to_stop(stage: Stage) -> None:
    edit = (await stage.edit(**PREVIEW))["id"]
    last = (await all_events(stage, edit))[-1][0]
    async with following(stage, edit, after=last) as response:
        assert response.status_code == 204
    async with following(stage, edit, after="x") as response:
        assert response.status_code == 422


async def test_a_running_edit_is_cancelled_at_any_replica_at_its_true_cost(stage: Stage, other_url: str) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=2.0)
    begun = (await stage.post(headers=ASYNC)).json()
    async with following(stage, begun["id"]) as response:
        async for _, name, _ in events(response):
            if name == "attempt":
                break
    headers = {"authorization": f"Bearer {KEY}"}
    asked = await stage.http.delete(f"{other_url}/v1/edits/{begun['id']}", headers=headers)
    assert (asked.status_code, asked.json()["status"], asked.json()["cancel_requested"]) == (202, "running", True)
    told = await all_events(stage, begun["id"])
    final = told[-1][2]
    assert (final["status"], final["images"], cost_micro(final)) == ("cancelled", [], 40_000)
    assert stage.billed_micro() == 40_000
    assert "cancel_requested" in [name for _, name, _ in told]


async def test_what_has_ended_cannot_be_cancelled(stage: Stage) -> None:
    edit = await stage.edit(**PREVIEW)
    response = await stage.request("DELETE", f"/v1/edits/{edit['id']}")
    assert (response.status_code, response.json()["type"]) == (409, "urn:kontext:problem:ended")
    assert response.json()["edit"]["status"] == "succeeded"


@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("GET", "/events")])
async def test_another_teams_edit_is_answered_like_none(stage: Stage, method: str, path: str) -> None:
    edit = (await stage.edit(**PREVIEW))["id"]
    foreign = await stage.request(method, f"/v1/edits/{edit}{path}", key=OTHER_KEY)
    unknown = await stage.request(method, f"/v1/edits/edit_none{path}", key=OTHER_KEY)
    assert (foreign.status_code, foreign.json()) == (404, unknown.json())
    lacking = READ_KEY if method == "DELETE" else EDIT_KEY
    assert (await stage.request(method, f"/v1/edits/{edit}{path}", key=lacking)).status_code == 403
