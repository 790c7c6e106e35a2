"""Runflow's refusals, in the three envelopes that its documents and its client disagree about."""

from typing import Literal

from msgspec import Struct

from gateway.rehearsal.exchange import JsonObject
from gateway.rehearsal.faults import Fault

Envelope = Literal["flat", "nested", "string"]


class Refusal(Struct, frozen=True):
    status: int
    code: str
    message: str
    fields: tuple[tuple[str, str], ...] = ()

    def wire(self, envelope: Envelope) -> JsonObject:
        errors = [{"field": field, "message": message} for field, message in self.fields] or None
        match envelope:
            case "flat":
                return {"code": self.code, "message": self.message, "errors": errors}
            case "nested":
                return {"error": {"message": self.message, "code": self.code, "errors": errors}}
            case "string":
                return {"error": self.message, "code": self.code}


UNAUTHORIZED = Refusal(401, "UNAUTHORIZED", "The API key is missing or not valid.")
NOT_JSON = Refusal(400, "BAD_REQUEST", "The body must be a JSON object.")
NO_ROUTE = Refusal(404, "NOT_FOUND", "There is nothing at this address.")
BARE_SLUG = Refusal(405, "METHOD_NOT_ALLOWED", "A model id has an owner and a name.")
NO_MODEL = Refusal(404, "MODEL_NOT_FOUND", "There is no such model.")
NO_RUN = Refusal(404, "RUN_NOT_FOUND", "There is no such run.")
NO_ASSET = Refusal(404, "ASSET_NOT_FOUND", "There is no such asset.")
OTHER_BODY = Refusal(409, "CONFLICT", "This Idempotency-Key was used with another body.")
ASSET_WITH_KEY = Refusal(400, "BAD_REQUEST", "An upload URL is presigned: send no Authorization header.")
NOT_A_PICTURE = Refusal(422, "VALIDATION_ERROR", "The asset is not a picture of an accepted type.")

BY_FAULT: dict[Fault, Refusal] = {
    Fault.DOWN: Refusal(503, "SERVICE_UNAVAILABLE", "The service is not available now."),
    Fault.REFUSE_KEY: UNAUTHORIZED,
    Fault.ERROR_BEFORE_ACCEPT: Refusal(500, "INTERNAL", "Something went wrong."),
    Fault.POLL_TROUBLE: Refusal(500, "INTERNAL", "Something went wrong."),
    Fault.RATE_LIMITED: Refusal(429, "RATE_LIMITED", "Too many requests."),
    Fault.CONCURRENT: Refusal(429, "RATE_LIMITED", "Too many runs of this model are in flight."),
    Fault.NO_CREDIT: Refusal(402, "INSUFFICIENT_CREDIT", "The balance does not cover this run."),
    Fault.BUSY: Refusal(503, "MODEL_UNAVAILABLE", "The model is not available upstream."),
    Fault.ERRORS_UNDER_200: Refusal(200, "MODEL_UNAVAILABLE", "The model is not available upstream."),
    Fault.MODERATED_ON_SUBMIT: Refusal(422, "CONTENT_POLICY_VIOLATION", "The content was flagged by moderation."),
}
"""Instead of taking the run."""

AFTER_ACCEPTANCE: dict[Fault, Refusal] = {
    Fault.ACCEPT_THEN_5XX: Refusal(500, "INTERNAL", "Something went wrong."),
    Fault.ACCEPT_LATE: Refusal(503, "SERVICE_UNAVAILABLE", "The service is not available now."),
    Fault.SYNC_TIMEOUT: Refusal(504, "GATEWAY_TIMEOUT", "The answer took too long."),
}

FAILURES: dict[Fault, tuple[str, str]] = {
    Fault.TASK_FAILED: ("UPSTREAM_ERROR", "The model failed."),
    Fault.MODERATED_ON_POLL: ("CONTENT_POLICY_VIOLATION", "The content was flagged by moderation."),
}
"""`failure_code` and `failure_message` of a run that failed."""


def invalid(*fields: tuple[str, str]) -> Refusal:
    return Refusal(422, "VALIDATION_ERROR", "Input rejected", fields)
