"""One team cannot take every place of a replica: what it leaves is for the others."""

import pytest
from msgspec.structs import replace

from adapters.contract import Edit
from gateway.engine.order import Order
from gateway.engine.overload import Overloaded, Reason
from gateway.state.budgets import OverBudget
from tests.engine_path.script import RUNWARE
from tests.engine_path.stage import INPUT, PROMPT, RUNWARE_PRO, Replica, Stage

OTHERS = '[teams.others]\npolicy = "any"'


async def order(stage: Stage, replica: Replica, team: str) -> Order:
    edit = Edit(prompt=PROMPT, images=(await stage.keep(INPUT),))
    return replace(replica.order(edit, RUNWARE_PRO), team=team)


async def test_a_team_that_takes_all_it_can_leaves_room_for_another(stage: Stage):
    replica = stage.replica(limits="in_flight = 5", team=OTHERS)
    stage.script.always(RUNWARE, stage.script.halt(stage.runware.acked))
    for _ in range(4):
        await replica.engine.accept(await order(stage, replica, "growth"))
    with pytest.raises(Overloaded) as refused:
        await replica.engine.accept(await order(stage, replica, "growth"))
    assert (refused.value.reason, refused.value.mine) == (Reason.IN_FLIGHT, True)
    await replica.engine.accept(await order(stage, replica, "others"))
    with pytest.raises(Overloaded) as refused:
        await replica.engine.accept(await order(stage, replica, "others"))
    assert not refused.value.mine, "now there is no room at all"


async def test_what_was_not_accepted_takes_no_place(stage: Stage):
    replica = stage.replica(limits="in_flight = 1", team='budget = { total_usd = "0.01" }')
    edit = Edit(prompt=PROMPT, images=(await stage.keep(INPUT),))
    for _ in range(3):
        with pytest.raises(OverBudget):
            await replica.engine.accept(replica.order(edit, RUNWARE_PRO))
    assert replica.metrics.registry.get_sample_value("kontext_edits_in_flight") == 0
