"""Each provider's way through, undisturbed: what is stored before what is sent, and how often the store is asked."""

import pytest

from gateway.state.records import AttemptState, Status
from gateway.state.scripts import Step
from tests.engine_path.script import LOCAL, PICTURES, RUNFLOW, RUNWARE, Request
from tests.engine_path.stage import PREVIEW, PROMPT, RESULT, RUNFLOW_PRO, RUNWARE_PRO, TEAM, Stage, edited


async def test_runware_takes_two_round_trips_to_the_store_and_one_for_its_picture(stage: Stage):
    replica = stage.replica()
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.working, stage.runware.finished())
    record = await replica.run(RUNWARE_PRO)
    assert stage.line.steps == [Step.ACCEPT, Step.REFER, Step.FINISH]
    assert stage.script.told(RUNWARE) == ["imageInference", "getResponse", "getResponse"]
    assert record.status is Status.SUCCEEDED
    assert record.end is not None
    (image,) = record.end.images
    assert (image.width, image.height, image.seed) == (52, 36, 41)
    assert await stage.shelf.get(TEAM, "results", image.digest) == RESULT
    (attempt,) = record.attempts
    assert (attempt.state, attempt.cost_micro, attempt.cost_source) == (AttemptState.SETTLED, 40_000, "provider")
    assert (record.end.cost_micro, record.end.late, record.end.offer) == (40_000, False, RUNWARE_PRO)


async def test_runflow_takes_one_more_for_the_run_id_that_only_its_reply_tells(stage: Stage):
    replica = stage.replica()

    async def run_id_is_stored():
        (attempt,) = (await stage.stored(record.id)).attempts
        assert (attempt.state, attempt.call.carry["run_id"]) == (AttemptState.ACCEPTED, stage_run)

    stage_run = "0198a000-0000-7000-8000-0000000000aa"
    first_poll = stage.script.first(run_id_is_stored, stage.runflow.run("running"))
    stage.script.at(RUNFLOW, stage.runflow.created, first_poll, stage.runflow.succeeded())
    record = await replica.accept(RUNFLOW_PRO)
    ended = await replica.ended(record)
    assert stage.line.steps == [Step.ACCEPT, Step.STORE, Step.REFER, Step.FINISH]
    assert ended.status is Status.SUCCEEDED
    assert stage.script.to(RUNFLOW)[0].fresh, "a reused connection could break in a way that does not tell"
    assert not stage.script.to(RUNFLOW)[1].fresh


async def test_a_large_picture_is_uploaded_first_and_only_the_run_that_buys_is_stamped(stage: Stage):
    replica = stage.replica(runflow="inline_limit_bytes = 0")
    stamps: list[int] = []

    async def note_stamp():
        stamps.append((await stage.stored(record.id)).attempts[0].posted_ms)

    say, first = stage.runflow, stage.script.first
    stage.script.at(RUNFLOW, first(note_stamp, say.upload_opened), first(note_stamp, say.confirmed))
    stage.script.at(RUNFLOW, first(note_stamp, say.created), say.succeeded())
    stage.script.at("storage.test", say.stored)
    record = await replica.accept(RUNFLOW_PRO)
    assert (await replica.ended(record)).status is Status.SUCCEEDED
    assert stamps[:2] == [0, 0]
    assert stamps[2] > 0
    assert stage.script.told(RUNFLOW) == ["upload", "confirm", "run", "poll"]


async def test_the_local_server_takes_no_more_and_costs_nothing(stage: Stage):
    replica = stage.replica()
    stage.script.at(LOCAL, edited)
    record = await replica.run(PREVIEW)
    assert stage.line.steps == [Step.ACCEPT, Step.REFER, Step.FINISH]
    assert (record.status, record.attempts[0].cost_micro, record.attempts[0].cost_source) == (
        Status.SUCCEEDED,
        0,
        "local",
    )
    assert stage.script.to(LOCAL)[0].timeout_s == 120, "a synchronous offer has what is left of the deadline"


@pytest.mark.parametrize("offer", [RUNWARE_PRO, RUNFLOW_PRO, PREVIEW])
async def test_nothing_is_sent_before_its_attempt_is_in_the_store(stage: Stage, offer: str):
    replica = stage.replica()

    async def look():
        (record,) = [await stage.stored(found) for found in await replica.edits.owned()]
        (attempt,) = record.attempts
        assert (record.status, attempt.state, attempt.offer) == (Status.RUNNING, AttemptState.INTENT, offer)
        assert attempt.posted_ms == stage.clock.now_ms()
        looked.append(attempt.id)

    looked: list[str] = []
    first = stage.script.first
    stage.script.at(RUNWARE, first(look, stage.runware.acked), stage.runware.finished())
    stage.script.at(RUNFLOW, first(look, stage.runflow.created), stage.runflow.succeeded())
    stage.script.at(LOCAL, first(look, edited))
    record = await replica.ended(await replica.accept(offer))
    assert record.status is Status.SUCCEEDED
    assert looked == [record.attempts[0].id]


async def test_results_are_fetched_without_our_credential_and_the_picture_is_put_where_null_was(stage: Stage):
    replica = stage.replica()
    seen: list[str] = []

    def look(request: Request):
        (task,) = request.json()
        seen.extend((task["positivePrompt"], task["inputs"]["referenceImages"][0][:22]))
        return stage.runware.acked(request)

    stage.script.at(RUNWARE, look, stage.runware.finished())
    await replica.run(RUNWARE_PRO)
    assert seen == [PROMPT, "data:image/png;base64,"]
    assert stage.script.told(PICTURES) == ["picture"]
