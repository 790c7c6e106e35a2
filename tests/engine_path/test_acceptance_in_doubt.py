"""An acceptance whose reply was lost is taken back before anything is sent, unless somebody else was told of it."""

from typing import cast

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.engine.overload import Overloaded
from gateway.ledger.entries import entry
from gateway.state import keys
from gateway.state.budgets import Balance, Budgets
from gateway.state.edits import InDoubt
from gateway.state.records import EditRecord, Status
from gateway.state.scripts import Step
from tests.engine_path.script import RUNFLOW, RUNWARE
from tests.engine_path.stage import RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def in_doubt(stage: Stage, replica: Replica, offer: str = RUNWARE_PRO) -> str:
    """The id that a caller is told together with its 503; the store has taken the edit."""

    async def lost() -> None:
        raise RedisConnectionError("the reply was lost")

    stage.line.after[Step.ACCEPT] = lost
    with pytest.raises(InDoubt) as doubt:
        await replica.accept(offer)
    return doubt.value.edit


async def held(stage: Stage) -> set[Balance]:
    return set((await Budgets(stage.line).everything()).values())


async def test_it_is_taken_back_at_the_next_beat_and_never_sent(stage: Stage):
    replica = stage.replica()
    await replica.engine.start()
    await replica.metronome.rests()
    edit = await in_doubt(stage, replica)
    assert (await stage.stored(edit)).status is Status.RUNNING
    await replica.metronome.tick()
    await replica.metronome.tick()
    assert await stage.reader.get(edit) is None
    assert await held(stage) == {Balance()}
    assert stage.script.sent == []
    told = cast("list[tuple[bytes, dict[bytes, bytes]]]", await stage.line.xrange(keys.LEDGER))
    rows = [entry(raw_id, fields).row for raw_id, fields in told]
    assert [row.outcome for row in rows if row and row.outcome] == ["undone"]


async def test_while_the_store_is_away_it_stays_in_doubt(stage: Stage):
    replica = stage.replica()
    await replica.engine.start()
    await replica.metronome.rests()
    edit = await in_doubt(stage, replica)
    stage.line.away = True
    await replica.metronome.tick()
    stage.line.away = False
    assert await stage.reader.get(edit) is not None
    await replica.metronome.tick()
    assert await stage.reader.get(edit) is None


async def test_it_is_taken_back_before_its_replica_leaves(stage: Stage):
    replica = stage.replica()
    edit = await in_doubt(stage, replica)
    await replica.engine.aclose()
    assert await stage.reader.get(edit) is None


async def test_what_is_in_doubt_counts_against_the_limit(stage: Stage):
    replica = stage.replica(limits="in_flight = 1")
    await in_doubt(stage, replica)
    with pytest.raises(Overloaded):
        await replica.accept(RUNWARE_PRO)


@pytest.mark.parametrize("offer", [RUNWARE_PRO, RUNFLOW_PRO])
async def test_whoever_joined_it_meanwhile_gets_it_bought_once(stage: Stage, offer: str):
    """It was never sent, and its replica knows that: nothing has to be looked for first."""
    replica = stage.replica()
    await replica.engine.start()
    await replica.metronome.rests()
    edit = await in_doubt(stage, replica, offer)
    await stage.line.hset(keys.EDIT + edit, "joined", "1")  # pyright: ignore[reportGeneralTypeIssues] - redis-py's own
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    await replica.metronome.tick()
    record = await replica.ended(await stage.stored(edit))
    assert (record.status, len(record.attempts), len(stage.script.taken)) == (Status.SUCCEEDED, 1, 1)


async def test_a_successor_makes_the_edit_that_its_caller_can_look_up(stage: Stage):
    """The replica died before the store came back: nobody else can tell this edit from one that was confirmed."""
    edit = await in_doubt(stage, stage.replica("a"))
    say = stage.runware
    stage.script.at(RUNWARE, say.silent, say.not_archived, say.acked, say.finished())
    record: EditRecord = await stage.replica("b").take_over(await stage.stored(edit))
    assert (record.status, len(stage.script.taken)) == (Status.SUCCEEDED, 1)
