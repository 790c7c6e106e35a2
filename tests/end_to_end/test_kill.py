"""Gateways that die, in processes of their own: what was bought is found again by whoever comes next, and paid once."""

import asyncio
import os
import signal
import time

import pytest

from tests.end_to_end.processes import KEY, Field, Server
from tests.end_to_end.stage import PHOTO_URI, PROMPT, cost_micro, story

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRIMARIES = {"production": "runware/kontext-pro", "runflow_first": "runflow/kontext-pro"}


def engine_pids(field: Field) -> set[str]:
    """The processes that hold the state folder's engine."""
    found: set[str] = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                held = os.readlink(f"/proc/{entry.name}/cwd")
            except OSError:
                continue
            if held == str(field.folder / "state" / "engine"):
                found.add(entry.name)
    return found


async def assert_paid_once(field: Field, server: Server, edits: dict[str, str]) -> None:
    """`edits`: by id, the offer at which each must have been bought, and nowhere else."""
    answers = [await field.ended(server, edit_id) for edit_id in edits]
    for answer, offer in zip(answers, edits.values(), strict=True):
        assert (answer["status"], story(answer)) == ("succeeded", [(offer, "done")]), answer
        picture = await field.http.get(answer["images"][0]["url"])
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    billed = [(f"{entry['provider']}/{entry['model']}", entry["cost_micro_usd"]) for entry in await field.charges()]
    assert sorted(billed) == sorted((story(answer)[0][0], cost_micro(answer)) for answer in answers)


async def begun(field: Field, server: Server) -> dict[str, str]:
    """An edit at each primary, accepted there."""
    edits = {await field.begin(server, policy=policy): offer for policy, offer in PRIMARIES.items()}
    await field.submitted(len(edits))
    return edits


async def test_edits_outlive_the_gateway_that_took_them(field: Field) -> None:
    await field.reset()
    first = await field.gateway()
    edits = await begun(field, first)
    assert await first.end(signal.SIGKILL) == -signal.SIGKILL
    second = await field.gateway()
    assert [(await field.read(second, edit_id))["status"] for edit_id in edits] == ["running", "running"]
    await assert_paid_once(field, second, edits)
    assert await second.end(signal.SIGTERM) == 0


async def test_a_gateway_killed_while_its_submits_are_under_way_buys_nothing_twice(field: Field) -> None:
    await field.reset()
    for provider in ("runware", "runflow"):
        await field.fault(provider, fault="hang_after_accept", times=1)
    first = await field.gateway()
    edits = await begun(field, first)
    await first.end(signal.SIGKILL)
    second = await field.gateway()
    await assert_paid_once(field, second, edits)
    await second.end(signal.SIGTERM)


async def test_two_gateways_share_one_engine_and_the_dead_ones_edits(field: Field) -> None:
    await field.reset()
    one, two = await asyncio.gather(field.gateway(), field.gateway())
    assert len(engine_pids(field)) == 1
    edit_id = await field.begin(one, policy="production")
    assert (await field.read(two, edit_id))["id"] == edit_id
    await field.submitted(1)
    await one.end(signal.SIGKILL)
    await assert_paid_once(field, two, {edit_id: "runware/kontext-pro"})
    again = await field.begin(two, policy="production")
    assert (await field.ended(two, again))["status"] == "succeeded"
    assert await two.end(signal.SIGTERM) == 0


async def test_sigterm_ends_at_once_and_the_next_gateway_goes_on(field: Field) -> None:
    await field.reset()
    first = await field.gateway()
    edit_id = await field.begin(first, policy="production")
    await field.submitted(1)
    began_s = time.monotonic()
    assert await first.end(signal.SIGTERM) == 0
    assert time.monotonic() - began_s < 3
    await assert_paid_once(field, await field.gateway(), {edit_id: "runware/kontext-pro"})


async def test_a_waiting_caller_is_told_the_address_at_sigterm(field: Field) -> None:
    await field.reset()
    server = await field.gateway()
    headers = {"authorization": f"Bearer {KEY}"}
    document = {"prompt": PROMPT, "images": [PHOTO_URI], "policy": "production"}
    waiting = asyncio.create_task(field.http.post(f"{server.url}/v1/edits", json=document, headers=headers))
    await field.submitted(1)
    assert await server.end(signal.SIGTERM) == 0
    response = await waiting
    assert (response.status_code, response.json()["status"]) == (202, "running")
    await assert_paid_once(field, await field.gateway(), {response.json()["id"]: "runware/kontext-pro"})
