"""Each scripted fault does what it says, on a real socket."""

import asyncio

import httpx
import pytest

from gateway.rehearsal.exchange import Step
from gateway.rehearsal.faults import GROUPS, STEPS, Fault, Script
from gateway.rehearsal.runware import RunwareSwitches
from gateway.rehearsal.runware_envelope import SOMEBODY_ELSE


def test_every_fault_is_described():
    assert set(GROUPS) == set(STEPS) == set(Fault)
    assert all(fault.__doc__ and fault.__doc__.endswith(".") for fault in Fault)


# --- answers that refuse: nothing is accepted ---

REFUSALS = [
    (Fault.DOWN, (503, "serviceUnavailable", False), (503, "SERVICE_UNAVAILABLE")),
    (Fault.REFUSE_KEY, (401, "invalidApiKey", False), (401, "UNAUTHORIZED")),
    (Fault.ERROR_BEFORE_ACCEPT, (500, "internalServerError", False), (500, "INTERNAL")),
    (Fault.NO_CREDIT, (400, "thirdPartyInsufficientCredits", True), (402, "INSUFFICIENT_CREDIT")),
    (Fault.RATE_LIMITED, (429, "rateLimitExceeded", False), (429, "RATE_LIMITED")),
    (Fault.CONCURRENT, (400, "concurrentRequestLimitExceeded", True), (429, "RATE_LIMITED")),
    (Fault.BUSY, (400, "noAvailableServer", True), (503, "MODEL_UNAVAILABLE")),
    (Fault.ERRORS_UNDER_200, (200, "noAvailableServer", True), (200, "MODEL_UNAVAILABLE")),
    (Fault.MODERATED_ON_SUBMIT, (400, "invalidProviderContent", True), (422, "CONTENT_POLICY_VIOLATION")),
]


@pytest.mark.parametrize(("fault", "ours", "theirs"), REFUSALS)
async def test_refusals_come_once_and_bill_nothing(runware, runflow, rehearsal, fault, ours, theirs):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, fault, times=1)
    answer = await runware.send(runware.task())
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"], "taskUUID" in error) == ours
    answer = await runflow.submit()
    assert (answer.status_code, answer.json()["code"]) == theirs
    assert "retry-after" not in answer.headers
    assert rehearsal.bill.entries == ()

    assert (await runware.send(runware.task())).status_code == 200  # the refused id may be used again
    assert (await runflow.submit()).status_code == 201
    assert len(rehearsal.bill.entries) == 2


async def test_own_models_lack_credit_under_another_code(runware, rehearsal):
    rehearsal.faults.add("runware", "no_credit")
    answer = await runware.send(runware.task(model="runware:106@1"))
    assert answer.json()["errors"][0]["code"] == "insufficientCredits"
    details = await runware.details(runware.task())
    assert details.json()["data"][0]["response"]["errors"][0]["code"] == "insufficientCredits"


async def test_retry_after(runware, runflow, rehearsal):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, "rate_limited", seconds=7)
    assert (await runware.send(runware.task())).headers["retry-after"] == "7"
    assert (await runflow.submit()).headers["retry-after"] == "7"


async def test_down_meets_polls_too_and_html_is_html(runware, runflow, rehearsal):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, "down_html")
    for answer in (
        await runware.poll(runware.task()),
        await runflow.run("any"),
        await runflow.call("GET", "/v1/health"),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")


# --- answers that never come whole ---


async def _lost(runware, runflow) -> list[type[BaseException]]:
    found = await asyncio.gather(runware.send(runware.task()), runflow.submit(), return_exceptions=True)
    return [type(each) for each in found if isinstance(each, BaseException)]


@pytest.mark.parametrize(
    ("fault", "error", "billed"),
    [
        (Fault.RESET_BEFORE_ACCEPT, httpx.ReadError, 0),
        (Fault.ACCEPT_THEN_RESET, httpx.ReadError, 2),
        (Fault.CUT, httpx.RemoteProtocolError, 2),
    ],
)
async def test_lost_answers(runware, runflow, rehearsal, fault, error, billed):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, fault, times=1)
    assert await _lost(runware, runflow) == [error, error]
    assert len(rehearsal.bill.entries) == billed
    assert (await runware.send(runware.task())).status_code == (400 if billed else 200)
    assert len(await runflow.look_up("ref-1")) == billed / 2


@pytest.mark.parametrize(("fault", "billed"), [(Fault.HANG, 0), (Fault.HANG_AFTER_ACCEPT, 2)])
async def test_hanging_until_released(runware, runflow, rehearsal, until, fault, billed):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, fault, times=1)
    waiting = asyncio.create_task(_lost(runware, runflow))
    await until(lambda: not rehearsal.faults.scripted())
    assert len(rehearsal.log.exchanges) == 0

    def let_go() -> bool:
        rehearsal.faults.release()  # again and again: the fault is drawn a moment before its caller is held
        return waiting.done()

    await until(let_go)
    assert await waiting == [httpx.RemoteProtocolError] * 2
    assert len(rehearsal.bill.entries) == billed


async def test_hanging_until_the_caller_leaves(runware, rehearsal, until):
    rehearsal.faults.add("runware", "hang", times=1)
    waiting = asyncio.create_task(runware.send(runware.task()))
    await until(lambda: not rehearsal.faults.scripted())
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await until(lambda: rehearsal.log.of("runware"))  # let go: written once the exchange is over


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (Fault.ACCEPT_THEN_5XX, 500, "application/json"),
        (Fault.SYNC_TIMEOUT, 504, "application/json"),
        (Fault.GARBAGE, 200, "text/html"),
    ],
)
async def test_accepted_under_an_answer_that_does_not_say_so(runware, runflow, rehearsal, clock, fault, status, kind):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, fault, times=1)
    for answer in (await runware.send(runware.task()), await runflow.submit()):
        assert (answer.status_code, answer.headers["content-type"]) == (status, kind)
    assert len(rehearsal.bill.entries) == 2
    clock.wind(3)
    assert (await runware.poll(runware.task())).json()["data"][0]["status"] == "success"
    assert [run["status_code"] for run in await runflow.look_up("ref-1")] == ["succeeded"]


async def test_late_acceptance(runware, runflow, rehearsal, clock):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, "accept_late", times=1, seconds=3)
    assert (await runware.send(runware.task())).status_code == 503
    assert (await runflow.submit()).status_code == 503
    clock.wind(2.9)
    assert (await runware.poll(runware.task())).json()["data"][0]["taskType"] == "getResponse"
    assert (await runware.details(runware.task())).status_code == 404
    assert (await runflow.look_up("ref-1"), rehearsal.bill.entries) == ([], ())
    clock.wind(0.1)
    assert (await runware.send(runware.task())).status_code == 400
    assert len(await runflow.look_up("ref-1")) == 1
    assert [entry.at for entry in rehearsal.bill.entries] == [clock.now, clock.now]


async def test_the_late_one_finds_the_second_post_of_its_id_and_is_refused(runware, rehearsal, clock):
    rehearsal.faults.add("runware", "accept_late_reset", times=1)
    with pytest.raises(httpx.ReadError):
        await runware.send(runware.task())
    clock.wind(2)
    assert (await runware.send(runware.task())).status_code == 200
    clock.wind(10)
    assert len(rehearsal.bill.entries) == 1


async def test_the_late_one_within_the_lag_of_the_check_is_billed_too(runware, rehearsal, clock):
    rehearsal.runware.switches = RunwareSwitches(duplicate_lag_s=0.5)
    rehearsal.faults.add("runware", "accept_late", times=1, seconds=0.7)
    await runware.send(runware.task())
    clock.wind(0.4)
    assert (await runware.send(runware.task())).status_code == 200
    clock.wind(10)
    assert rehearsal.bill.paid_twice() == (runware.task()["taskUUID"],)


# --- polls ---


async def test_poll_trouble_is_for_polls_alone(runware, runflow, rehearsal, clock):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, "poll_trouble", times=1)
        rehearsal.faults.add(provider, "poll_reset", times=1)
    await runware.send(runware.task())
    run_id = (await runflow.submit()).json()["id"]
    clock.wind(3)
    for poll in (lambda: runware.poll(runware.task()), lambda: runflow.run(run_id)):
        assert (await poll()).status_code == 500
        with pytest.raises(httpx.ReadError):
            await poll()
        assert (await poll()).status_code == 200


async def test_answers_about_somebody_else(runware, runflow, rehearsal, clock):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, "other_task", times=1)
    await runware.send(runware.task())
    run_id = (await runflow.submit()).json()["id"]
    clock.wind(3)
    rows = (await runware.poll(runware.task())).json()["data"]
    assert [row["taskUUID"] for row in rows] == [SOMEBODY_ELSE, runware.task()["taskUUID"]]
    assert (await runflow.run(run_id)).json()["id"] != run_id


async def test_a_fault_can_be_moved_to_another_step(runware, rehearsal):
    rehearsal.faults.add("runware", "garbage", times=1, step="poll")
    assert (await runware.send(runware.task())).status_code == 200
    assert (await runware.poll(runware.task())).headers["content-type"] == "text/html"


# --- the task and its picture ---


async def test_slow(runware, rehearsal, clock):
    rehearsal.faults.add("runware", "slow", times=1)
    await runware.send(runware.task())
    clock.wind(19.9)
    assert (await runware.poll(runware.task())).json()["data"][0]["status"] == "processing"
    clock.wind(0.1)
    assert (await runware.poll(runware.task())).json()["data"][0]["status"] == "success"


@pytest.mark.parametrize(
    ("fault", "code", "status_code"),
    [
        (Fault.TASK_FAILED, "timeoutProvider", "failed"),
        (Fault.MODERATED_ON_POLL, "invalidProviderContent", "failed"),
        (Fault.CANCELLED, "taskCancelled", "canceled"),
    ],
)
async def test_tasks_that_end_without_a_picture(runware, runflow, rehearsal, clock, fault, code, status_code):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, fault)
    assert (await runware.send(runware.task())).status_code == 200
    run_id = (await runflow.submit()).json()["id"]
    assert (await runware.poll(runware.task())).json()["data"][0]["status"] == "processing"
    clock.wind(3)
    answer = await runware.poll(runware.task())
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["status"]) == (400, code, "error")
    assert error["taskUUID"] == runware.task()["taskUUID"]
    run = (await runflow.run(run_id)).json()
    assert (run["status_code"], run["output"], run["cost"]) == (status_code, None, None)
    assert rehearsal.bill.entries == ()


async def test_moderation_is_told_from_failure_at_runflow(runflow, rehearsal, clock):
    rehearsal.faults.put("runflow", [Script(Fault.MODERATED_ON_POLL, 1), Script(Fault.TASK_FAILED, 1)])
    ids = [(await runflow.submit()).json()["id"] for _ in range(2)]
    clock.wind(3)
    codes = [(await runflow.run(run_id)).json()["failure_code"] for run_id in ids]
    assert codes == ["CONTENT_POLICY_VIOLATION", "UPSTREAM_ERROR"]


async def test_partial(runware, runflow, rehearsal, clock):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, "partial")
    await runware.send(runware.task(numberResults=3))
    run_id = (await runflow.submit(num_images=3)).json()["id"]
    clock.wind(3)
    answer = await runware.poll(runware.task())
    assert (answer.status_code, len(answer.json()["data"]), len(answer.json()["errors"])) == (200, 2, 1)
    run = (await runflow.run(run_id)).json()
    assert (run["status_code"], len(run["output"]["outputs"])) == ("partial_succeeded", 2)
    assert run["cost"] == "0.080000"
    assert rehearsal.bill.total_micro_usd() == 160_000


async def test_odd_status(runware, runflow, rehearsal, clock):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, "odd_status")
    await runware.send(runware.task())
    run_id = (await runflow.submit()).json()["id"]
    assert (await runware.poll(runware.task())).json()["data"][0]["status"] == "warmingUp"
    assert (await runflow.run(run_id)).json()["status_code"] == "warming_up"
    clock.wind(3)
    assert (await runflow.run(run_id)).json()["status_code"] == "succeeded"


async def test_invisible(runware, runflow, rehearsal, clock):
    for provider in ("runware", "runflow"):
        rehearsal.faults.add(provider, "invisible", times=1, seconds=4)
    await runware.send(runware.task())
    run_id = (await runflow.submit()).json()["id"]
    clock.wind(3.9)
    assert (await runware.poll(runware.task())).json()["data"][0]["taskType"] == "getResponse"
    assert (await runware.details(runware.task())).status_code == 404
    assert (await runflow.run(run_id)).status_code == 404
    assert await runflow.look_up("ref-1") == []
    assert len(rehearsal.bill.entries) == 2
    assert (await runware.send(runware.task())).status_code == 400  # the duplicate check sees it
    clock.wind(0.1)
    assert (await runware.poll(runware.task())).json()["data"][0]["status"] == "success"
    assert len(await runflow.look_up("ref-1")) == 1


async def _links(runware, runflow, run_id) -> list[str]:
    item = (await runware.poll(runware.task())).json()["data"][0]
    return [item["imageURL"], (await runflow.run(run_id)).json()["output"]["outputs"][0]["url"]]


async def test_broken_pictures(runware, runflow, rehearsal, clock, http):
    expected = {Fault.BAD_PICTURE: (200, False), Fault.MISSING_PICTURE: (404, False), Fault.EXPIRED_LINK: (403, False)}
    for fault, first in expected.items():
        rehearsal.reset()
        for provider in ("runware", "runflow"):
            rehearsal.faults.add(provider, fault)
        await runware.send(runware.task())
        run_id = (await runflow.submit()).json()["id"]
        clock.wind(3)
        for link in await _links(runware, runflow, run_id):
            answer = await http.get(link)
            assert (answer.status_code, answer.content.startswith(b"\xff\xd8")) == first
        renewed = (200, True) if fault is Fault.EXPIRED_LINK else first
        for link in await _links(runware, runflow, run_id):
            answer = await http.get(link)
            assert (answer.status_code, answer.content.startswith(b"\xff\xd8")) == renewed


async def test_faults_of_the_download(runware, rehearsal, clock, http):
    await runware.send(runware.task())
    clock.wind(2)
    link = (await runware.poll(runware.task())).json()["data"][0]["imageURL"]
    rehearsal.faults.add("runware", "cut", times=1, step=Step.FETCH)
    rehearsal.faults.add("runware", "down", times=1, step=Step.FETCH)
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(link)
    assert (await http.get(link)).status_code == 503
    assert (await http.get(link)).status_code == 200


# --- scripts ---


async def test_faults_of_one_group_follow_each_other_and_of_two_combine(runware, rehearsal, clock):
    rehearsal.faults.add("runware", "busy", times=2)
    rehearsal.faults.add("runware", "accept_then_5xx", times=1)
    rehearsal.faults.add("runware", "task_failed", times=1)
    statuses = [(await runware.send(runware.task())).status_code for _ in range(4)]
    assert statuses == [400, 400, 500, 400]  # the last a conflict
    clock.wind(2)
    assert (await runware.poll(runware.task())).json()["errors"][0]["code"] == "timeoutProvider"
    assert rehearsal.faults.scripted() == []


@pytest.mark.parametrize("model", ["bfl:4@1", "kontext-max"])
async def test_a_fault_of_one_model(runware, rehearsal, model):
    rehearsal.faults.add("runware", "busy", model=model)
    assert (await runware.send(runware.task(1))).status_code == 200
    assert (await runware.send(runware.task(2, model="bfl:4@1"))).status_code == 400
