"""A provider that an operator drained gets nothing new, finishes what it has, and comes back."""

import pytest

from gateway.engine.engine import NoOffer
from gateway.state.records import Status
from policies.circuit import State
from tests.engine_path.script import RUNFLOW, RUNWARE
from tests.engine_path.stage import RUNWARE_PRO, Stage
from tests.health.sickroom import FIRST, ejected, excluded, made_first, offers, problem, served, submits


async def test_a_drained_provider_is_left_out_and_named(stage: Stage):
    replica, other = stage.replica("a"), stage.replica("b")
    await replica.health.drain("runflow", "growth/ci", "its prices are wrong")
    assert excluded(await served(stage, replica)) == {FIRST: "disabled"}
    await other.health.exchange()
    assert excluded(await served(stage, other)) == {FIRST: "disabled"}, "for every replica"
    assert other.health.drained["runflow"].note == "its prices are wrong"
    assert submits(stage, RUNFLOW) == []


async def test_what_runs_there_finishes(stage: Stage):
    replica = stage.replica()
    stage.script.at(RUNFLOW, stage.script.halt(stage.runflow.created), stage.runflow.succeeded())
    record = await replica.accept(FIRST)
    await stage.script.reached.wait()
    await replica.health.drain("runflow", "growth/ci", "maintenance")
    stage.script.go_on.set()
    assert (await replica.ended(record)).status is Status.SUCCEEDED


async def test_with_every_fitting_offer_drained_there_is_none_for_now(stage: Stage):
    replica = stage.replica()
    await replica.health.drain("runflow", "growth/ci", "maintenance")
    with pytest.raises(NoOffer) as refused:
        await replica.accept(FIRST)
    assert refused.value.for_now
    with pytest.raises(NoOffer) as never:
        await replica.accept(FIRST, deadline_s=1)
    assert not never.value.for_now, "it would not fit even if it were back"


async def test_restore_brings_it_back_with_its_circuits_closed(stage: Stage):
    replica, other = stage.replica("a"), stage.replica("b")
    await ejected(stage, replica)
    await replica.health.drain("runflow", "growth/ci", "it fails")
    for one in (replica, other):
        await one.health.exchange()
    await other.health.restore("runflow")
    await replica.health.exchange()
    assert replica.health.circuit(FIRST).state is State.CLOSED
    assert offers(await made_first(stage, replica)) == [FIRST]


async def test_an_edit_that_was_planned_before_sends_nothing_there_either(stage: Stage):
    replica = stage.replica()

    async def drain() -> None:
        await replica.health.drain("runware", "growth/ci", "maintenance")

    stage.script.at(RUNFLOW, stage.script.first(drain, stage.runflow.refused(503)))
    record = await replica.run(FIRST, RUNWARE_PRO, deadline_s=30)
    assert (offers(record), problem(record)) == ([FIRST], "no_offer_now")
    assert submits(stage, RUNWARE) == []
