"""Runware's envelope: an array of tasks in, `data` and `errors` out."""

import msgspec
from msgspec import Struct

from gateway.rehearsal.exchange import About, JsonObject, Request, Step, decode_json, json_array, json_object, text_of
from gateway.rehearsal.faults import Fault, Script
from gateway.rehearsal.runware_errors import Refusal

STEPS = {"imageInference": Step.SUBMIT, "getResponse": Step.POLL, "getTaskDetails": Step.LOOK_UP}
SOMEBODY_ELSE = "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"


class Answer(Struct, frozen=True):
    """One task's part of a reply."""

    data: tuple[JsonObject, ...] = ()
    errors: tuple[JsonObject, ...] = ()
    status: int = 200
    outcome: str = ""


def refused(refusal: Refusal, task: JsonObject) -> Answer:
    return Answer(errors=(refusal.wire(task),), status=refusal.status, outcome=refusal.code)


def tasks_of(request: Request) -> tuple[list[JsonObject] | None, str | None]:
    """The tasks, without the one that authenticates, and the key that was sent either way."""
    try:
        rows = json_array(decode_json(request.body))
    except msgspec.DecodeError:
        return None, request.bearer
    tasks = [json_object(row) for row in rows or []]
    whole = [task for task in tasks if task is not None]
    if not whole or len(whole) != len(tasks):
        return None, request.bearer
    if whole[0].get("taskType") == "authentication":
        return whole[1:], text_of(whole[0].get("apiKey")) or request.bearer
    return whole, request.bearer


def about_of(tasks: list[JsonObject]) -> About:
    types = {text_of(task.get("taskType")) for task in tasks}
    endpoint = next((kind for kind in (*STEPS, "imageUpload") if kind in types), "")
    step = STEPS.get(endpoint, Step.UPLOAD if endpoint else None)
    return About(step, endpoint, tuple(text_of(task.get("taskUUID")) for task in tasks))


def content(answers: list[Answer], script: Script | None) -> tuple[int, JsonObject]:
    """`errors` is left out on success: the official client takes an empty list for a failure."""
    data = [item for answer in answers for item in answer.data]
    errors = [error for answer in answers for error in answer.errors]
    if script and script.fault is Fault.OTHER_TASK:
        data.insert(0, _somebody_elses())
    if not errors:
        return 200, {"data": data}
    status = 200 if data else max(answer.status for answer in answers)
    return status, {"data": data, "errors": errors}


def _somebody_elses() -> JsonObject:
    address = "https://im.runware.ai/image/os/a00d00/ws/2/ii/0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f.jpg"
    return {
        "taskType": "imageInference",
        "taskUUID": SOMEBODY_ELSE,
        "status": "success",
        "imageUUID": SOMEBODY_ELSE,
        "imageURL": address,
        "seed": 1,
        "cost": 0.08,
    }
