"""A finished picture is PUT to the caller's own address; whatever happens there, the edit stays as it is."""

import asyncio

import pytest

from adapters.contract import HttpReply
from gateway.results import Kind, ResultsUnavailable
from gateway.state.records import Status
from tests.engine_path.script import CALLER, RUNWARE, Line, Request, broken, not_sent, status
from tests.engine_path.stage import RESULT, RUNWARE_PRO, Replica, Stage

URL = f"https://{CALLER}/put?signature=secret"


async def uploaded(stage: Stage, replica: Replica):
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await replica.ended(await replica.accept(RUNWARE_PRO, upload_url=URL))
    while tasks := [task for task in asyncio.all_tasks() if "_upload" in repr(task.get_coro())]:
        await asyncio.gather(*tasks)
    assert await stage.stored(record.id) == record
    return record


async def test_it_is_put_there_after_success_without_any_credential_of_ours(stage: Stage):
    bodies: list[bytes] = []

    def takes(request: Request) -> HttpReply:
        bodies.append(request.body)
        return HttpReply(201, {}, b"")

    stage.script.at(CALLER, takes)
    record = await uploaded(stage, stage.replica())
    assert record.status is Status.SUCCEEDED
    assert bodies == [RESULT]
    (put,) = stage.script.to(CALLER)
    assert (put.method, put.url, put.headers["content-type"]) == ("PUT", URL, "image/png")
    assert "authorization" not in put.headers


async def test_a_failure_there_is_repeated_after_a_pause(stage: Stage):
    stage.script.at(CALLER, broken, status(500), status(200))
    await uploaded(stage, stage.replica())
    first, second, third = (put.at_s for put in stage.script.to(CALLER))
    assert (second - first, third - second) == (1, 5)


async def test_a_result_store_that_is_away_for_a_moment_is_waited_out(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    stage.script.at(CALLER, status(200))
    get, asked = stage.shelf.get, list[str]()

    async def away_at_first(team: str, kind: Kind, digest: str) -> bytes:
        if kind == "results":
            asked.append(digest)
            if len(asked) == 1:
                raise ResultsUnavailable("the result store does not answer as it should (GenericError)")
        return await get(team, kind, digest)

    monkeypatch.setattr(stage.shelf, "get", away_at_first)
    await uploaded(stage, stage.replica())
    assert (len(asked), len(stage.script.to(CALLER))) == (2, 1)


@pytest.mark.parametrize("answer", [broken, not_sent, status(403), status(302)], ids=["broken", "away", "403", "302"])
async def test_its_failure_changes_nothing(stage: Stage, answer: Line):
    stage.script.always(CALLER, answer)
    record = await uploaded(stage, stage.replica())
    assert record.status is Status.SUCCEEDED
    assert len(stage.script.to(CALLER)) == 4


async def test_nothing_is_put_for_an_edit_that_failed(stage: Stage):
    replica = stage.replica()
    stage.script.at(RUNWARE, stage.runware.refused(400, "invalidProviderContent"))
    record = await replica.ended(await replica.accept(RUNWARE_PRO, upload_url=URL))
    await asyncio.sleep(0)
    assert record.status is Status.REFUSED
    assert stage.script.to(CALLER) == []
