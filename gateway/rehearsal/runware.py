"""Runware's one endpoint: an array of tasks in, `data` and `errors` out.

The documents leave some behaviour open; each open point is a switch (`RunwareSwitches`), set to what has been seen.
"""

import base64
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.rehearsal.backstage import Backstage, Task, delay_of, new_id
from gateway.rehearsal.callbacks import Post
from gateway.rehearsal.checks import UUID_V4, uuid_v4
from gateway.rehearsal.clock import wait_until
from gateway.rehearsal.exchange import (
    About,
    JsonObject,
    Manner,
    Provider,
    Reply,
    Request,
    Step,
    json_array,
    json_object,
    json_reply,
    text_of,
)
from gateway.rehearsal.faults import INSTEAD, LOST, Fault, Group, Script
from gateway.rehearsal.files import File
from gateway.rehearsal.pictures import NotAPictureError, Source
from gateway.rehearsal.references import inline_source
from gateway.rehearsal.runware_envelope import Answer, about_of, content, refused, tasks_of
from gateway.rehearsal.runware_errors import (
    AFTER_ACCEPTANCE,
    BAD_IMAGE,
    CONFLICT,
    INVALID_KEY,
    MISSING_KEY,
    NOT_AN_ARRAY,
    NOT_FOUND,
    SYNC_TIMEOUT,
    UNKNOWN_IMAGE,
    Refusal,
    bad_id,
    by_fault,
    ending_error,
    refusal_of,
)
from gateway.rehearsal.runware_models import MODELS, Model
from gateway.rehearsal.runware_orders import order_of, seed_of

SYNC_WAIT_S = 120.0
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


class RunwareSwitches(Struct, frozen=True):
    """What the documents leave open.

    `unknown_id`: how a poll answers for an id that it does not know. `duplicate_lag_s`: for so long after its
    acceptance a task is not yet seen by the duplicate check. `picture_in_ack`: the answer to a submit already holds
    the picture, asynchronous or not. `webhook`: the body of a call back is the item itself, or `data` or `errors` with
    it in a list; both have been seen.
    """

    unknown_id: Literal["processing", "empty", "not_found"] = "processing"
    duplicate_lag_s: float = 0.0
    picture_in_ack: bool = False
    webhook: Literal["bare", "enveloped"] = "bare"


class Accepted(Struct, frozen=True):
    request: JsonObject
    model: Model
    task: Task


class Archived(Struct, frozen=True):
    """The last refusal of an id: `getTaskDetails` shows the last response, whatever it was."""

    request: JsonObject
    errors: tuple[JsonObject, ...]
    at: float


class Runware:
    def __init__(self, backstage: Backstage, switches: RunwareSwitches) -> None:
        self.switches = switches
        self._stage = backstage
        self._accepted: dict[str, Accepted] = {}
        self._refused: dict[str, Archived] = {}
        self._uploads: dict[str, Source] = {}
        self._stale_shown: set[str] = set()

    def clear(self) -> None:
        for kept in (self._accepted, self._refused, self._uploads, self._stale_shown):
            kept.clear()

    async def answer(self, request: Request) -> Reply:
        if request.method != "POST":
            return json_reply(405, {"errors": [{"code": "methodNotAllowed", "message": "Send a POST."}]})
        tasks, sent_key = tasks_of(request)
        about = about_of(tasks or [])
        if tasks is None:
            return json_reply(400, {"errors": [NOT_AN_ARRAY.wire()]}, about)
        script = self._drawn(about.step, tasks)
        if script:
            about = msgspec.structs.replace(about, fault=script.fault.value)
        reply = self._refused_at_the_door(tasks, sent_key, script, about)
        return reply or await self._served(request, tasks, script, about)

    # --- before any task is looked at ---

    def _drawn(self, step: Step | None, tasks: list[JsonObject]) -> Script | None:
        names = [name for task in tasks for name in self._models_of(task)]
        return self._stage.faults.draw(Provider.RUNWARE, Group.ANSWER, step, names) if step else None

    def _models_of(self, task: JsonObject) -> tuple[str, ...]:
        accepted = self._accepted.get(text_of(task.get("taskUUID")))
        air = text_of(task.get("model")) or (accepted.model.air if accepted else "")
        return (air, MODELS[air].name) if air in MODELS else ()

    def _refused_at_the_door(
        self, tasks: list[JsonObject], sent_key: str | None, script: Script | None, about: About
    ) -> Reply | None:
        if script and script.fault in INSTEAD:
            return msgspec.structs.replace(INSTEAD[script.fault], about=about)
        refusal = by_fault(script.fault, self._models_of(tasks[0])) if script and tasks else None
        if refusal is None and sent_key != self._stage.key:
            refusal = INVALID_KEY if sent_key else MISSING_KEY
        if refusal is None:
            return None
        errors = [refusal.wire(task) for task in tasks] if refusal.scoped else [refusal.wire()]
        if refusal.scoped:
            for task, error in zip(tasks, errors, strict=True):
                self._archive(task, error)
        about = msgspec.structs.replace(about, outcome=refusal.code)
        return json_reply(refusal.status, {"data": [], "errors": errors}, about, script.seconds if script else None)

    def _archive(self, task: JsonObject, error: JsonObject) -> None:
        if not uuid_v4(task.get("taskUUID")):
            self._refused[text_of(task["taskUUID"])] = Archived(task, (error,), self._stage.clock())

    # --- the tasks ---

    async def _served(self, request: Request, tasks: list[JsonObject], script: Script | None, about: About) -> Reply:
        answers = [await self._one(request, task, script) for task in tasks]
        about = msgspec.structs.replace(about, outcome=",".join(answer.outcome for answer in answers))
        if script and script.fault in AFTER_ACCEPTANCE:
            refusal = AFTER_ACCEPTANCE[script.fault]
            return json_reply(refusal.status, {"data": [], "errors": [refusal.wire(tasks[0])]}, about)
        if script and script.fault in LOST:
            return msgspec.structs.replace(LOST[script.fault], about=about)
        reply = json_reply(*content(answers, script), about)
        return msgspec.structs.replace(reply, manner=Manner.CUT) if script and script.fault is Fault.CUT else reply

    async def _one(self, request: Request, task: JsonObject, script: Script | None) -> Answer:
        match task.get("taskType"):
            case "imageInference":
                return await self._submit(request, task, script)
            case "getResponse":
                return await self._poll(request, task)
            case "getTaskDetails":
                return await self._details(request, task)
            case "imageUpload":
                return await self._upload(request, task)
            case other:
                return refused(Refusal(400, "unsupportedTaskType", f"No task type {other!r}.", True, "taskType"), task)

    async def _submit(self, request: Request, task: JsonObject, script: Script | None) -> Answer:
        refusal, source = refusal_of(task), None
        if refusal is None:
            refusal, source = await self._references(request, task)
        if refusal is None and self._is_duplicate(text_of(task["taskUUID"])):
            refusal = CONFLICT
        if refusal:
            answer = refused(refusal, task)
            self._archive(task, answer.errors[0])
            return answer
        accepted = self._accept(task, source, script)
        if url := text_of(task.get("webhookURL")):
            self._stage.callbacks.promise(
                Provider.RUNWARE, url, accepted.task.ready_at, lambda: self._posts(request, accepted)
            )
        if script and (script.fault in LOST or script.fault in AFTER_ACCEPTANCE):
            return Answer(outcome="accepted")
        return await self._acknowledge(request, accepted)

    async def _posts(self, request: Request, accepted: Accepted) -> list[Post]:
        """One for each item that has ended, without any signature."""
        answer = await self._result(request, accepted, polled=True)
        rows = [("data", item) for item in answer.data] + [("errors", error) for error in answer.errors]
        bare = self.switches.webhook == "bare"
        return [Post(msgspec.json.encode(row if bare else {name: [row]})) for name, row in rows]

    def _is_duplicate(self, task_id: str) -> bool:
        earlier = self._accepted.get(task_id)
        if earlier is None:
            return False
        return self._stage.clock() >= earlier.task.accepted_at + self.switches.duplicate_lag_s

    def _accept(self, task: JsonObject, source: Source | None, script: Script | None) -> Accepted:
        task_id, now = text_of(task["taskUUID"]), self._stage.clock()
        earlier = self._accepted.get(task_id)
        if earlier and earlier.task.accepted_at > now + self.switches.duplicate_lag_s:
            # The one still on its way will arrive to find this one, and be refused.
            self._stage.bill.withdraw(Provider.RUNWARE, task_id)
        order = order_of(task, source)
        delay_s = delay_of(script) if script else 0.0
        accepted_task = self._stage.accept(order, delay_s=delay_s, at_once=self.switches.picture_in_ack)
        accepted = Accepted(task, MODELS[text_of(task["model"])], accepted_task)
        self._accepted[task_id] = accepted
        self._refused.pop(task_id, None)
        return accepted

    async def _acknowledge(self, request: Request, accepted: Accepted) -> Answer:
        if accepted.request.get("deliveryMethod", "sync") == "async" and not self.switches.picture_in_ack:
            return Answer(({"taskType": "imageInference", "taskUUID": accepted.task.order.id},), outcome="accepted")
        last_moment = accepted.task.accepted_at + SYNC_WAIT_S
        await wait_until(self._stage.clock, min(accepted.task.ready_at, last_moment))
        if not accepted.task.ended(self._stage.clock()):
            return refused(SYNC_TIMEOUT, accepted.request)
        return await self._result(request, accepted, polled=False)

    async def _poll(self, request: Request, task: JsonObject) -> Answer:
        task_id = text_of(task.get("taskUUID"))
        if uuid_v4(task_id):
            return refused(bad_id(task), task)
        accepted = self._accepted.get(task_id)
        if accepted is None or not accepted.task.visible(self._stage.clock()):
            return self._unknown(task)
        return await self._result(request, accepted, polled=True)

    def _unknown(self, task: JsonObject) -> Answer:
        match self.switches.unknown_id:
            case "processing":
                row: JsonObject = {"taskType": "getResponse", "taskUUID": task["taskUUID"], "status": "processing"}
                return Answer((row,), outcome="unknown")
            case "empty":
                return Answer(outcome="unknown")
            case "not_found":
                return refused(NOT_FOUND, task)

    async def _result(self, request: Request, accepted: Accepted, *, polled: bool) -> Answer:
        """What there is by now: the finished items, every time again, then a row or an error for the rest."""
        task, now = accepted.task, self._stage.clock()
        named: JsonObject = {"taskType": "imageInference", "taskUUID": task.order.id}
        items = [named | await self._item(request, accepted, file) for file in task.files_at(now)]
        if polled:
            items = [item | {"status": "success"} for item in items]
        if not task.ended(now):
            status = "warmingUp" if task.ending is Fault.ODD_STATUS else "processing"
            return Answer((*items, named | {"status": status}), outcome="processing")
        self._stale_shown.add(task.order.id)
        if task.ending is None or task.ending is Fault.ODD_STATUS:
            return Answer(tuple(items), outcome="success")
        refusal = ending_error(task.ending, accepted.model)
        error = refusal.wire(accepted.request) | {"status": "error"}
        return Answer(tuple(items), (error,), refusal.status, refusal.code)

    async def _item(self, request: Request, accepted: Accepted, file: File) -> JsonObject:
        wanted = accepted.request
        item: JsonObject = {"imageUUID": file.name, "seed": seed_of(wanted, file)}
        match wanted.get("outputType", "URL"):
            case "base64Data":
                item["imageBase64Data"] = await self._base64(file)
            case "dataURI":
                item["imageDataURI"] = f"data:{file.recipe.media_type};base64,{await self._base64(file)}"
            case _:
                stale = accepted.task.stale_first_link and accepted.task.order.id not in self._stale_shown
                item["imageURL"] = self._stage.files.link(file, request.origin, stale=stale)
        if accepted.model.name == "kontext-dev" or (json_object(wanted.get("safety")) or {}).get("checkContent"):
            item["NSFWContent"] = False
        if wanted.get("includeCost"):
            item["cost"] = accepted.task.order.price_micro_usd / 1_000_000
        return item

    async def _base64(self, file: File) -> str:
        return base64.b64encode(await self._stage.files.content(file)).decode()

    async def _details(self, request: Request, task: JsonObject) -> Answer:
        task_id, now = text_of(task.get("taskUUID")), self._stage.clock()
        accepted, refusal = self._accepted.get(task_id), self._refused.get(task_id)
        seen = accepted if accepted and accepted.task.visible(now) else None
        if seen and not (refusal and refusal.at >= _last_response_at(seen.task, now)):
            response = await self._archived_response(request, seen)
            return _details(task, seen.request, response)
        if refusal:
            return _details(task, refusal.request, {"errors": list(refusal.errors)})
        return refused(NOT_FOUND, task)

    async def _archived_response(self, request: Request, accepted: Accepted) -> JsonObject:
        if not accepted.task.ended(self._stage.clock()):
            return {"data": [{"taskType": "imageInference", "taskUUID": accepted.task.order.id}]}
        answer = await self._result(request, accepted, polled=False)
        return {"data": list(answer.data)} if answer.data else {"errors": list(answer.errors)}

    async def _upload(self, request: Request, task: JsonObject) -> Answer:
        if "taskUUID" not in task or uuid_v4(task["taskUUID"]):
            return refused(bad_id(task), task)
        image = text_of(task.get("image"))
        source = await self._inline(image) if image and set(task) <= {"taskType", "taskUUID", "image"} else None
        if source is None and not image.startswith(("http://", "https://")):
            return refused(BAD_IMAGE, task)
        image_id = new_id()
        self._uploads[image_id] = source or Source("", 1024, 1024)
        named: JsonObject = {"taskType": "imageUpload", "taskUUID": task["taskUUID"]}
        address = f"{request.origin}/files/uploads/{image_id}"
        return Answer((named | {"imageUUID": image_id, "imageURL": address},), outcome="uploaded")

    # --- reference images ---

    async def _references(self, request: Request, task: JsonObject) -> tuple[Refusal | None, Source | None]:
        """A refusal, or the first picture; a link that is not ours stands for any picture and gives `None`."""
        nested = json_object(task.get("inputs")) or {}
        references = json_array(nested.get("referenceImages")) or json_array(task.get("referenceImages")) or []
        sources = [await self._reference(text_of(each), request.origin) for each in references]
        refusal = next((each for each in sources if isinstance(each, Refusal)), None)
        first = sources[0] if sources else None
        return refusal, None if isinstance(first, Refusal) else first

    async def _reference(self, reference: str, origin: str) -> Source | Refusal | None:
        if reference.startswith(("http://", "https://")):
            return self._uploads.get(reference.removeprefix(f"{origin}/files/uploads/"))
        if UUID_V4.fullmatch(reference):
            return self._uploads.get(reference, UNKNOWN_IMAGE)
        return await self._inline(reference) or BAD_IMAGE

    async def _inline(self, reference: str) -> Source | None:
        try:
            return await inline_source(self._stage.studio, reference, FORMATS)
        except NotAPictureError:
            return None


def _last_response_at(task: Task, now: float) -> float:
    return task.ready_at if task.ended(now) else task.accepted_at


def _details(task: JsonObject, request: JsonObject, response: JsonObject) -> Answer:
    named: JsonObject = {"taskType": "getTaskDetails", "taskUUID": task["taskUUID"]}
    return Answer((named | {"request": [request], "response": response},), outcome="known")
