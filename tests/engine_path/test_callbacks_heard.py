"""What a callback does to an attempt: nothing that its provider's next answer would not have done, only sooner."""

import msgspec

from adapters.contract import HttpReply
from gateway.engine.callbacks import Callback
from gateway.state.records import AttemptState, Status
from tests.engine_path.runware_lines import TASK
from tests.engine_path.script import RUNWARE, Request, as_json
from tests.engine_path.stage import RUNWARE_PRO, Replica, Stage

CALLS = "callbacks = true"
ADDRESS = '\n[server]\npublic_url = "https://gw.test/"'


def called_back(stage: Stage, name: str = "a") -> Replica:
    return stage.replica(name, runware=CALLS, team=ADDRESS)


def noted(stage: Stage, bodies: list[object]):
    def acked(request: Request) -> HttpReply:
        bodies.append(request.json())
        return stage.runware.acked(request)

    return acked


async def test_the_address_is_sent_and_a_repeat_says_the_same_under_another_configuration(stage: Stage):
    first = called_back(stage)
    bodies: list[object] = []
    stage.script.at(RUNWARE, stage.script.halt(noted(stage, bodies)))
    record = await first.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    await first.die(record)
    (attempt,) = (await stage.stored(record.id)).attempts
    assert attempt.callback_url is not None
    assert attempt.callback_url.startswith(f"https://gw.test/callbacks/runware/{record.id}.1.")
    second = stage.replica("b")

    def again(request: Request) -> HttpReply:
        bodies.append(request.json())
        return stage.runware.conflict(request)

    stage.script.at(RUNWARE, stage.runware.silent, stage.runware.not_archived, again, stage.runware.finished())
    assert (await second.take_over(record)).status is Status.SUCCEEDED
    assert bodies[0] == bodies[1]
    assert attempt.callback_url in str(bodies[0])


async def test_without_a_public_address_nobody_is_asked_to_call(stage: Stage):
    replica = stage.replica()
    bodies: list[object] = []
    stage.script.at(RUNWARE, noted(stage, bodies), stage.runware.finished())
    record = await replica.run(RUNWARE_PRO)
    assert "webhookURL" not in str(bodies)
    assert record.attempts[0].callback_url is None


async def test_a_signed_callback_is_read_as_its_provider_s_answer(stage: Stage):
    replica = called_back(stage)
    stage.script.at(RUNWARE, stage.runware.acked)
    stage.clock.hold()
    record = await replica.accept(RUNWARE_PRO)
    await stage.clock.somebody_sleeps()
    replica.callbacks.hear(Callback(record.id, 1, ended(stage)))
    stage.clock.release()
    done = await replica.ended(record)
    assert (done.status, stage.script.told(RUNWARE)) == (Status.SUCCEEDED, [TASK])
    assert (done.attempts[0].state, done.attempts[0].cost_micro) == (AttemptState.SETTLED, 40_000)


async def test_a_signed_callback_about_another_task_makes_us_ask(stage: Stage):
    replica = called_back(stage)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.working, stage.runware.finished())
    stage.clock.hold()
    record = await replica.accept(RUNWARE_PRO)
    await stage.clock.somebody_sleeps()
    item = {"taskType": TASK, "taskUUID": "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f", "imageURL": "https://im.runware.ai/x"}
    replica.callbacks.hear(Callback(record.id, 1, as_json(200, {"data": [item]})))
    stage.clock.release()
    assert (await replica.ended(record)).status is Status.SUCCEEDED
    assert stage.script.told(RUNWARE) == [TASK, "getResponse", "getResponse"]


async def test_one_that_comes_before_the_answer_to_the_submit_is_remembered_for_the_first_poll(stage: Stage):
    replica = called_back(stage)
    stage.script.at(RUNWARE, stage.script.halt(stage.runware.acked), stage.runware.finished())
    record = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    replica.callbacks.hear(Callback(record.id, 1))
    stage.clock.hold()
    stage.script.go_on.set()
    done = await replica.ended(record)
    stage.clock.release()
    assert (done.status, stage.script.told(RUNWARE)) == (Status.SUCCEEDED, [TASK, "getResponse"])


async def test_one_for_an_attempt_that_is_over_or_elsewhere_is_nothing(stage: Stage):
    replica = called_back(stage)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await replica.run(RUNWARE_PRO)
    for callback in (Callback(record.id, 1), Callback(record.id, 2), Callback("edit_x", 1, HttpReply(200, {}, b""))):
        replica.callbacks.hear(callback)
    assert await stage.stored(record.id) == record


def ended(stage: Stage) -> HttpReply:
    """What a poll would be answered, for the task that the script took last."""
    (identity,) = stage.script.taken
    item = {"taskType": TASK, "taskUUID": identity, "status": "success", "imageUUID": "i", "cost": 0.04}
    return HttpReply(200, {}, msgspec.json.encode({"data": [{**item, "imageURL": "https://im.runware.ai/x.png"}]}))
