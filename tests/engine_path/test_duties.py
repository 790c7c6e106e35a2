"""A replica's duties: it beats, it claims what the dead left, it picks up its own broken paths, and after an outage of
the store it beats before it claims anything."""

import asyncio
from collections.abc import Iterable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.engine.engine import NoOffer
from gateway.engine.following import MOST_DEFECTS
from gateway.engine.overload import Overloaded
from gateway.state.connection import StoreUnavailable
from gateway.state.edits import Edits
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.scripts import Step
from tests.engine_path.script import RUNFLOW, RUNWARE, Request, not_sent
from tests.engine_path.stage import RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage


async def broken_off(stage: Stage, replica: Replica) -> EditRecord:
    """An edit whose end could not be written: the store went away when the picture came."""

    def store_goes() -> None:
        stage.line.away = True

    say = stage.runware
    stage.script.at(RUNWARE, say.acked, stage.script.first(store_goes, say.finished()))
    record = await replica.accept(RUNWARE_PRO)
    await gone(record)
    return record


async def gone(record: EditRecord) -> None:
    """The edit's path has broken off, or ended."""
    await asyncio.gather(*paths(record), return_exceptions=True)


def paths(record: EditRecord) -> Iterable[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == record.id]


async def rounds(replica: Replica, count: int) -> None:
    for _ in range(count):
        await replica.metronome.tick()


async def test_an_edit_whose_path_broke_at_an_outage_goes_on_when_the_store_is_back(stage: Stage):
    replica = stage.replica()
    await replica.engine.start()
    record = await broken_off(stage, replica)
    await replica.metronome.tick()
    stage.line.away = False
    assert (await stage.stored(record.id)).status is Status.RUNNING
    stage.script.at(RUNWARE, stage.runware.finished())
    await rounds(replica, 5)
    ended = await replica.ended(record)
    assert (ended.status, ended.epoch, len(ended.attempts)) == (Status.SUCCEEDED, 1, 1)
    assert len(stage.script.taken) == 1


async def test_after_an_outage_a_replica_beats_first_and_claims_nothing_for_as_long_as_a_silence_may_last(stage: Stage):
    """All replicas look dead after it, until each had time for a beat."""
    away, neighbour = stage.replica("a"), stage.replica("b")
    await neighbour.engine.start()
    stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked))
    record = await neighbour.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    await away.engine.start()
    await away.metronome.rests()
    stage.line.away = True
    stage.clock.forward(30)
    await away.metronome.tick()
    stage.line.away = False
    stage.line.steps.clear()
    await away.metronome.tick()
    assert stage.line.steps == [Step.BEAT]
    await rounds(away, 2)
    assert (await stage.stored(record.id)).owner == "b", "the neighbour beats again in these ten seconds"
    assert Step.CLAIM not in stage.line.steps
    await neighbour.metronome.tick()
    await rounds(away, 2)
    assert Step.CLAIM in stage.line.steps
    assert (await stage.stored(record.id)).owner == "b"


async def test_a_living_replica_is_not_robbed(stage: Stage):
    owner, other = stage.replica("a"), stage.replica("b")
    await owner.engine.start()
    stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked))
    record = await owner.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    await other.engine.start()
    for _ in range(10):
        await owner.metronome.tick()
        await other.metronome.tick()
    assert (await stage.stored(record.id)).owner == "a"


async def test_an_edit_that_comes_back_has_one_path_and_not_two(stage: Stage):
    """Its owner stood still for a while; another replica took it and died at once; now it is claimed where an old path
    still waits for an answer."""
    replica, other = stage.replica("a"), Edits(stage.line, "b", clock=stage.clock.now_ms)
    await replica.engine.start()
    stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked))
    record = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    stage.clock.forward(11)
    assert [one.epoch for one in await other.claim(1)] == [2]
    stage.clock.forward(11)
    stage.script.at(RUNWARE, stage.runware.finished())
    await replica.metronome.tick()
    await replica.metronome.rests()
    assert len(list(paths(record))) == 1
    ended = await replica.ended(await stage.stored(record.id))
    assert (ended.status, ended.epoch, len(stage.script.taken)) == (Status.SUCCEEDED, 3, 1)


async def test_an_attempt_whose_opening_nobody_confirmed_begins_as_one_that_was_never_sent(stage: Stage):
    """Looked for as if it were lost, it would not be found, and its money would stay held."""
    replica = stage.replica()
    await replica.engine.start()
    await replica.metronome.rests()

    async def lost() -> None:
        raise RedisConnectionError("the reply was lost")

    stage.line.after[Step.OPEN] = lost
    stage.script.at(RUNWARE, not_sent)
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await gone(record)
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    await rounds(replica, 2)
    ended = await replica.ended(record)
    assert (ended.status, len(ended.attempts), len(stage.script.taken)) == (Status.SUCCEEDED, 2, 1)


async def test_once_it_was_sent_it_is_lost_like_any_other_whose_path_broke_off(stage: Stage):
    replica = stage.replica()
    await replica.engine.start()
    await replica.metronome.rests()

    async def away() -> None:
        raise RedisConnectionError("the store is away")

    stage.line.before[Step.OPEN] = away
    stage.script.at(RUNWARE, not_sent)
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await gone(record)

    def store_goes() -> None:
        stage.line.before[Step.STORE] = away

    say = stage.runflow
    stage.script.at(RUNFLOW, stage.script.first(store_goes, say.created), say.listed, say.succeeded())
    for _ in range(4):
        await replica.metronome.tick()
        await replica.metronome.rests()
        await gone(record)
    ended = await replica.ended(record)
    assert (ended.status, len(ended.attempts), len(stage.script.taken)) == (Status.SUCCEEDED, 2, 1)


async def test_what_another_replica_claimed_meanwhile_is_not_picked_up(stage: Stage):
    """The process stood still after it had asked what it owns. The record that it then reads names the new owner: in
    that name every fence lets it through, and both would buy the edit."""
    replica, other = stage.replica("a"), Edits(stage.line, "b", clock=stage.clock.now_ms)
    await replica.engine.start()
    stage.script.at(RUNFLOW, stage.script.halt())
    record = await replica.accept(RUNFLOW_PRO)
    await stage.script.reached.wait()
    await replica.die(record)

    async def stands_still() -> None:
        stage.clock.forward(11)
        assert len(await other.claim(1)) == 1

    stage.line.after["ZRANGE"] = stands_still
    await rounds(replica, 2)
    await replica.metronome.rests()
    await gone(record)
    assert (await stage.stored(record.id)).owner == "b"
    assert len(stage.script.sent) == 1


async def test_a_defect_stops_after_three_tries_and_leaves_the_edit_open(stage: Stage):
    replica = stage.replica()
    await replica.engine.start()
    tries: list[float] = []

    def defect(request: Request):
        tries.append(request.at_s)
        raise ZeroDivisionError("a defect")

    stage.script.always(RUNWARE, defect)
    record = await replica.accept(RUNWARE_PRO)
    for _ in range(MOST_DEFECTS + 3):
        await gone(record)
        await replica.metronome.tick()
    assert len(tries) == MOST_DEFECTS
    stored = await stage.stored(record.id)
    assert (stored.status, stored.attempts[0].state) == (Status.RUNNING, AttemptState.UNKNOWN)


async def test_a_record_that_cannot_be_read_stops_neither_the_beat_nor_the_edits_after_it(stage: Stage):
    """Another release wrote it, perhaps; this one goes on with what it understands."""
    old = stage.replica("a")
    edits: list[EditRecord] = []
    for _ in range(2):
        stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked))
        edits.append(await old.accept(RUNWARE_PRO))
        await stage.script.reached.wait()
        stage.script.reached.clear()
        await old.die(edits[-1])
    strange, plain = edits
    await stage.line.hset(f"{{kontext}}:edit:{strange.id}", "document", b'{"version":99}')  # pyright: ignore[reportGeneralTypeIssues] - redis-py's own
    stage.script.at(RUNWARE, stage.runware.finished())
    other = stage.replica("b")
    stage.clock.forward(11)
    await other.engine.start()
    await rounds(other, 3)
    assert (await other.ended(plain)).status is Status.SUCCEEDED
    stage.line.steps.clear()
    await other.metronome.tick()
    assert stage.line.steps == [Step.BEAT, Step.CLAIM]


async def test_without_the_store_nothing_is_accepted_and_nothing_sent(stage: Stage):
    replica = stage.replica()
    stage.line.away = True
    with pytest.raises(StoreUnavailable):
        await replica.accept(RUNWARE_PRO)
    assert stage.script.sent == []


async def test_an_acceptance_that_went_to_another_replica_before_its_reply_came_is_followed_there_alone(stage: Stage):
    replica, other = stage.replica("a", patience_s=20), Edits(stage.line, "b", clock=stage.clock.now_ms)

    async def robbed() -> None:
        stage.clock.forward(11)
        assert len(await other.claim(1)) == 1
        raise RedisConnectionError("the reply is lost")

    stage.line.after[Step.ACCEPT] = robbed
    record = await replica.accept(RUNWARE_PRO)
    assert (record.owner, record.epoch) == ("b", 2)
    assert list(paths(record)) == []
    assert stage.script.sent == []


async def test_a_replica_follows_no_more_edits_than_it_may(stage: Stage):
    replica = stage.replica(limits="in_flight = 1")
    stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked))
    await replica.accept(RUNWARE_PRO)
    with pytest.raises(Overloaded):
        await replica.accept(RUNWARE_PRO)


async def test_an_edit_that_no_offer_fits_is_not_stored(stage: Stage):
    replica = stage.replica()
    with pytest.raises(NoOffer):
        await replica.accept("local/preview", n=5)
    assert stage.line.steps == []
