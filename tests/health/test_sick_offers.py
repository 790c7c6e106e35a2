"""A sick offer is left, looked at again by an edit that was waiting anyway, and never hammered."""

import asyncio

import pytest

from adapters.contract import Edit, Tier
from gateway.engine.order import Order
from gateway.state.records import Status, Wish
from policies.circuit import CREDENTIAL_S, CREDIT_S, LAST_RESORT_S, OPEN_S, State
from policies.plans import Policy
from tests.engine_path.script import RUNFLOW, RUNWARE, not_sent
from tests.engine_path.stage import INPUT, PROMPT, RUNFLOW_MAX, RUNWARE_MAX, RUNWARE_PRO, TEAM, Stage
from tests.health.sickroom import (
    FIRST,
    SECOND,
    ejected,
    excluded,
    made_first,
    offers,
    planned,
    problem,
    served,
    submits,
)


async def test_a_primary_that_fails_is_left_after_five_and_costs_no_time(stage: Stage):
    replica = stage.replica()
    await ejected(stage, replica)
    began_s = stage.clock.now_s
    record = await served(stage, replica)
    assert (planned(record), excluded(record)) == ([SECOND], {FIRST: "unhealthy"})
    assert submits(stage, RUNWARE)[-1] == began_s, "planned around, so nothing is waited for"
    assert len(submits(stage, RUNFLOW)) == 5


async def test_it_comes_back_by_a_real_edit_and_by_nothing_else(stage: Stage):
    replica = stage.replica()
    await ejected(stage, replica)
    stage.clock.forward(OPEN_S + 1)
    await replica.health.exchange()
    assert len(submits(stage, RUNFLOW)) == 5, "no probe is bought"
    record = await made_first(stage, replica)
    assert offers(record) == [FIRST]
    assert replica.health.circuit(FIRST).state is State.CLOSED


async def test_a_failed_probe_costs_its_edit_nothing_and_doubles_the_ejection(stage: Stage):
    replica = stage.replica()
    await ejected(stage, replica)
    stage.clock.forward(OPEN_S + 1)
    failed_s = stage.clock.now_s
    record = await served(stage, replica)
    assert (offers(record), record.status) == ([FIRST, SECOND], Status.SUCCEEDED)
    circuit = replica.health.circuit(FIRST)
    assert (circuit.state, circuit.ejections) == (State.OPEN, 2)
    assert circuit.until_s - circuit.since_s == 2 * OPEN_S
    stage.clock.forward(failed_s + OPEN_S + 1 - stage.clock.now_s)
    assert planned(await served(stage, replica)) == [SECOND]


async def test_one_edit_probes_and_the_others_go_on_meanwhile(stage: Stage):
    replica = stage.replica()
    await ejected(stage, replica)
    stage.clock.forward(OPEN_S + 1)
    stage.script.at(RUNFLOW, stage.script.halt(stage.runflow.created), stage.runflow.succeeded())
    probe = await replica.accept(FIRST, SECOND)
    await stage.script.reached.wait()
    assert replica.health.circuit(FIRST).state is State.PROBING
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    other = await replica.ended(await replica.accept(FIRST, SECOND))
    assert (offers(other), excluded(other)) == ([SECOND], {FIRST: "unhealthy"})
    stage.script.go_on.set()
    assert (await replica.ended(probe)).status is Status.SUCCEEDED
    assert replica.health.circuit(FIRST).state is State.CLOSED


async def test_edits_that_meet_at_a_half_open_circuit_send_one(stage: Stage):
    """Both plans were made while it was half-open: who comes second goes on down its plan, and does not wait."""
    replica = stage.replica()
    await ejected(stage, replica)
    stage.clock.forward(OPEN_S + 1)
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    edit = Edit(prompt=PROMPT, images=(await stage.keep(INPUT),))
    both = await asyncio.gather(*(replica.engine.accept(replica.order(edit, FIRST, SECOND)) for _ in range(2)))
    ended = [await replica.ended(record) for record in both]
    assert all(planned(record) == [FIRST, SECOND] for record in ended)
    assert sorted(offers(record) for record in ended) == [[FIRST], [SECOND]]
    assert len(submits(stage, RUNFLOW)) == 6


async def test_a_probe_that_says_nothing_of_health_leaves_its_permit_to_the_next(stage: Stage):
    replica = stage.replica()
    await ejected(stage, replica)
    stage.clock.forward(OPEN_S + 1)
    stage.script.at(RUNFLOW, stage.runflow.refused(429))
    assert offers(await served(stage, replica)) == [FIRST, SECOND]
    assert replica.health.circuit(FIRST).state is State.HALF_OPEN
    assert offers(await made_first(stage, replica)) == [FIRST]


# --- accounts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "state", "cure_s"), [(401, State.NO_CREDENTIAL, CREDENTIAL_S), (402, State.NO_CREDIT, CREDIT_S)]
)
async def test_an_account_without_key_or_credit_is_left_whole_until_its_cure(
    stage: Stage, code: int, state: State, cure_s: float
):
    replica, models = stage.replica(), (RUNFLOW_MAX, FIRST, SECOND)
    stage.script.at(RUNFLOW, stage.runflow.refused(code))
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    since_s = stage.clock.now_s
    await replica.run(*models)
    assert replica.health.circuit("runflow").state is state, "one word is enough"
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await replica.run(*models)
    assert (planned(record), len(submits(stage, RUNFLOW))) == ([SECOND], 1)
    stage.clock.forward(since_s + cure_s + 1 - stage.clock.now_s)
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    assert offers(await replica.run(*models)) == [RUNFLOW_MAX]
    assert replica.health.circuit("runflow").state is State.CLOSED


async def test_an_outage_of_an_account_is_met_by_all_of_its_offers(stage: Stage):
    replica = stage.replica()
    stage.script.always(RUNFLOW, not_sent)
    for _ in range(5):
        await served(stage, replica)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await replica.run(RUNFLOW_MAX, SECOND)
    assert excluded(record) == {RUNFLOW_MAX: "unhealthy"}


async def test_an_account_is_left_alone_while_its_retry_after_runs(stage: Stage):
    replica = stage.replica()
    stage.script.at(RUNFLOW, stage.runflow.refused(429, retry_after="115"))  # too long to wait for
    assert offers(await served(stage, replica)) == [FIRST, SECOND]
    for models in ((FIRST, SECOND), (RUNFLOW_MAX, SECOND)):
        stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
        assert offers(await replica.run(*models)) == [SECOND]
    stage.clock.forward(115 - stage.clock.now_s)
    assert offers(await made_first(stage, replica)) == [FIRST]


# --- nothing else is left ---------------------------------------------------------------------------------------------


async def test_the_last_offer_is_never_ejected(stage: Stage):
    replica = stage.replica()
    stage.script.always(RUNWARE, stage.runware.refused(400, "noAvailableServer"))
    while replica.health.circuit(RUNWARE_PRO).state is not State.OPEN:
        await replica.run(RUNWARE_PRO)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await replica.run(RUNWARE_PRO)
    assert (record.status, record.plan.candidates[0].spared) == (Status.SUCCEEDED, True)
    assert replica.health.circuit(RUNWARE_PRO).state is State.CLOSED


async def test_while_all_are_sick_edits_wait_and_one_looks_every_five_seconds(stage: Stage):
    replica = stage.replica()
    stage.script.always(RUNWARE, stage.runware.refused(400, "noAvailableServer"))
    stage.script.always(RUNFLOW, stage.runflow.refused(503))
    while not all(replica.health.circuit(name).state is State.OPEN for name in (FIRST, SECOND)):
        await replica.run(FIRST, SECOND)
    sick_s = stage.clock.now_s
    waiting = [await replica.accept(FIRST, SECOND) for _ in range(12)]
    ended = [await replica.ended(record) for record in waiting]
    for host in (RUNFLOW, RUNWARE):
        looks = [at_s for at_s in submits(stage, host) if at_s >= sick_s]
        assert 3 < len(looks) <= 1 + (stage.clock.now_s - sick_s) / LAST_RESORT_S
    assert {record.status for record in ended} == {Status.FAILED}
    assert "no_offer_now" in {problem(record) for record in ended}
    assert all(len(record.attempts) <= 4 for record in ended)


async def test_who_waits_is_served_when_one_is_back(stage: Stage):
    """One edit alone: two would wind the one clock past each other's deadline."""
    replica = stage.replica()
    stage.script.always(RUNFLOW, stage.runflow.refused(503))
    while replica.health.circuit(FIRST).state is not State.OPEN:
        await replica.run(FIRST)
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    record = await replica.accept(FIRST)
    assert record.status is Status.QUEUED
    assert (await replica.ended(record)).status is Status.SUCCEEDED


# --- measured facts ---------------------------------------------------------------------------------------------------


async def test_one_failure_is_enough_to_change_the_order_of_equals(stage: Stage):
    """Runflow's first refusal makes its expected cost higher: the second edit begins at Runware, and loses no time."""
    replica = stage.replica()
    edit = Edit(prompt="Make it blue", images=(await stage.keep(INPUT),))
    policy = Policy(name="any", tier=Tier.PREVIEW, order=("expected_cost",), offers=(FIRST, SECOND))
    order = Order(id="edit_1", team=TEAM, key_id="ci", edit=edit, wish=Wish(policy="any"), policy=policy)
    stage.script.at(RUNFLOW, stage.runflow.refused(503))
    await served(stage, replica)
    assert [one.offer for one in replica.engine.plan(order).candidates] == [SECOND, FIRST]


async def test_what_takes_too_long_is_slow_before_it_ends(stage: Stage):
    replica = stage.replica()
    found: list[float | None] = []

    async def meanwhile() -> None:
        stage.clock.forward(300)
        await replica.health.exchange()
        found.append(replica.health.facts()[RUNWARE_MAX].usual_s)

    say = stage.runware
    stage.script.at(RUNWARE, say.acked, stage.script.first(meanwhile, say.working), say.finished(cost=0.08))
    await replica.run(RUNWARE_MAX)
    assert found[0] is not None
    assert found[0] > 2 * replica.settings.offers[RUNWARE_MAX].usual_s


async def test_measured_times_replace_the_catalogue(stage: Stage):
    replica = stage.replica()
    for _ in range(4):
        stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
        await replica.run(RUNWARE_PRO)
    facts = replica.health.facts()[RUNWARE_PRO]
    assert facts.usual_s == pytest.approx(5, rel=0.2), "half of the usual ten seconds: the first poll found it"
    assert facts.success > 0.98
    assert (facts.in_use, facts.limit) == (0, replica.settings.providers["runware"].max_concurrency)
