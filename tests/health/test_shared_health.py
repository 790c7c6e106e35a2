"""Replicas share what they know, and go on with what they last knew while the store is away."""

import asyncio

from policies.circuit import OPEN_S, State
from tests.engine_path.script import RUNFLOW, RUNWARE
from tests.engine_path.stage import RUNWARE_PRO, Stage
from tests.health.sickroom import FIRST, SECOND, ejected, excluded, made_first, offers, served, submits


async def test_what_one_replica_ejects_the_other_leaves(stage: Stage):
    one, other = stage.replica("a"), stage.replica("b")
    await ejected(stage, one)
    for replica in (one, other):
        await replica.health.exchange()
    record = await served(stage, other)
    assert (excluded(record), len(submits(stage, RUNFLOW))) == ({FIRST: "unhealthy"}, 5)
    assert other.health.circuit(FIRST) == one.health.circuit(FIRST)


async def test_failures_of_two_replicas_add_up(stage: Stage):
    one, other = stage.replica("a"), stage.replica("b")
    stage.script.always(RUNFLOW, stage.runflow.refused(503))
    for replica in (one, other, one, other, one):
        await served(stage, replica)
    for replica in (one, other, one):
        await replica.health.exchange()
    assert {replica.health.circuit(FIRST).state for replica in (one, other)} == {State.OPEN}


async def test_of_two_replicas_one_takes_the_permit(stage: Stage):
    """The second has not heard of the first one's probe: the store tells it when it tries."""
    one, other = stage.replica("a"), stage.replica("b")
    await ejected(stage, one)
    for replica in (one, other):
        await replica.health.exchange()
    stage.clock.forward(OPEN_S + 1)
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    both = await asyncio.gather(one.accept(FIRST, SECOND), other.accept(FIRST, SECOND))
    ended = [await one.ended(both[0]), await other.ended(both[1])]
    assert sorted(offers(record) for record in ended) == [[FIRST], [SECOND]]


async def test_times_that_one_measured_the_other_knows(stage: Stage):
    one, other = stage.replica("a"), stage.replica("b")
    for _ in range(4):
        stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
        await one.run(RUNWARE_PRO)
    assert other.health.facts()[RUNWARE_PRO].usual_s is None
    for replica in (one, other):
        await replica.health.exchange()
    measured = other.health.facts()[RUNWARE_PRO].usual_s
    assert measured is not None
    assert measured == one.health.facts()[RUNWARE_PRO].usual_s


async def test_what_a_dead_replica_said_is_left_out(stage: Stage):
    one, other = stage.replica("a"), stage.replica("b")
    for _ in range(4):
        stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
        await one.run(RUNWARE_PRO)
    await one.health.exchange()
    stage.clock.forward(11)
    await other.health.exchange()
    assert other.health.facts()[RUNWARE_PRO].usual_s is None
    assert await stage.line.hkeys("{kontext}:facts") == [b"b"], "and swept"


async def test_with_the_store_away_the_last_snapshot_stays(stage: Stage):
    one, other = stage.replica("a"), stage.replica("b")
    for _ in range(4):
        stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
        await one.run(RUNWARE_PRO)
    await ejected(stage, one)
    for replica in (one, other):
        await replica.health.exchange()
    before = other.health.facts()
    stage.line.away = True
    await other.health.exchange()
    assert other.health.facts() == before
    assert not before[FIRST].healthy
    assert before[RUNWARE_PRO].usual_s is not None


async def test_what_happened_while_the_store_was_away_is_told_afterwards(stage: Stage):
    one, other = stage.replica("a"), stage.replica("b")
    await ejected(stage, one)
    stage.line.away = True
    await one.health.exchange()
    stage.line.away = False
    for replica in (one, other):
        await replica.health.exchange()
    assert other.health.circuit(FIRST).state is State.OPEN
    stage.clock.forward(OPEN_S + 1)
    assert offers(await made_first(stage, other)) == [FIRST]


async def test_metrics_show_circuits_and_slots(stage: Stage):
    replica = stage.replica()
    await ejected(stage, replica)
    text = replica.metrics.render("")[0].decode()
    assert f'kontext_circuit_state{{offer="{FIRST}",state="open"}} 1.0' in text
    assert f'kontext_circuit_state{{offer="{FIRST}",state="closed"}} 0.0' in text
    assert f'kontext_circuit_transitions_total{{offer="{FIRST}",to="open"}} 1.0' in text
    slots = replica.settings.providers["runware"].max_concurrency
    assert f'kontext_provider_slots{{provider="runware"}} {slots}.0' in text
    assert 'kontext_provider_slots_in_use{provider="runware"} 0.0' in text
