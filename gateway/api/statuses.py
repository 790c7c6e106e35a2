"""Every status that a route answers, in the OpenAPI document.

The framework knows a handler's success alone, and documents a refusal in a shape of its own that nobody here sends. So
the document's answers are made here: by what a route has (a key, a body, a place in its address), and by a short table.
"""

from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPI, OpenAPIMediaType, OpenAPIResponse, Operation, Reference
from msgspec import Struct

from gateway.api.openai.answers import ImagesAnswer
from gateway.api.openai.errors import OpenAIError
from gateway.api.problems import KINDS, PROBLEM_JSON

_TEMPLATE = "#/components/schemas/{name}"
METHODS = ("get", "post", "put", "patch", "delete")
OPENAI = "/v1/images/edits"
CALLBACKS = "/callbacks/{provider}/{token}"
OPEN = frozenset({"/healthz", "/readyz", CALLBACKS})
"""Asked without a key."""

ALWAYS, KEYED, PLACED, ASKING = {500, 503}, {401, 403}, {404}, {400, 422}
BODIED = {400, 409, 413, 415, 422}
MORE: dict[tuple[str, str], set[int]] = {
    ("post", "/v1/edits"): {202, 402, 404, 429, 502, 504},
    ("post", "/v1/quotes"): {429},
    ("post", "/v1/images"): {429},
    ("post", OPENAI): {404, 429, 502, 504},
    ("get", "/v1/usage"): {406},
    ("get", "/v1/edits"): {406},
    ("get", "/v1/edits/{edit_id}/events"): {204, 422},
    ("delete", "/v1/edits/{edit_id}"): {202},
    ("delete", "/v1/edits/{edit_id}/content"): {202},
    ("get", "/v1/edits/{edit_id}/images/{number}"): {410},
}
WORDS = {kind.status: kind.title for kind in reversed(KINDS.values())} | {
    202: "It goes on; its address tells how",
    204: "It has ended, and nothing more is told",
}
BODIES: dict[tuple[str, str], dict[str, str]] = {
    ("post", "/v1/edits"): {"application/json": "EditAnswer"},
    ("post", OPENAI): {"application/json": ImagesAnswer.__name__, "text/event-stream": ""},
    ("get", "/v1/usage"): {"application/json": "", "application/jsonl": "", "text/csv": ""},
    ("get", "/v1/edits/{edit_id}/events"): {"text/event-stream": ""},
    ("delete", "/v1/edits/{edit_id}"): {"application/json": "EditAnswer"},
    ("delete", "/v1/edits/{edit_id}/content"): {"application/json": "EditAnswer"},
}
"""What a success holds, where the handler's own type does not say it: media type to schema; none for any."""


class ProblemAnswer(Struct, frozen=True, kw_only=True):
    """RFC 9457. `retryable`: the same request may succeed later. Some kinds have more, such as `exclusions`."""

    type: str
    title: str
    status: int
    detail: str
    retryable: bool
    field: str = ""
    expected: str = ""


def add_answers(document: OpenAPI) -> None:
    """Completes the finished document."""
    _, schemas = msgspec.json.schema_components([ProblemAnswer, OpenAIError, ImagesAnswer], ref_template=_TEMPLATE)
    there = document.components.schemas or {}
    document.components.schemas = {**schemas, **there}
    for path, item in (document.paths or {}).items():
        for method in METHODS:
            operation: Operation | None = getattr(item, method)
            if operation is not None:
                operation.responses = _answers(method, path, operation)


def _answers(method: str, path: str, operation: Operation) -> dict[str, OpenAPIResponse | Reference]:
    answers = {status: answer for status, answer in (operation.responses or {}).items() if status.startswith("2")}
    if content := BODIES.get((method, path)):
        ok = {kind: _media(name) for kind, name in content.items()}
        answers["200"] = OpenAPIResponse(description="Done", content=ok)
    for status in sorted(statuses(method, path, operation)):
        answers[str(status)] = _refusal(path, status)
    return answers


def statuses(method: str, path: str, operation: Operation) -> set[int]:
    """Beside the success."""
    asks = any(getattr(parameter, "param_in", "") == "query" for parameter in operation.parameters or ())
    rules = (
        (True, ALWAYS),
        (path not in OPEN, KEYED),
        ("{" in path, PLACED),
        (asks, ASKING),
        (method != "get", BODIED),
        (True, MORE.get((method, path), set())),
    )
    return {status for holds, more in rules if holds for status in more}


def _refusal(path: str, status: int) -> OpenAPIResponse:
    if status == 202:
        return OpenAPIResponse(description=WORDS[status], content={"application/json": _media("EditAnswer")})
    if status == 204:
        return OpenAPIResponse(description=WORDS[status])
    openai = path == OPENAI
    kind, name = ("application/json", OpenAIError.__name__) if openai else (PROBLEM_JSON, ProblemAnswer.__name__)
    return OpenAPIResponse(description=WORDS[status], content={kind: _media(name)})


def _media(name: str) -> OpenAPIMediaType:
    reference: Any = Reference(ref=_TEMPLATE.format(name=name)) if name else None
    return OpenAPIMediaType(schema=reference)
