"""The Runware stand-in says what Runware's documents say."""

import asyncio
import io
from typing import Any

import pytest
from PIL import Image

from gateway.rehearsal.runware import RunwareSwitches

OTHER = {"taskType": "getResponse", "taskUUID": "ffffffff-ffff-4fff-8fff-ffffffffffff"}


def _error(answer) -> dict[str, Any]:
    return answer.json()["errors"][0]


async def test_async_task_from_acknowledgement_to_picture(runware, clock, http):
    task = runware.task(seed=41)
    named = {"taskType": "imageInference", "taskUUID": task["taskUUID"]}

    assert (await runware.send(task)).json() == {"data": [named]}
    assert (await runware.poll(task)).json() == {"data": [named | {"status": "processing"}]}
    clock.wind(2.0)
    [item] = (await runware.poll(task)).json()["data"]
    assert item | {"imageUUID": "", "imageURL": ""} == named | {
        "status": "success", "seed": 41, "cost": 0.04, "imageUUID": "", "imageURL": "",
    }  # fmt: skip
    assert (await runware.poll(task)).json()["data"] == [item]  # cumulative and stable

    fetched = await http.get(item["imageURL"])
    assert fetched.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(fetched.content)).size == (1024, 1024)


async def test_polls_of_several_tasks_share_one_array(runware, clock):
    first, second = runware.task(1), runware.task(2)
    await runware.send(first)
    clock.wind(1.5)
    await runware.send(second)
    clock.wind(0.5)

    rows = (await runware.poll(first, second)).json()["data"]
    assert [(row["taskUUID"], row["status"]) for row in rows] == [
        (first["taskUUID"], "success"),
        (second["taskUUID"], "processing"),
    ]


async def test_several_results_come_one_by_one_each_with_its_own_price(runware, rehearsal, clock):
    task = runware.task(numberResults=2, model="bfl:4@1")
    await runware.send(task)
    clock.wind(2.0)  # of 2.5
    early = (await runware.poll(task)).json()["data"]
    assert [row["status"] for row in early] == ["success", "processing"]
    clock.wind(0.5)
    late = (await runware.poll(task)).json()["data"]
    assert late[0] == early[0]
    assert [row["cost"] for row in late] == [0.08, 0.08]
    assert len({row["imageUUID"] for row in late}) == len({row["seed"] for row in late}) == 2
    assert rehearsal.bill.total_micro_usd("runware") == 160_000


async def test_sync_waits_for_the_picture(runware, rehearsal, clock, until):
    waiting = asyncio.create_task(runware.send(runware.task(deliveryMethod=None, outputType="base64Data")))
    await until(lambda: rehearsal.bill.entries)
    assert not waiting.done()
    clock.wind(2.0)
    [item] = (await waiting).json()["data"]
    assert item["imageBase64Data"]
    assert "imageURL" not in item


async def test_sync_gives_up_after_two_minutes_and_the_task_goes_on(runware, rehearsal, clock, until):
    task = runware.task(deliveryMethod="sync")
    rehearsal.faults.add("runware", "slow", seconds=150)
    waiting = asyncio.create_task(runware.send(task))
    await until(lambda: rehearsal.bill.entries)
    clock.wind(120)
    answer = await waiting
    assert (answer.status_code, _error(answer)["code"]) == (504, "failedTaskTimeout")
    clock.wind(30)
    assert (await runware.poll(task)).json()["data"][0]["status"] == "success"
    assert len(rehearsal.bill.entries) == 1


@pytest.mark.parametrize(
    ("model", "fields", "cost"),
    [
        ("bfl:3@1", {}, 40_000),
        ("bfl:4@1", {}, 80_000),
        ("runware:106@1", {"width": 1248, "height": 832}, 14_300),
        ("runware:106@1", {"width": 1248, "height": 832, "steps": 28}, 14_300),
        ("runware:106@1", {"width": 1248, "height": 832, "steps": 40}, 15_000),
        ("runware:106@1", {"width": None, "height": None}, 15_000),
    ],
)
async def test_prices(runware, rehearsal, model, fields, cost):
    await runware.send(runware.task(model=model, **fields))
    [entry] = rehearsal.bill.entries
    assert entry.cost_micro_usd == cost


@pytest.mark.parametrize(
    ("fields", "code", "parameter"),
    [
        ({"guidance": 3}, "unsupportedParameter", "guidance"),
        ({"steps": 20}, "unsupportedParameter", "steps"),  # of dev alone
        ({"negativePrompt": "fog"}, "unsupportedParameter", "negativePrompt"),
        ({"width": 1000}, "unsupportedDimensions", "width"),
        ({"width": None}, "missingWidth", "width"),
        ({"positivePrompt": "a"}, "invalidPositivePromptLength", "positivePrompt"),
        ({"positivePrompt": "a" * 3001}, "invalidPositivePromptLength", "positivePrompt"),
        ({"positivePrompt": None}, "missingPositivePrompt", "positivePrompt"),
        ({"taskUUID": "00000000-0000-1000-8000-000000000001"}, "invalidTaskUUID", "taskUUID"),
        ({"taskUUID": None}, "missingTaskUUID", "taskUUID"),
        ({"model": "bfl:9@1"}, "modelNotFound", "model"),
        ({"numberResults": 21}, "invalidNumberResults", "numberResults"),
        ({"numberResults": True}, "invalidNumberResults", "numberResults"),
        ({"outputFormat": "JPEG"}, "invalidOutputFormat", "outputFormat"),
        ({"outputQuality": 100}, "invalidOutputQuality", "outputQuality"),
        ({"seed": 2**63}, "invalidSeed", "seed"),
        ({"ttl": 59}, "invalidTtl", "ttl"),
        ({"ttl": 60, "outputType": "base64Data"}, "invalidTtl", "ttl"),
        ({"inputs": {"referenceImages": []}}, "invalidReferenceImages", "inputs"),
        ({"inputs": {"referenceImages": ["https://a.example/1.png"] * 3}}, "invalidReferenceImages", "inputs"),
        ({"inputs": {"references": ["https://a.example/1.png"]}}, "invalidReferenceImages", "inputs"),
        ({"referenceImages": ["data:image/png;base64,bm90IGEgcGljdHVyZQ=="]}, "invalidImage", "referenceImages"),
        ({"referenceImages": ["00000000-0000-4000-8000-00000000dead"]}, "invalidImage", "referenceImages"),
        ({"providerSettings": {"bfl": {"raw": True}}}, "invalidProviderSettings", "providerSettings"),
        ({"providerSettings": {"bfl": {"safetyTolerance": "2"}}}, "invalidProviderSettings", "providerSettings"),
    ],
)  # fmt: skip
async def test_wrong_tasks_are_refused_by_name_and_cost_nothing(runware, rehearsal, fields, code, parameter):
    answer = await runware.send(runware.task(**fields))
    assert answer.status_code == 400
    assert (_error(answer)["code"], _error(answer)["parameter"]) == (code, parameter)
    assert rehearsal.bill.entries == ()


async def test_size_refusal_lists_the_nine(runware):
    answer = await runware.send(runware.task(height=1000))
    allowed = _error(answer)["allowedValues"]
    assert len(allowed) == 9
    assert {"1568x672", "1024x1024", "672x1568"} <= set(allowed)


async def test_dev_takes_its_own_parameters(runware):
    task = runware.task(
        model="runware:106@1", width=None, height=None, steps=30, CFGScale=3.5, scheduler="default",
        negativePrompt="fog", lora=[{"model": "civitai:1@1", "weight": 0.5}],
        acceleratorOptions={"teaCache": True, "teaCacheDistance": 0.4}, trueCFGScale=1.5,
    )  # fmt: skip
    assert (await runware.send(task)).status_code == 200
    wrong = await runware.send(runware.task(2, model="runware:106@1", scheduler="Runge-Kutta"))
    assert _error(wrong)["parameter"] == "scheduler"


async def test_every_form_of_reference_is_taken_and_shows_in_the_picture(runware, clock, http, pixel, photo_uri):
    upload = {"taskType": "imageUpload", "taskUUID": "00000000-0000-4000-8000-00000000aaaa", "image": photo_uri}
    uploaded = (await runware.send(upload)).json()["data"][0]["imageUUID"]
    references = [photo_uri, photo_uri.partition(",")[2], uploaded]
    shapes: list[dict[str, object]] = [{"inputs": {"referenceImages": [reference]}} for reference in references]
    shapes.append({"referenceImages": [photo_uri]})
    for number, shape in enumerate(shapes, 1):
        await runware.send(runware.task(number, width=1248, height=832, outputFormat="PNG", **shape))
    clock.wind(2.0)
    for number in range(1, len(shapes) + 1):
        [item] = (await runware.poll(runware.task(number))).json()["data"]
        picture = Image.open(io.BytesIO((await http.get(item["imageURL"])).content))
        assert (picture.format, picture.size) == ("PNG", (1248, 832))
        red, blue = pixel(picture, 200, 400), pixel(picture, 1000, 400)
        assert red[0] > red[2] + 50
        assert blue[2] > blue[0] + 50


async def test_without_a_size_dev_keeps_the_nearest_shape(runware, clock, http, photo_uri):
    task = runware.task(model="runware:106@1", width=None, height=None, inputs={"referenceImages": [photo_uri]})
    await runware.send(task)
    clock.wind(3.0)
    [item] = (await runware.poll(task)).json()["data"]
    assert Image.open(io.BytesIO((await http.get(item["imageURL"])).content)).size == (1248, 832)


async def test_keys(runware):
    wrong = await runware.send(runware.task(), key="nobody")
    assert (wrong.status_code, wrong.json()["errors"]) == (
        401,
        [{"code": "invalidApiKey", "message": "The API key is not valid."}],
    )
    login = {"taskType": "authentication", "apiKey": runware.rehearsal.key}
    assert (await runware.send(login, runware.task(), key="nobody")).status_code == 200


@pytest.mark.parametrize("body", [b"{}", b"[]", b"[1]", b"not json", b"[" * 100_000])
async def test_bodies_that_are_no_array_of_tasks(rehearsal, http, body):
    headers = {"authorization": f"Bearer {rehearsal.key}"}
    assert (await http.post(rehearsal.runware_url, content=body, headers=headers)).status_code == 400


async def test_a_wrong_task_leaves_its_neighbours_alone(runware, rehearsal):
    answer = await runware.send(runware.task(1), runware.task(2, width=7))
    assert answer.status_code == 200
    assert [row["taskUUID"] for row in answer.json()["data"]] == [runware.task(1)["taskUUID"]]
    assert [error["taskUUID"] for error in answer.json()["errors"]] == [runware.task(2)["taskUUID"]]
    assert len(rehearsal.bill.entries) == 1


# --- duplicates and look-ups ---


async def test_a_second_use_of_an_id_is_a_conflict_and_is_not_billed(runware, rehearsal, clock):
    task = runware.task()
    await runware.send(task)
    for _ in range(2):  # while it runs, and after
        answer = await runware.send(task)
        assert (answer.status_code, _error(answer)["code"]) == (400, "conflictTaskUUID")
        assert _error(answer)["taskUUID"] == task["taskUUID"]
        clock.wind(5)
    assert len(rehearsal.bill.entries) == 1
    assert rehearsal.bill.paid_twice() == ()


async def test_a_lagging_duplicate_check_bills_twice(runware, rehearsal, clock):
    rehearsal.runware.switches = RunwareSwitches(duplicate_lag_s=0.5)
    await runware.send(runware.task())
    clock.wind(0.4)
    assert (await runware.send(runware.task())).status_code == 200
    assert rehearsal.bill.paid_twice() == (runware.task()["taskUUID"],)
    clock.wind(0.5)
    assert (await runware.send(runware.task())).status_code == 400
    assert len(rehearsal.bill.entries) == 2


@pytest.mark.parametrize(
    ("unknown_id", "status", "body"),
    [
        ("processing", 200, {"data": [OTHER | {"status": "processing"}]}),
        ("empty", 200, {"data": []}),
    ],
)
async def test_polls_of_unknown_ids(runware, rehearsal, unknown_id, status, body):
    rehearsal.runware.switches = RunwareSwitches(unknown_id=unknown_id)
    answer = await runware.poll(OTHER)
    assert (answer.status_code, answer.json()) == (status, body)


async def test_polls_of_unknown_ids_can_be_not_found(runware, rehearsal):
    rehearsal.runware.switches = RunwareSwitches(unknown_id="not_found")
    answer = await runware.poll(OTHER)
    assert (answer.status_code, _error(answer)["code"]) == (404, "taskNotFound")


async def test_details_show_request_and_last_response(runware, clock):
    task = runware.task()
    unknown = await runware.details(task)
    assert (unknown.status_code, _error(unknown)["code"]) == (404, "taskNotFound")

    await runware.send(task)
    [running] = (await runware.details(task)).json()["data"]
    assert running["request"] == [task]
    assert "imageURL" not in running["response"]["data"][0]

    await runware.send(task)
    [refused] = (await runware.details(task)).json()["data"]
    assert refused["response"]["errors"][0]["code"] == "conflictTaskUUID"

    clock.wind(2.0)
    [done] = (await runware.details(task)).json()["data"]
    assert done["response"]["data"][0]["imageURL"]


async def test_the_acknowledgement_can_hold_the_picture(runware, rehearsal, http):
    rehearsal.runware.switches = RunwareSwitches(picture_in_ack=True)
    [item] = (await runware.send(runware.task())).json()["data"]
    assert (await http.get(item["imageURL"])).status_code == 200
    [inline] = (await runware.send(runware.task(2, outputType="dataURI"))).json()["data"]
    assert inline["imageDataURI"].startswith("data:image/jpeg;base64,")


async def test_a_result_link_takes_no_credential(runware, clock, http):
    await runware.send(runware.task())
    clock.wind(2)
    [item] = (await runware.poll(runware.task())).json()["data"]
    assert (await http.get(item["imageURL"], headers={"authorization": "Bearer k"})).status_code == 400
