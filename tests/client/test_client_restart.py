"""A gateway that is killed under its caller, and comes back at the same address."""

import asyncio
import signal

import pytest

from tests.client.callers import Caller, prompt
from tests.client.spoiling import Spoiling
from tests.end_to_end.processes import KEY, Field
from tests.end_to_end.stage import PHOTO

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_gateway_that_is_killed_and_comes_back_leads_to_one_edit(field: Field) -> None:
    """In its first pause the caller is given a new process, behind the address that it knows."""
    await field.reset()
    killed = await field.gateway()
    spoiling = Spoiling((killed.url,))
    made: list[str] = []

    async def come_back() -> None:
        if not made:
            made.append((await field.gateway()).url)
            spoiling.move((made[0],))

    async with spoiling.running() as url, Caller("sync", url, KEY, on_pause=come_back) as caller:
        asking = asyncio.create_task(caller("edit", prompt(), PHOTO))
        await field.submitted(1)
        await killed.end(signal.SIGKILL)
        edit = await asking
        assert (edit.status, len(await field.charges())) == ("succeeded", 1)
        assert len(await caller("list")) == 1
    assert caller.pauses
    assert len(set(spoiling.sent("idempotency-key")) - {""}) == 1
