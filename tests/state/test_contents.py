"""The prompt, and what quotes it, goes out of a record when its time is over, and never while money depends on it."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.contents import Contents, Emptied
from gateway.state.corrections import Corrections
from gateway.state.edits import Edits
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, Output, Status
from tests.state.samples import HandClock, attempt, edit_record, end, settled, whole_store

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
CANARY = "canary-7f3a"
RECORD = replace(
    edit_record(),
    edit=replace(edit_record().edit, prompt=f"Make it {CANARY}", negative_prompt=f"no {CANARY}"),
    wish=replace(edit_record().wish, output=Output(upload_url=f"https://there/?{CANARY}")),
)
CALL = replace(attempt().call, url=f"/?{CANARY}", carry={"said": CANARY})
ATTEMPT = replace(attempt(), call=CALL)
END = replace(end(Status.SUCCEEDED), notes=(f"'{CANARY}' was not applied",))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def edits(store: Redis, clock: HandClock) -> Edits:
    return Edits(store, "one", clock=clock)


@pytest.fixture
def contents(store: Redis, clock: HandClock) -> Contents:
    return Contents(store, clock=clock)


async def begun(edits: Edits) -> tuple[EditRecord, AttemptRecord]:
    record, opened = await edits.accept(RECORD, ATTEMPT, None)
    assert opened is not None
    return record, opened


async def ended(edits: Edits) -> EditRecord:
    record, _ = await begun(edits)
    return await edits.finish(record, END, replace(settled(), call=CALL, message=END.notes[0]))


async def whole(store: Redis) -> str:
    return repr(await whole_store(store))


async def found(contents: Contents) -> tuple[str, ...]:
    return (await contents.lapsed(10))[1]


async def test_a_day_after_its_end_the_prompt_is_nowhere_and_the_rest_is_as_it_was(
    store: Redis, edits: Edits, contents: Contents, clock: HandClock
) -> None:
    record = await ended(edits)
    assert CANARY in await whole(store)
    clock.forward(DAY_MS - 1)
    assert await found(contents) == ()
    clock.forward(1)
    assert await found(contents) == (record.id,)
    assert await contents.empty(record.id) is Emptied.OK
    assert CANARY not in await whole(store)
    kept = await edits.get(record.id)
    assert kept is not None
    assert kept.emptied_ms == clock()
    assert (kept.edit.images, kept.plan, kept.origin) == (record.edit.images, record.plan, record.origin)
    assert [(one.id, one.state, one.cost_micro, one.offer, one.closed_ms) for one in kept.attempts] == [
        (one.id, one.state, one.cost_micro, one.offer, one.closed_ms) for one in record.attempts
    ]
    assert kept.end == replace(END, notes=())
    assert await store.zcard(keys.CONTENTS) == 0


async def test_emptying_again_changes_nothing(store: Redis, edits: Edits, contents: Contents, clock: HandClock) -> None:
    record = await ended(edits)
    await contents.empty(record.id)
    before = await whole_store(store)
    clock.forward(1)
    assert await contents.empty(record.id) is Emptied.OK
    assert await whole_store(store) == before


async def test_an_edit_that_goes_on_keeps_its_words(
    store: Redis, edits: Edits, contents: Contents, clock: HandClock
) -> None:
    record, _ = await begun(edits)
    clock.forward(3 * DAY_MS)
    assert await found(contents) == ()
    before = await whole_store(store)
    assert await contents.empty(record.id) is Emptied.GOES_ON
    assert not await contents.erase(record.id)
    assert await whole_store(store) == before


async def test_an_unresolved_edit_keeps_them_until_a_day_after_the_truth(
    store: Redis, edits: Edits, contents: Contents, clock: HandClock
) -> None:
    record, opened = await begun(edits)
    left = replace(opened, state=AttemptState.UNRESOLVED)
    record = await edits.finish(record, end(Status.UNRESOLVED), left)
    clock.forward(3 * DAY_MS)
    assert await found(contents) == ()
    assert await contents.empty(record.id) is Emptied.GOES_ON
    truth = replace(left, state=AttemptState.RELEASED)
    await Corrections(store, clock=clock).resolve(record, truth, end(Status.FAILED), operation="1", note="")
    clock.forward(DAY_MS - 1)
    assert await found(contents) == ()
    clock.forward(HOUR_MS)
    assert await found(contents) == (record.id,)


async def test_an_ended_edit_with_an_unresolved_attempt_keeps_them_and_is_looked_at_again(
    store: Redis, edits: Edits, contents: Contents, clock: HandClock
) -> None:
    """As after a race, or where a team took the risk: the picture is there, and what the other attempt cost is not."""
    record, opened = await begun(edits)
    left = await edits.close(record, replace(opened, state=AttemptState.UNRESOLVED))
    second = replace(attempt(2), call=CALL)
    opened = await edits.open(record, second, None)
    assert isinstance(opened, AttemptRecord)
    record = replace(record, attempts=(left, opened))
    record = await edits.finish(record, END, replace(settled(2), call=CALL))
    assert await contents.erase(record.id)
    assert await contents.empty(record.id) is Emptied.UNRESOLVED
    assert CANARY in await whole(store)
    assert await found(contents) == ()
    truth = replace(left, state=AttemptState.RELEASED)
    record = await Corrections(store, clock=clock).resolve(record, truth, END, operation="1", note="")
    clock.forward(60_000)
    assert await found(contents) == (record.id,)
    assert await contents.empty(record.id) is Emptied.OK
    assert CANARY not in await whole(store)


async def test_what_is_written_while_it_is_emptied_is_not_lost(
    store: Redis, edits: Edits, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await ended(edits)
    run = contents._scripts.run

    async def late(*args: Any) -> object:
        await store.hset(keys.EDIT + record.id, "end", msgspec.json.encode(replace(END, late=True)))
        return await run(*args)

    monkeypatch.setattr(contents._scripts, "run", late)
    assert await contents.empty(record.id) is Emptied.CHANGED
    kept = await edits.get(record.id)
    assert kept is not None
    assert kept.edit.prompt == RECORD.edit.prompt
    assert kept.end is not None
    assert kept.end.late


async def test_what_cannot_go_now_holds_up_nobody_else(edits: Edits, contents: Contents, clock: HandClock) -> None:
    await ended(edits)
    clock.forward(DAY_MS)
    assert await contents.lapsed(10) == (1, (RECORD.id,))
    assert await contents.lapsed(10) == (0, ())
    clock.forward(60_000)
    assert await contents.lapsed(10) == (1, (RECORD.id,))


async def test_edits_that_another_release_accepted_are_found(
    store: Redis, edits: Edits, contents: Contents, clock: HandClock
) -> None:
    record = await ended(edits)
    await store.delete(keys.CONTENTS)
    clock.forward(DAY_MS)
    assert await found(contents) == ()
    await contents.adopt(clock())
    assert await found(contents) == (record.id,)


async def test_a_record_that_is_gone_is_forgotten(
    store: Redis, edits: Edits, contents: Contents, clock: HandClock
) -> None:
    record = await ended(edits)
    await store.delete(keys.EDIT + record.id)
    assert await contents.empty(record.id) is Emptied.GONE
    assert not await contents.erase(record.id)
    clock.forward(DAY_MS)
    assert await contents.lapsed(10) == (0, ())
