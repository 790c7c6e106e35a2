"""Errors in OpenAI's shape: `{"error": {message, type, param, code}}`, made from the problem that any route would give.

The official SDKs repeat 408, 409, 429 and every 5xx unless `x-should-retry` says otherwise, so each error says it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import MediaType, Request, Response
from msgspec import Struct

from gateway.api.openai.requests import OWN_NAMES

_Error = TypeVar("_Error", bound=Exception)
Handler = Callable[[Request[Any, Any, Any], _Error], Response[bytes]]
ADDRESSES = ("/v1/images/edits", "/v1/images/generations", "/v1/images/variations")
"""Where OpenAI's clients ask. Only the first is served; at the others they are told so in words they understand."""


class Problem(Struct, frozen=True):
    """What is read of a problem document."""

    type: str
    status: int
    title: str
    retryable: bool
    detail: str
    field: str | None = None
    expected: str | None = None
    edit: dict[str, Any] | None = None
    edit_id: str | None = None

    @property
    def kind(self) -> str:
        return self.type.rpartition(":")[2]


class ErrorBody(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`edit_id` beside OpenAI's four keys: the edit that the error is about, where there is one."""

    message: str
    type: str
    param: str | None
    code: str
    edit_id: str | None = None


class OpenAIError(Struct, frozen=True):
    error: ErrorBody


class Shape(Struct, frozen=True):
    """What OpenAI says in a problem's place; None is what its status and kind say."""

    status: int | None = None
    type: str | None = None
    code: str | None = None


SHAPES: dict[str, Shape] = {
    "unauthorized": Shape(code="invalid_api_key"),
    "budget": Shape(429, "insufficient_quota", "insufficient_quota"),
    "moderated": Shape(400, "image_generation_user_error", "moderation_blocked"),
    "rate_limited": Shape(type="rate_limit_error", code="rate_limit_exceeded"),
    "unresolved": Shape(504, "server_error"),
    "key_reused": Shape(422),
}
STATUSES = {202: 504, 402: 429, 422: 400}


def spoken(handler: Handler[_Error], random_bytes: Callable[[int], bytes]) -> Handler[_Error]:
    """The handler, answering in OpenAI's shape where OpenAI's clients ask."""

    def answered(request: Request[Any, Any, Any], error: _Error) -> Response[bytes]:
        response = handler(request, error)
        if not request.scope["path"].startswith(ADDRESSES):
            return response
        response.headers.setdefault("x-request-id", random_bytes(12).hex())
        return in_openais_shape(response)

    return answered


def in_openais_shape(response: Response[bytes]) -> Response[bytes]:
    """A problem's answer as OpenAI would give it."""
    problem = msgspec.json.decode(response.content, type=Problem)
    headers = {name: value for name, value in response.headers.items() if name.lower() != "content-type"}
    headers.setdefault("x-should-retry", "true" if problem.retryable else "false")
    if after := headers.get("retry-after"):
        headers["retry-after-ms"] = str(int(after) * 1000)
    status, body = error_of(problem)
    content = msgspec.json.encode(OpenAIError(body))
    return Response(content, media_type=MediaType.JSON, status_code=status, headers=headers)


def error_of(problem: Problem) -> tuple[int, ErrorBody]:
    shape = SHAPES.get(problem.kind, Shape())
    status = shape.status or STATUSES.get(problem.status, problem.status)
    param = _param(problem.field)
    code = "model_not_found" if (problem.kind, param) == ("not_found", "model") else problem.kind
    edit_id = problem.edit["id"] if problem.edit else problem.edit_id
    return status, ErrorBody(
        message=problem.detail if problem.expected is None else f"{problem.detail}. Expected: {problem.expected}",
        type=shape.type or ("server_error" if status >= 500 else "invalid_request_error"),
        param=param,
        code=shape.code or code,
        edit_id=edit_id,
    )


def _param(name: str | None) -> str | None:
    """The field by the name that it has on this route."""
    if name is None:
        return None
    head, bracket, rest = name.partition("[")
    return OWN_NAMES.get(head, head) + bracket + rest
