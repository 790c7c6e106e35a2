"""Uploads on the real engine: one for each picture of a team, and an end that only moves away."""

import pytest
from redis.asyncio import Redis

from adapters.contract import ImageFormat, Picture
from gateway.state.uploads import Uploads
from tests.state.samples import HandClock, whole_store

PICTURE = Picture("ab" * 32, ImageFormat.PNG, 48, 32, 99)
ID = "img_" + "ab" * 16
HOUR_MS = 3_600_000


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def uploads(store: Redis, clock: HandClock) -> Uploads:
    return Uploads(store, life_ms=HOUR_MS, clock=clock)


async def test_an_upload_is_found_by_its_team_until_its_time_is_over(uploads: Uploads, clock: HandClock) -> None:
    kept = await uploads.keep("growth", PICTURE)
    assert (kept.id, kept.picture, kept.ends_ms - kept.created_ms) == (ID, PICTURE, HOUR_MS)
    assert await uploads.look("growth", ID) == kept
    assert await uploads.look("other", ID) is None
    assert await uploads.use("other", ID) is None
    clock.forward(HOUR_MS - 1)
    assert await uploads.look("growth", ID) == kept, "a look moves nothing"
    clock.forward(1)
    assert await uploads.look("growth", ID) is None
    assert await uploads.use("growth", ID) is None


async def test_use_and_the_same_picture_again_move_its_end_away_and_never_nearer(
    store: Redis, uploads: Uploads, clock: HandClock
) -> None:
    kept = await uploads.keep("growth", PICTURE)
    clock.forward(1_000)
    used = await uploads.use("growth", ID)
    assert used is not None
    assert (used.created_ms, used.ends_ms) == (kept.created_ms, kept.ends_ms + 1_000)
    clock.forward(1_000)
    assert (await uploads.keep("growth", PICTURE)).ends_ms == kept.ends_ms + 2_000
    before = await whole_store(store)
    shorter = Uploads(store, life_ms=1_000, clock=clock)
    assert (await shorter.keep("growth", PICTURE)).ends_ms == kept.ends_ms + 2_000
    assert await whole_store(store) == before


async def test_one_that_is_over_begins_anew(uploads: Uploads, clock: HandClock) -> None:
    first = await uploads.keep("growth", PICTURE)
    clock.forward(HOUR_MS)
    second = await uploads.keep("growth", PICTURE)
    assert (second.id, second.created_ms) == (first.id, first.created_ms + HOUR_MS)


async def test_one_that_was_forgotten_is_gone_and_may_come_again(uploads: Uploads) -> None:
    await uploads.keep("growth", PICTURE)
    for _ in range(2):
        await uploads.forget("growth", ID)
        assert await uploads.use("growth", ID) is None
    assert (await uploads.keep("growth", PICTURE)).id == ID


async def test_a_repeat_of_the_command_changes_nothing(store: Redis, uploads: Uploads) -> None:
    kept = await uploads.keep("growth", PICTURE)
    before = await whole_store(store)
    assert await uploads.keep("growth", PICTURE) == kept
    assert await whole_store(store) == before
