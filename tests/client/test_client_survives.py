"""What goes wrong between a client and a gateway, on real sockets: cut answers, busy gateways, other replicas. One
edit and one charge come of it, whatever happens."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from msgspec import structs

from gateway.client import FailedError, KontextError, UnavailableError, UnreachableError
from gateway.configuration import load
from gateway.server import serving
from tests.client.callers import CHANCE, DRIVERS, Caller, prompt
from tests.client.spoiling import Cut, Instead, Spoiling
from tests.end_to_end.stage import PHOTO, TIMING, Stage, today

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.parametrize("driver", DRIVERS)]


@asynccontextmanager
async def through(spoiling: Spoiling, driver: str) -> AsyncGenerator[Caller]:
    async with spoiling.running() as url, Caller(driver, url) as caller:
        yield caller


@pytest_asyncio.fixture(loop_scope="session")
async def other_url(stage: Stage) -> AsyncIterator[str]:
    """Another replica on the same store."""
    async with serving(load(stage.config, {}, today()), timing=TIMING) as url:
        yield url


SPOILT: dict[str, tuple[Instead | Cut, float]] = {
    "cut before the answer": (Cut(), 0.25),
    "cut in the head": (Cut(b"content-"), 0.25),
    "cut in the body": (Cut(b'"routing"'), 0.25),
    "busy, with a time": (Instead(429, (("retry-after", "7"),)), 7.25),
    "busy, without one": (Instead(503), 0.25),
    "a proxy's own error": (Instead(502, body=b"<html>"), 0.25),
    "a failure that may be repeated": (Instead(418, (("x-should-retry", "true"),)), 0.25),
}
"""What happens -> the pause before the repeat: what was asked for, and half (`CHANCE`) of half a second."""


@pytest.mark.parametrize("what", SPOILT)
async def test_a_spoilt_answer_is_asked_for_again_under_the_same_key(stage: Stage, driver: str, what: str) -> None:
    assert CHANCE == 0.5
    spoil, pause_s = SPOILT[what]
    spoiling = Spoiling((stage.url,), (spoil,))
    async with through(spoiling, driver) as caller:
        edit = await caller("edit", prompt(), PHOTO)
    assert (edit.status, stage.billed_micro(), caller.pauses) == ("succeeded", 40_000, [pause_s])
    first, second = spoiling.sent("idempotency-key")
    assert first == second != ""


async def test_pauses_grow_and_end(stage: Stage, driver: str) -> None:
    spoiling = Spoiling((stage.url,), (Instead(503),) * 7)
    async with through(spoiling, driver) as caller:
        with pytest.raises(UnreachableError):
            await caller("models")
    assert caller.pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]


@pytest.mark.parametrize(
    "spoil",
    [Instead(500, (("x-should-retry", "false"),)), Instead(429, (("retry-after", "3600"),)), Instead(404)],
    ids=["forbidden", "too late", "pointless"],
)
async def test_what_must_not_be_repeated_is_not(stage: Stage, driver: str, spoil: Instead) -> None:
    spoiling = Spoiling((stage.url,), (spoil,))
    async with through(spoiling, driver) as caller:
        with pytest.raises(KontextError):
            await caller("edit", prompt(), PHOTO)
    assert (len(spoiling.heads), caller.pauses, stage.billed()) == (1, [], [])


async def test_a_failed_edit_is_not_bought_again(stage: Stage, driver: str) -> None:
    stage.rehearsal.faults.add("runware", "down")
    spoiling = Spoiling((stage.url,))
    async with through(spoiling, driver) as caller:
        with pytest.raises(FailedError):
            await caller("edit", prompt(), PHOTO, models=["runware/kontext-pro"], deadline_s=2)
    assert len(spoiling.heads) == 1


async def test_a_refusal_for_now_says_when(stage: Stage, driver: str) -> None:
    body = b'{"type": "urn:kontext:problem:overloaded", "status": 503, "detail": "full", "news": 1}'
    spoiling = Spoiling((stage.url,), (Instead(503, (("retry-after", "2000"),), body),))
    async with through(spoiling, driver) as caller:
        with pytest.raises(UnavailableError) as refused:
            await caller("models")
    assert (refused.value.retry_after_s, str(refused.value), refused.value.body) == (2_000, "full", body)


async def test_events_that_are_cut_go_on_at_another_replica(stage: Stage, other_url: str, driver: str) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=1.0)
    async with Caller(driver, stage.url) as other:
        begun = await other("submit", prompt(), PHOTO)
    cuts = (Cut(b"event: routed"), Cut(b'"started"'), Instead(503), Cut(b"event: picture\ndata"))
    spoiling = Spoiling((other_url, stage.url), cuts)
    async with through(spoiling, driver) as caller:
        seen = [event for event in await caller("events", begun.id) if event.id]
    async with Caller(driver, stage.url) as other:
        whole = [event for event in await other("events", begun.id) if event.id]
    assert [(event.id, event.name) for event in seen] == [(event.id, event.name) for event in whole]
    assert [event.name for event in seen] == ["queued", "routed", "attempt", "attempt", "picture", "final"]
    queued, routed = whole[0].id, whole[1].id
    assert spoiling.sent("last-event-id")[:4] == ["", queued, routed, routed]


async def test_a_picture_that_is_cut_is_fetched_again_whole(stage: Stage, driver: str) -> None:
    spoiling = Spoiling((stage.url,), (Cut(b"IHDR"), Instead(200, body=b"another picture")))
    async with Caller(driver, stage.url) as caller, spoiling.running() as url:
        edit = await caller("edit", prompt(), PHOTO, policy="preview")
        elsewhere = structs.replace(edit.images[0], url=(edit.images[0].url or "").replace(stage.url, url))
        with pytest.raises(KontextError, match="digest"):
            await caller("picture", elsewhere)
        assert len(await caller("picture", elsewhere)) == elsewhere.bytes
    assert spoiling.sent("authorization") == ["", "", ""]
