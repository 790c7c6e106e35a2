"""The store dies, stands still, or comes back without its last writes, while gateways are in the middle of edits."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from gateway.api.idempotency import EDITS
from gateway.rehearsal.faults import Fault
from gateway.state import keys
from gateway.state.claims import key_hash
from tests.end_to_end.stage import eventually
from tests.faults.cases import PRICE_MICRO, RUNFLOW, RUNWARE, Case, once
from tests.faults.tragedy import Tragedy, tragedy

pytestmark = pytest.mark.asyncio(loop_scope="module")

STILL_S = 2.0
KILLED = [
    Case(fault="F17", adapter=each, point="engine killed", script=(once(Fault.SLOW, 2.0),))
    for each in (RUNWARE, RUNFLOW)
]
STILL = [
    Case(fault="F20", adapter=each, point="engine still", script=(once(Fault.SLOW, 1.0),))
    for each in (RUNWARE, RUNFLOW)
]
NEW = [Case(fault="F20", adapter=each, point="posted meanwhile") for each in (RUNWARE, RUNFLOW)]
LOST = Case(fault="F18", adapter=RUNWARE, point="writes lost", script=(once(Fault.SLOW, 3.0),))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def play() -> AsyncGenerator[Tragedy]:
    async with tragedy((*KILLED, *STILL, *NEW, LOST)) as play:
        yield play


def engine_of(play: Tragedy) -> int:
    """The process of the folder's engine: its working folder tells."""
    for process in (name for name in os.listdir("/proc") if name.isdigit()):
        try:
            held = os.readlink(f"/proc/{process}/cwd")
        except OSError:
            continue
        if held == str(play.folder / "state" / "engine"):
            return int(process)
    raise AssertionError("no engine runs")


async def begun(play: Tragedy, case: Case) -> str:
    """The edit's id, once the provider has taken it."""
    response = await play.post(play.survivors.urls[0], case.name, case.name, prefer="respond-async")
    assert response.status_code == 202, response.text

    async def billed() -> bool:
        return bool(play.stand_ins[case.name].bill.entries)

    await eventually(billed)
    return response.json()["id"]


async def assert_paid_once(play: Tragedy, case: Case) -> None:
    told = await play.told(case)
    assert (told.answer["status"], len(told.charges)) == ("succeeded", 1), told.answer
    assert told.verdict.is_clean, told.verdict
    assert told.verdict.booked_micro == PRICE_MICRO


async def test_a_killed_store_loses_no_edit(play: Tragedy) -> None:
    edits = [await begun(play, case) for case in KILLED]
    os.kill(engine_of(play), signal.SIGKILL)
    for case, edit in zip(KILLED, edits, strict=True):
        await assert_paid_once(play, case)
        assert (await play.told(case)).answer["id"] == edit


async def test_a_store_that_stands_still_for_a_while_loses_nothing(play: Tragedy) -> None:
    for case in STILL:
        await begun(play, case)
    engine = engine_of(play)
    os.kill(engine, signal.SIGSTOP)
    began_s = time.monotonic()
    posts = [
        asyncio.create_task(play.post(url, case.name, case.name))
        for url, case in zip(play.survivors.urls, NEW, strict=True)
    ]
    await asyncio.sleep(STILL_S)
    billed_meanwhile = [play.stand_ins[case.name].bill.entries for case in NEW]
    os.kill(engine, signal.SIGCONT)
    assert billed_meanwhile == [(), ()], "nothing is bought that the store did not hold"
    assert time.monotonic() - began_s < 2 * STILL_S
    for response in await asyncio.gather(*posts):
        assert response.status_code in (200, 202, 409, 503), response.text
    for case in (*STILL, *NEW):
        await assert_paid_once(play, case)


async def test_a_retry_after_lost_writes_is_not_paid_again(play: Tragedy) -> None:
    """As after a failover to a replica of the store that lagged behind: the edit and its key are gone."""
    edit = await begun(play, LOST)
    async with play.store() as store:
        name = keys.idempotency_key("fleet", key_hash(EDITS, f"key-{LOST.name}"))
        assert await store.delete(f"{keys.EDIT}{edit}", name) == 2
        async for owner in store.scan_iter(match=f"{keys.OWNER}*"):
            await store.zrem(owner, edit)
        await store.delete(f"{keys.PERMITS}{LOST.name}", keys.open_edits("fleet", "fleet-0"))
    told = await play.told(LOST)
    assert told.answer["id"] != edit, "the retry began anew"
    assert told.answer["status"] == "succeeded"
    assert len(told.charges) == 1, "under the same task id, so the provider took it once"
    assert told.verdict.booked_micro == PRICE_MICRO
    (gap,) = told.verdict.breaches
    assert edit in gap, "the books name the gap"
