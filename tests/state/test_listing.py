"""A team's list in the store: what is accepted is on it, and it forgets an edit with its record."""

from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state.edits import Edits
from gateway.state.listing import Listing
from gateway.state.records import Status
from tests.state.samples import HandClock, edit_record, end

TEAM = edit_record().team


async def ids(store: Redis, team: str = TEAM, below: str = "", down_to: str = "", most: int = 100) -> list[str]:
    return [edit async for edit, _ in Listing(store).newest(team, below, down_to, most)]


async def test_edits_are_listed_under_their_team_newest_first(store):
    edits = Edits(store, "one")
    made = [(await edits.accept(edit_record(number), None, None))[0] for number in range(150)]
    await edits.accept(replace(edit_record(999), team="other"), None, None)
    found = [found async for found in Listing(store).newest(TEAM, "", "", 200)]
    assert found == [(record.id, record) for record in reversed(made)]
    assert await ids(store, below=made[100].id, down_to=made[99].id) == [made[99].id]
    assert await ids(store, most=2) == [made[149].id, made[148].id]


async def test_a_list_forgets_an_edit_when_its_record_ends(store):
    clock = HandClock()
    edits = Edits(store, "one", keep_ms=60_000, clock=clock)
    first, _ = await edits.accept(edit_record(1), None, None)
    waiting, _ = await edits.accept(edit_record(2), None, None)
    await edits.finish(first, end(Status.FAILED), None)
    assert await ids(store) == [waiting.id, first.id]
    clock.forward(60_001)
    third, _ = await edits.accept(edit_record(3), None, None)
    await edits.finish(third, end(Status.FAILED), None)
    assert await ids(store) == [third.id, waiting.id]
