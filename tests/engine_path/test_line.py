"""Who waits for a place gets it in turn, team by team; who would wait too long is not let in; who is unwanted goes."""

from contextlib import ExitStack

import pytest
from msgspec.structs import replace

from adapters.contract import Edit, HttpReply
from gateway.current import Current
from gateway.engine.line import Line
from gateway.engine.overload import Overloaded, Reason
from gateway.state.records import EditRecord, Status
from gateway.state.scripts import Step
from tests.engine_path.runware_lines import pictures, submitted
from tests.engine_path.script import RUNWARE, Request, as_json
from tests.engine_path.stage import INPUT, RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage, configured

OTHERS = '[teams.others]\npolicy = "any"\nshare = 1'
ONE = "max_concurrency = 1"


async def accept(replica: Replica, team: str, prompt: str, *offers: str, deadline_s: float = 120.0) -> EditRecord:
    picture = await replica.stage.keep(INPUT)
    await replica.stage.shelf.put(team, "inputs", picture.digest, INPUT)
    edit = Edit(prompt=prompt, images=(picture,))
    order = replica.order(edit, *(offers or (RUNWARE_PRO,)), deadline_s=deadline_s)
    return await replica.engine.accept(replace(order, team=team))


async def the_place_is_taken(stage: Stage, replica: Replica) -> EditRecord:
    """By an edit whose provider is at work on it. The clock is held from here on."""
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.finished()))
    first = await accept(replica, "growth", "Make it blue")
    await stage.script.reached.wait()
    stage.clock.hold()
    return first


async def all_go_on(stage: Stage, replica: Replica, *records: EditRecord) -> list[EditRecord]:
    """To their ends, in the order in which their providers took them. No time passes: whoever waits is called."""

    def at_once(request: Request) -> HttpReply:
        stage.script.taken.append(submitted(request))
        return as_json(200, {"data": pictures(stage.script.taken[-1], 1, 0.04, "a")})

    stage.script.always(RUNWARE, at_once)
    stage.script.go_on.set()
    ended = [await replica.ended(record) for record in records]
    assert {record.status for record in ended} == {Status.SUCCEEDED}
    order = [identity[:8] for identity in stage.script.taken]  # the rest of an id is shaped to a UUID
    return sorted(ended, key=lambda record: order.index(record.attempts[0].id[:8]))


async def test_one_team_s_queue_does_not_stand_before_another_team_s_first(stage: Stage):
    replica = stage.replica(runware=ONE, team=OTHERS)
    first = await the_place_is_taken(stage, replica)
    ours = [await accept(replica, "growth", f"Make it blue {number}") for number in range(4)]
    theirs = await accept(replica, "others", "Make it red")
    order = await all_go_on(stage, replica, first, *ours, theirs)
    assert [record.id for record in order[:3]] == [first.id, ours[0].id, theirs.id]


async def test_those_who_wait_behind_ask_the_store_for_nothing(stage: Stage):
    replica = stage.replica(runware=ONE)
    first = await the_place_is_taken(stage, replica)
    waiting = [await accept(replica, "growth", f"Make it blue {number}") for number in range(5)]
    await stage.clock.somebody_sleeps()
    asked = stage.line.steps.count(Step.OPEN)
    assert asked <= 1, "the first of them, once"
    await all_go_on(stage, replica, first, *waiting)


async def test_who_would_wait_too_long_is_told_when_to_come_again(stage: Stage):
    replica = stage.replica(runware=ONE, limits="queue_s = 15")
    first = await the_place_is_taken(stage, replica)
    waiting = [await accept(replica, "growth", "Make it blue 1"), await accept(replica, "growth", "Make it blue 2")]
    await stage.clock.somebody_sleeps()
    with pytest.raises(Overloaded) as refused:
        await accept(replica, "growth", "Make it blue 3")
    usual_s = waiting[0].plan.candidates[0].expected_s
    assert refused.value.reason is Reason.WAIT
    assert refused.value.retry_after_s == pytest.approx(2 * usual_s - 15, abs=1)
    replica.engine.refuse_when_crowded("growth", [RUNWARE_PRO, RUNFLOW_PRO], 900)  # elsewhere is room
    await all_go_on(stage, replica, first, *waiting)


async def test_an_edit_whose_deadline_would_pass_in_line_is_not_let_in(stage: Stage):
    replica = stage.replica(runware=ONE)
    first = await the_place_is_taken(stage, replica)
    waiting = await accept(replica, "growth", "Make it blue 1")
    await stage.clock.somebody_sleeps()
    usual_s = waiting.plan.candidates[0].expected_s
    with pytest.raises(Overloaded):
        await accept(replica, "growth", "Make it blue 2", deadline_s=1.5 * usual_s)
    await all_go_on(stage, replica, first, waiting)


async def test_no_more_wait_than_may(stage: Stage):
    replica = stage.replica(runware=ONE, limits="queued = 1")
    first = await the_place_is_taken(stage, replica)
    waiting = await accept(replica, "growth", "Make it blue 1")
    await stage.clock.somebody_sleeps()
    with pytest.raises(Overloaded) as refused:
        await accept(replica, "growth", "Make it blue 2")
    assert refused.value.reason is Reason.QUEUED
    with pytest.raises(Overloaded):
        replica.engine.refuse_when_crowded("growth", [RUNWARE_PRO], 900)
    replica.engine.refuse_when_crowded("growth", [RUNWARE_PRO, RUNFLOW_PRO], 900)
    await all_go_on(stage, replica, first, waiting)


async def test_a_dropped_edit_ends_at_once_for_nothing_and_the_next_moves_up(stage: Stage):
    replica = stage.replica(runware=ONE)
    first = await the_place_is_taken(stage, replica)
    unwanted, waiting = [await accept(replica, "growth", f"Make it blue {number}") for number in (1, 2)]
    await stage.clock.somebody_sleeps()
    assert replica.engine.drop(unwanted.id)
    ended = await replica.ended(unwanted)
    assert (ended.status, ended.attempts, ended.end and ended.end.cost_micro) == (Status.CANCELLED, (), 0)
    assert not replica.engine.drop(first.id), "what has a place goes on"
    await all_go_on(stage, replica, first, waiting)


@pytest.mark.parametrize("team", ["growth", "others"])
async def test_when_who_kept_the_time_leaves_another_one_keeps_it(stage: Stage, team: str):
    """Offers that take nothing now are asked again after a while, by the first in line; if it ends before, the others
    would wait for nobody."""
    line, kind = Line(Current(configured(stage.folder, team=OTHERS)), stage.clock), (RUNWARE_PRO,)
    with ExitStack() as stack:
        with line.joined("a", "growth", kind, 5.0) as first:
            second = stack.enter_context(line.joined("b", team, kind, 5.0))
            first.stall(5.0)
            assert not second.woken.is_set()
        assert second.woken.is_set()
        assert second.wait_s == 5.0
