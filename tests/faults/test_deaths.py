"""Process deaths: every case stands at its own point when one SIGKILL meets them all; two other gateways go on.

The stand-ins' bills are the judge: nothing is lost, nothing is paid twice, and the books say what was billed.
"""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from gateway.state.budgets import Budgets
from gateway.state.edits import Edits
from gateway.state.keys import GATEWAY_TOTAL
from tests.faults.cases import DEATHS, PRICE_MICRO, Case
from tests.faults.tragedy import Told, Tragedy, tragedy

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Deaths:
    """How every case ended, and at the moment of the kill: the prompts of the edits in the store, what they held, and
    what was held in all."""

    def __init__(self, play: Tragedy, told: dict[str, Told], durable: set[str], held: tuple[int, int]) -> None:
        self.play, self.told, self.durable, self.held = play, told, durable, held


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deaths() -> AsyncGenerator[Deaths]:
    async with tragedy(DEATHS) as play:
        victim = await play.victim(DEATHS)
        await asyncio.gather(*(play.begin(victim, case) for case in DEATHS if case.queued))
        for case in DEATHS:
            if not case.queued:
                await play.begin(victim, case)
        durable, held = await durable_edits(play)
        await victim.end()
        told = await asyncio.gather(*(play.told(case) for case in DEATHS))
        yield Deaths(play, dict(zip((case.name for case in DEATHS), told, strict=True)), durable, held)


async def durable_edits(play: Tragedy) -> tuple[set[str], tuple[int, int]]:
    async with play.store() as store:
        holdings = await Budgets(store).holdings()
        total = (await Budgets(store).everything())[GATEWAY_TOTAL].held_micro
        records = [await Edits(store, "reader").get(holding.edit) for holding in holdings]
    prompts = {record.edit.prompt for record in records if record is not None}
    return prompts, (sum(holding.held_micro for holding in holdings), total)


@pytest.mark.parametrize("case", DEATHS, ids=lambda case: case.name)
async def test_another_gateway_ends_what_the_dead_one_began(deaths: Deaths, case: Case) -> None:
    told = deaths.told[case.name]
    verdict = told.verdict
    edits = 2 if case.queued else 1
    assert (told.answer["status"], len(told.charges)) == (case.end, case.charges * edits), told.answer
    assert verdict.is_clean, verdict
    assert verdict.booked_micro == verdict.billed_micro == case.charges * edits * PRICE_MICRO
    assert sum(found.held_micro for found in verdict.unresolved.values()) == case.held_micro
    assert len({row.edit for row in told.rows}) == edits, "a retry with the key makes no second edit"


async def test_what_died_before_it_was_durable_left_no_hold(deaths: Deaths) -> None:
    early = {case.name for case in DEATHS if case.fault == "F1"}
    assert {case.name for case in DEATHS} - early <= deaths.durable
    assert not early & deaths.durable
    assert deaths.held[0] == deaths.held[1] > 0, "every hold belongs to an edit that is there"


async def test_in_the_end_nothing_is_held_but_what_is_unresolved(deaths: Deaths) -> None:
    async with deaths.play.store() as store:
        balances = await Budgets(store).everything()
    held = {name: balance.held_micro for name, balance in balances.items()}
    spent = {name: balance.spent_micro for name, balance in balances.items()}
    assert set(held.values()) == {sum(case.held_micro for case in DEATHS)}
    assert set(spent.values()) == {sum(len(told.charges) for told in deaths.told.values()) * PRICE_MICRO}
