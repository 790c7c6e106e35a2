"""Deaths between an edit's end and its webhook: whoever comes after tells it, under the same id."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from msgspec import Struct

from tests.end_to_end.receiver import Received, Receiver
from tests.faults.cases import RUNWARE, Case
from tests.faults.tragedy import tragedy

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEFORE = Case(fault="F14", adapter=RUNWARE, point="before webhook")
DURING = Case(fault="F15", adapter=RUNWARE, point="after webhook")
CASES = (BEFORE, DURING)


class Story(Struct, frozen=True):
    """What was heard of each edit before the kill, and in the end."""

    secret: str
    before: dict[str, int]
    told: dict[str, list[Received]]
    edits: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story() -> AsyncGenerator[Story]:
    async with Receiver.serve() as hooks, tragedy(CASES, survivors=0, hooks=hooks) as play:
        victim = await play.victim(CASES)
        secret = await play.listen(victim.url)
        for case in CASES:
            await play.begin(victim, case)
        before = {case.name: len(hooks.at(f"/told/{case.name}")) for case in CASES}
        await victim.end()
        await play.survivors.add(1)
        told = {case.name: await hooks.told(f"/told/{case.name}", before[case.name] + 1) for case in CASES}
        edits = {case.name: (await play.told(case)).answer["id"] for case in CASES}
        yield Story(secret, before, told, edits)


async def test_what_was_not_told_yet_is_told_by_another_gateway(story: Story) -> None:
    (told,) = story.told[BEFORE.name]
    assert story.before[BEFORE.name] == 0
    event = told.verified(story.secret)
    assert (event["type"], event["data"]["id"]) == ("edit.succeeded", story.edits[BEFORE.name])


async def test_what_may_have_been_told_is_told_again_with_the_same_id_and_a_new_time(story: Story) -> None:
    first, second = story.told[DURING.name]
    assert story.before[DURING.name] == 1
    assert (first.id, first.body) == (second.id, second.body)
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])
    assert first.verified(story.secret) == second.verified(story.secret)
    assert first.verified(story.secret)["data"]["id"] == story.edits[DURING.name]
