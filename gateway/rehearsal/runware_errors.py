"""Runware's refusals: which one a wrong task earns, which one a scripted fault gives, and how they read on the wire."""

from msgspec import Struct

from gateway.rehearsal.checks import uuid_v4, wrong_fields
from gateway.rehearsal.exchange import JsonObject, text_of
from gateway.rehearsal.faults import Fault
from gateway.rehearsal.runware_models import MODELS, Model


class Refusal(Struct, frozen=True):
    """One error. `scoped`: it names the task; errors before the task layer do not."""

    status: int
    code: str
    message: str
    scoped: bool = True
    parameter: str | None = None
    allowed: tuple[str, ...] = ()

    def wire(self, task: JsonObject | None = None) -> JsonObject:
        error: JsonObject = {"code": self.code, "message": self.message}
        if self.parameter:
            error["parameter"] = self.parameter
        if self.allowed:
            error["allowedValues"] = list(self.allowed)
        if self.scoped and task:
            error |= {name: task[name] for name in ("taskUUID", "taskType") if isinstance(task.get(name), str)}
        return error


INVALID_KEY = Refusal(401, "invalidApiKey", "The API key is not valid.", scoped=False)
MISSING_KEY = Refusal(401, "missingApiKey", "No API key was sent.", scoped=False)
NOT_AN_ARRAY = Refusal(400, "invalidRequestBody", "The body must be a JSON array of task objects.", scoped=False)
CONFLICT = Refusal(400, "conflictTaskUUID", "A task with this taskUUID exists already.", parameter="taskUUID")
NOT_FOUND = Refusal(404, "taskNotFound", "No task with this taskUUID was found.", parameter="taskUUID")
SYNC_TIMEOUT = Refusal(504, "failedTaskTimeout", "The task did not finish while this request waited for it.")
BAD_IMAGE = Refusal(400, "invalidImage", "A reference image could not be decoded.", parameter="referenceImages")
UNKNOWN_IMAGE = Refusal(400, "invalidImage", "No image with this UUID is stored.", parameter="referenceImages")
BROKEN = Refusal(500, "internalServerError", "Something went wrong.", scoped=False)
UNAVAILABLE = Refusal(503, "serviceUnavailable", "The service is not available now.", scoped=False)

BY_FAULT: dict[Fault, Refusal] = {
    Fault.DOWN: UNAVAILABLE,
    Fault.REFUSE_KEY: INVALID_KEY,
    Fault.ERROR_BEFORE_ACCEPT: BROKEN,
    Fault.POLL_TROUBLE: BROKEN,
    Fault.RATE_LIMITED: Refusal(429, "rateLimitExceeded", "Too many requests.", scoped=False),
    Fault.NO_CREDIT: Refusal(400, "insufficientCredits", "The balance does not cover this task."),
    Fault.CONCURRENT: Refusal(400, "concurrentRequestLimitExceeded", "Too many requests are in flight."),
    Fault.BUSY: Refusal(400, "noAvailableServer", "No server is available for this model now."),
    Fault.ERRORS_UNDER_200: Refusal(200, "noAvailableServer", "No server is available for this model now."),
    Fault.MODERATED_ON_SUBMIT: Refusal(400, "invalidProviderContent", "The content was flagged by moderation."),
}
"""Instead of taking the task."""

NO_PARTNER_CREDIT = Refusal(400, "thirdPartyInsufficientCredits", "This model needs a paid invoice or $5 of credit.")

AFTER_ACCEPTANCE: dict[Fault, Refusal] = {
    Fault.ACCEPT_THEN_5XX: BROKEN,
    Fault.ACCEPT_LATE: UNAVAILABLE,
    Fault.SYNC_TIMEOUT: SYNC_TIMEOUT,
}

ENDINGS: dict[Fault, Refusal] = {
    Fault.TASK_FAILED: Refusal(400, "timeoutProvider", "The provider of this model did not answer in time."),
    Fault.MODERATED_ON_POLL: Refusal(400, "invalidProviderContent", "The content was flagged by moderation."),
    Fault.PARTIAL: Refusal(400, "inferenceError", "One of the results could not be made."),
    Fault.CANCELLED: Refusal(400, "taskCancelled", "The task was cancelled."),
}
OWN_MODEL_FAILED = Refusal(400, "inferenceError", "The picture could not be made.")


def by_fault(fault: Fault, models: tuple[str, ...]) -> Refusal | None:
    """Partner models (`bfl:…`) lack credit under a code of their own."""
    partner = any(model.startswith("bfl:") for model in models)
    return NO_PARTNER_CREDIT if fault is Fault.NO_CREDIT and partner else BY_FAULT.get(fault)


def ending_error(fault: Fault, model: Model) -> Refusal:
    own = fault is Fault.TASK_FAILED and model.air.startswith("runware:")
    return OWN_MODEL_FAILED if own else ENDINGS[fault]


def refusal_of(task: JsonObject) -> Refusal | None:
    """What is wrong with an `imageInference` task, or `None`."""
    if "taskUUID" not in task or uuid_v4(task["taskUUID"]):
        return bad_id(task)
    model = MODELS.get(text_of(task.get("model")))
    if model is None:
        return Refusal(400, "modelNotFound", "No such model.", parameter="model", allowed=tuple(MODELS))
    wrong = wrong_fields(task, model.fields, model.required)
    if wrong:
        return _field_refusal(task, model, *wrong[0])
    return _size_refusal(task, model) or _shape_refusal(task)


def bad_id(task: JsonObject) -> Refusal:
    if "taskUUID" not in task:
        return Refusal(400, "missingTaskUUID", "taskUUID is required.", parameter="taskUUID")
    return Refusal(400, "invalidTaskUUID", "taskUUID must be a UUID of version 4.", parameter="taskUUID")


def _field_refusal(task: JsonObject, model: Model, name: str, wrong: str) -> Refusal:
    if name not in model.fields:
        return Refusal(
            400, "unsupportedParameter", f"{name} is not supported by {model.air}.", parameter=name,
            allowed=tuple(model.fields),
        )  # fmt: skip
    if name not in task:
        return Refusal(400, f"missing{_capital(name)}", f"{name} is required.", parameter=name)
    code = {"positivePrompt": "invalidPositivePromptLength", "inputs": "invalidReferenceImages"}.get(name)
    return Refusal(400, code or f"invalid{_capital(name)}", f"{name} must be {wrong}.", parameter=name)


def _size_refusal(task: JsonObject, model: Model) -> Refusal | None:
    if ("width" in task) != ("height" in task):
        missing = "height" if "width" in task else "width"
        return Refusal(400, f"missing{_capital(missing)}", f"{missing} is required with its pair.", parameter=missing)
    if model.sizes is None or (task["width"], task["height"]) in model.sizes:
        return None
    allowed = tuple(f"{width}x{height}" for width, height in model.sizes)
    message = "width and height must be one of the supported sizes."
    return Refusal(400, "unsupportedDimensions", message, parameter="width", allowed=allowed)


def _shape_refusal(task: JsonObject) -> Refusal | None:
    if "ttl" in task and task.get("outputType", "URL") != "URL":
        return Refusal(400, "invalidTtl", "ttl goes only with outputType URL.", parameter="ttl")
    if "inputs" in task and "referenceImages" in task:
        message = "Send the reference images once: in inputs.referenceImages."
        return Refusal(400, "incompatibleParameters", message, parameter="referenceImages")
    return None


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
