"""Who refers to a picture: no sweep takes one that somebody needs, whoever comes in between."""

import asyncio

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.edits import Edits
from gateway.state.records import AttemptState, Status
from gateway.state.references import MARK_MS, Marked, Reference, References, Said
from tests.state.samples import HandClock, attempt, edit_record, end, whole_store

NAME, OTHER = f"growth/inputs/{'ab' * 32}", f"growth/inputs/{'cd' * 32}"
RESULT = f"growth/results/{'ab' * 32}"
HOUR_MS = 3_600_000
UPLOAD = Reference(who="img_1", for_ms=HOUR_MS)
INPUT = Reference(who=edit_record().id, for_ms=HOUR_MS, after_end_ms=HOUR_MS)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def references(store: Redis, clock: HandClock) -> References:
    return References(store, clock)


async def ended(edits: Edits, status: Status = Status.SUCCEEDED) -> None:
    """The sample edit, accepted and over."""
    record, begun = await edits.accept(edit_record(), attempt(), None)
    assert begun is not None
    state = AttemptState.SETTLED if status is Status.SUCCEEDED else AttemptState.RELEASED
    await edits.finish(record, end(status), replace(begun, state=state))


def names(marked: Marked) -> list[str]:
    return [name for name, _ in marked.pictures]


async def test_a_picture_is_swept_when_its_last_reference_is_over(references: References, clock: HandClock) -> None:
    await references.refer(NAME, UPLOAD, size=9)
    await references.refer(NAME, Reference(who="img_2", for_ms=2 * HOUR_MS), size=9)
    clock.forward(HOUR_MS)
    assert names(await references.sweep(10)) == []
    clock.forward(HOUR_MS - 1)
    assert names(await references.sweep(10)) == []
    clock.forward(1)
    marked = await references.sweep(10)
    assert (marked.looked, marked.pictures) == (1, ((NAME, 9),))


async def test_an_earlier_end_never_shortens_a_reference(references: References, clock: HandClock) -> None:
    await references.refer(NAME, Reference(who="img_1", for_ms=2 * HOUR_MS))
    await references.refer(NAME, UPLOAD)
    clock.forward(2 * HOUR_MS - 1)
    assert names(await references.sweep(10)) == []


async def test_an_edit_keeps_its_input_while_it_goes_on_and_an_hour_after_its_end(
    store: Redis, references: References, clock: HandClock
) -> None:
    edits = Edits(store, "one", clock=clock)
    await references.refer(NAME, INPUT)
    record, begun = await edits.accept(edit_record(), attempt(), None)
    assert begun is not None
    for _ in range(30):
        clock.forward(HOUR_MS)
        assert names(await references.sweep(10)) == []
    await edits.finish(record, end(Status.SUCCEEDED), replace(begun, state=AttemptState.SETTLED))
    clock.forward(HOUR_MS - 1)
    assert names(await references.sweep(10)) == []
    clock.forward(HOUR_MS)
    assert names(await references.sweep(10)) == [NAME]


async def test_an_unresolved_edit_keeps_its_input(store: Redis, references: References, clock: HandClock) -> None:
    edits = Edits(store, "one", clock=clock)
    await references.refer(NAME, INPUT)
    record, begun = await edits.accept(edit_record(), attempt(), None)
    assert begun is not None
    await edits.finish(record, end(Status.UNRESOLVED), replace(begun, state=AttemptState.UNRESOLVED))
    clock.forward(48 * HOUR_MS)
    assert names(await references.sweep(10)) == []


async def test_of_an_edit_that_was_never_accepted_the_picture_goes_after_its_hour(
    references: References, clock: HandClock
) -> None:
    await references.refer(NAME, INPUT)
    clock.forward(HOUR_MS)
    assert names(await references.sweep(10)) == [NAME]


@pytest.mark.parametrize(("status", "gone"), [(Status.SUCCEEDED, False), (Status.FAILED, True)])
async def test_a_result_that_its_edit_did_not_deliver_is_nobodys(
    store: Redis, references: References, clock: HandClock, status: Status, gone: bool
) -> None:
    await references.refer(RESULT, replace(INPUT, after_end_ms=48 * HOUR_MS))
    await ended(Edits(store, "one", clock=clock), status)
    clock.forward(HOUR_MS)
    assert (names(await references.sweep(10)) == [RESULT]) is gone


async def test_whoever_wants_a_marked_picture_waits_until_it_is_deleted(
    store: Redis, references: References, clock: HandClock
) -> None:
    await references.refer(NAME, UPLOAD)
    clock.forward(HOUR_MS)
    marked = await references.sweep(10)
    before = await whole_store(store)
    assert await references.refer(NAME, UPLOAD) is Said.GOING
    assert await references.refer(NAME, UPLOAD, kept=True) is Said.GOING
    assert await whole_store(store) == before
    await references.swept(NAME, marked.operation)
    assert await references.refer(NAME, UPLOAD, kept=True) is Said.GONE
    assert await references.refer(NAME, UPLOAD) is Said.OK
    assert await references.refer(NAME, UPLOAD, kept=True) is Said.OK


async def test_a_sweep_that_died_leaves_its_pictures_to_the_next_one(references: References, clock: HandClock) -> None:
    await references.refer(NAME, UPLOAD)
    clock.forward(HOUR_MS)
    first = await references.sweep(10)
    assert names(await references.sweep(10)) == [], "a mark keeps other sweeps away"
    clock.forward(MARK_MS)
    second = await references.sweep(10)
    assert names(second) == [NAME]
    await references.swept(NAME, first.operation)
    assert await references.refer(NAME, UPLOAD) is Said.GOING, "a late word of the dead one ends nobody's mark"


async def test_after_a_dead_sweep_a_picture_can_be_put_anew_but_not_taken_as_there(
    references: References, clock: HandClock
) -> None:
    await references.refer(NAME, UPLOAD)
    clock.forward(HOUR_MS)
    dead = await references.sweep(10)
    clock.forward(MARK_MS)
    assert await references.refer(NAME, UPLOAD, kept=True) is Said.GONE, "it may be deleted already"
    assert await references.refer(NAME, UPLOAD) is Said.OK
    await references.swept(NAME, dead.operation)
    assert await references.refer(NAME, UPLOAD, kept=True) is Said.OK
    assert names(await references.sweep(10)) == []


async def test_the_last_one_to_release_a_picture_deletes_it(references: References) -> None:
    await references.refer(NAME, UPLOAD, size=9)
    await references.refer(NAME, Reference(who="img_2", for_ms=HOUR_MS), size=9)
    assert await references.release(NAME, "img_1") is Said.SHARED
    marked = await references.release(NAME, "img_2")
    assert isinstance(marked, Marked)
    assert marked.pictures == ((NAME, 9),)
    assert await references.release(NAME, "img_2") is Said.GOING
    await references.swept(NAME, marked.operation)


async def test_a_released_reference_leaves_the_time_of_the_others(references: References, clock: HandClock) -> None:
    await references.refer(NAME, Reference(who="img_1", for_ms=48 * HOUR_MS))
    await references.refer(NAME, Reference(who="img_2", for_ms=2 * HOUR_MS))
    assert await references.release(NAME, "img_1") is Said.SHARED
    clock.forward(2 * HOUR_MS)
    assert names(await references.sweep(10)) == [NAME]


async def test_nothing_is_left_of_a_picture_that_was_swept(
    store: Redis, references: References, clock: HandClock
) -> None:
    await references.refer(NAME, UPLOAD)
    await references.refer(OTHER, replace(UPLOAD, for_ms=2 * HOUR_MS))
    clock.forward(HOUR_MS)
    marked = await references.sweep(10)
    await references.swept(NAME, marked.operation)
    before = await whole_store(store)
    await references.swept(NAME, marked.operation)
    assert await whole_store(store) == before
    assert await store.exists(keys.PICTURE + NAME) == 0
    assert await store.zrange(keys.PICTURES, 0, -1, withscores=True) == [(OTHER.encode(), clock() + HOUR_MS)]


async def test_a_reference_and_a_sweep_at_one_moment_never_lose_a_picture(
    references: References, clock: HandClock
) -> None:
    """Whoever is told `OK` has a picture that no sweep has marked."""
    for _ in range(20):
        await references.refer(NAME, UPLOAD)
        clock.forward(HOUR_MS)
        said, marked = await asyncio.gather(references.refer(NAME, UPLOAD), references.sweep(10))
        assert (said is Said.OK) is (not marked.pictures)
        if marked.pictures:
            await references.swept(NAME, marked.operation)
        else:
            clock.forward(HOUR_MS)
            gone = await references.sweep(10)
            await references.swept(NAME, gone.operation)
