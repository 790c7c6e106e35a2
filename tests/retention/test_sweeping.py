"""Pictures go when nobody needs them any more, and no race takes one that somebody needs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from gateway.keeper import Keeper
from gateway.results import MissingPicture, Results, ResultsUnavailable
from gateway.state import keys
from gateway.state.references import MARK_MS, Reference
from gateway.state.scripts import Step
from tests.retention.keeping import DATA, DIGEST, HOUR, HOUR_S, NAME, WEEK_S, Keeping, Slow

MARK_S = MARK_MS / 1000


async def test_a_picture_is_deleted_when_its_time_is_over_and_not_before(keeping: Keeping) -> None:
    await keeping.put()
    keeping.forward(HOUR_S - 1)
    assert (await keeping.keeper.sweep(10)).deleted == 0
    keeping.forward(1)
    swept = await keeping.keeper.sweep(10)
    assert (swept.looked, swept.deleted, swept.bytes) == (1, 1, len(DATA))
    with pytest.raises(MissingPicture):
        await keeping.results.get("growth", "inputs", DIGEST)


async def test_a_put_of_what_is_there_makes_it_safe(keeping: Keeping) -> None:
    await keeping.put()
    keeping.forward(HOUR_S - 1)
    await keeping.put(Reference(who="img_2", for_ms=1000 * HOUR_S))
    keeping.forward(HOUR_S - 1)
    assert (await keeping.keeper.sweep(10)).deleted == 0
    assert await keeping.results.get("growth", "inputs", DIGEST) == DATA


async def test_another_teams_picture_of_the_same_content_stays(keeping: Keeping) -> None:
    await keeping.put()
    await keeping.put(Reference(who="img_2", for_ms=3000 * HOUR_S), team="other")
    keeping.forward(HOUR_S)
    await keeping.keeper.sweep(10)
    assert (await keeping.is_there(), await keeping.is_there("other")) == (False, True)
    assert await keeping.keeper.release("growth", "inputs", DIGEST, "img_2"), "a foreign reference releases nothing"
    assert await keeping.is_there("other")


async def test_puts_and_sweeps_at_one_moment_leave_every_picture_that_was_taken(keeping: Keeping) -> None:
    for _ in range(30):
        await keeping.put()
        keeping.forward(HOUR_S)
        sweeps = asyncio.gather(keeping.keeper.sweep(10), keeping.keeper.sweep(10))
        taken = await _is_taken(keeping)
        await sweeps
        assert not taken or await keeping.results.get("growth", "inputs", DIGEST) == DATA
        keeping.forward(HOUR_S)
        await keeping.keeper.sweep(10)


async def _is_taken(keeping: Keeping) -> bool:
    """A caller may be told that it cannot be kept now: the clock is quicker here than a delete."""
    try:
        await keeping.put()
    except ResultsUnavailable:
        return False
    return True


async def test_a_put_waits_for_a_delete_that_is_under_way(keeping: Keeping, tmp_path: Path) -> None:
    slow = _slow(keeping, tmp_path)
    await keeping.put()
    keeping.forward(HOUR_S)
    sweep = asyncio.create_task(slow.sweep(10))
    await cast("Slow", slow.results).reached.wait()
    keeping.clock.hold()
    put = asyncio.create_task(keeping.put())
    await keeping.clock.somebody_sleeps()
    cast("Slow", slow.results).go_on.set()
    await sweep
    keeping.clock.release()
    await put
    assert await keeping.is_there()


async def test_a_put_that_waited_long_enough_says_that_it_cannot_be_kept_now(keeping: Keeping, tmp_path: Path) -> None:
    slow = _slow(keeping, tmp_path)
    await keeping.put()
    keeping.forward(HOUR_S)
    sweep = asyncio.create_task(slow.sweep(10))
    await cast("Slow", slow.results).reached.wait()
    with pytest.raises(ResultsUnavailable, match="being deleted"):
        await keeping.put()
    cast("Slow", slow.results).go_on.set()
    await sweep
    await keeping.put()
    assert await keeping.is_there()


def _slow(keeping: Keeping, folder: Path) -> Keeper:
    """Another replica's keeper, over the same pictures."""
    results = cast("Slow", Slow.open(f"file:{folder}/results"))
    results.reached, results.go_on = asyncio.Event(), asyncio.Event()
    return Keeping(keeping.line, results, keeping.clock).keeper


# --- a sweep that dies ------------------------------------------------------------------------------------------------


async def _marked(keeping: Keeping) -> None:
    await keeping.references.sweep(10)


async def _deleted(keeping: Keeping) -> None:
    await _marked(keeping)
    await keeping.results.remove(NAME)


DEATHS = {"after its mark": _marked, "after its delete": _deleted}


@pytest.mark.parametrize("die", DEATHS.values(), ids=list(DEATHS))
async def test_what_a_dead_sweep_left_the_next_one_ends(
    keeping: Keeping, die: Callable[[Keeping], Awaitable[None]]
) -> None:
    await keeping.put()
    keeping.forward(HOUR_S)
    await die(keeping)
    assert (await keeping.keeper.sweep(10)).looked == 0, "while the mark holds, it may be at work"
    keeping.forward(MARK_S)
    assert (await keeping.keeper.sweep(10)).deleted == 1
    assert not await keeping.is_there()
    assert await keeping.line.zcard(keys.PICTURES) == 0


@pytest.mark.parametrize("die", DEATHS.values(), ids=list(DEATHS))
async def test_after_a_dead_sweep_a_put_is_kept(keeping: Keeping, die: Callable[[Keeping], Awaitable[None]]) -> None:
    await keeping.put()
    keeping.forward(HOUR_S)
    await die(keeping)
    with pytest.raises(ResultsUnavailable):
        await keeping.put()
    keeping.forward(MARK_S)
    await keeping.put()
    await keeping.keeper.sweep(10)
    assert await keeping.results.get("growth", "inputs", DIGEST) == DATA


async def test_a_sweeper_that_slept_between_its_mark_and_its_delete_deletes_nothing(keeping: Keeping) -> None:
    await keeping.put()
    keeping.forward(HOUR_S)

    async def sleep() -> None:
        keeping.forward(MARK_S)
        await keeping.put()

    keeping.line.after[Step.SWEEP] = sleep
    assert (await keeping.keeper.sweep(10)).deleted == 0
    assert await keeping.is_there()


async def test_a_store_that_does_not_delete_is_asked_again(keeping: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    await keeping.put()
    keeping.forward(HOUR_S)
    remove = keeping.results.remove

    async def away(name: str) -> None:
        raise ResultsUnavailable(name)

    monkeypatch.setattr(keeping.results, "remove", away)
    with pytest.raises(ResultsUnavailable):
        await keeping.keeper.sweep(10)
    monkeypatch.setattr(keeping.results, "remove", remove)
    keeping.forward(MARK_S)
    assert (await keeping.keeper.sweep(10)).deleted == 1


# --- pictures without a reference -------------------------------------------------------------------------------------


async def test_what_lies_there_without_a_reference_is_kept_as_long_as_a_result(
    keeping: Keeping, results: Results
) -> None:
    await results.put("growth", "inputs", DIGEST, DATA)
    assert (await keeping.keeper.adopt(), await keeping.keeper.adopt()) == (1, 0)
    keeping.forward(WEEK_S - 1)
    assert (await keeping.keeper.sweep(10)).deleted == 0
    keeping.forward(1)
    swept = await keeping.keeper.sweep(10)
    assert (swept.deleted, swept.bytes) == (1, len(DATA))


async def test_adopting_leaves_references_as_they_are(keeping: Keeping) -> None:
    await keeping.put()
    assert await keeping.keeper.adopt() == 0
    keeping.forward(HOUR_S)
    assert (await keeping.keeper.sweep(10)).deleted == 1


# --- the duty ---------------------------------------------------------------------------------------------------------


async def test_one_replica_sweeps_until_nothing_is_due_and_every_one_tells_when(keeping: Keeping) -> None:
    for number in range(150):
        await keeping.keeper.put("growth", "inputs", f"{number:064x}", b"x", HOUR)
    keeping.forward(HOUR_S + 60)
    here, there = keeping.duty("a"), keeping.duty("b")
    assert await here.round()
    assert not await there.round()
    assert _read(here._metrics.registry, "kontext_pictures_deleted_total", why="over") == 150
    assert _read(here._metrics.registry, "kontext_picture_bytes_deleted_total", why="over") == 150
    assert _read(here._metrics.registry, "kontext_sweep_age_seconds") == 0
    keeping.forward(65)
    await there.round()
    assert _read(there._metrics.registry, "kontext_sweep_age_seconds") == 65


async def test_a_round_that_could_not_delete_everything_is_not_whole(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    duty = keeping.duty()
    await duty.round()
    await keeping.put()

    async def away(name: str) -> None:
        raise ResultsUnavailable(name)

    monkeypatch.setattr(keeping.results, "remove", away)
    for _ in range(2):
        keeping.forward(HOUR_S)
        with pytest.raises(ResultsUnavailable):
            await duty.round()
    await keeping.duty().round()
    assert _read(duty._metrics.registry, "kontext_sweep_age_seconds") == 2 * HOUR_S


async def test_the_store_is_looked_through_once_a_day(keeping: Keeping, results: Results) -> None:
    await keeping.duty().round()
    await results.put("growth", "inputs", DIGEST, DATA)
    await keeping.duty().round()
    assert await keeping.line.zcard(keys.PICTURES) == 0
    await keeping.line.delete("{kontext}:duty:adopt")
    await keeping.duty().round()
    assert await keeping.line.zscore(keys.PICTURES, NAME) == keeping.clock.now_ms() + 1000 * WEEK_S


def _read(registry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0
