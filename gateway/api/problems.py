"""Every error that a caller can meet, as RFC 9457 problem details: one table of kinds, one way to raise them.

A problem says which field, what was expected, and whether a repeat of the same request can help. It never holds a
stack trace, a provider's raw text or an internal address.
"""

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import Struct

from adapters.contract import FailureKind
from gateway.observe import log
from gateway.results import ResultsUnavailable
from gateway.state.connection import StoreUnavailable
from gateway.state.edits import InDoubt

PROBLEM_JSON = "application/problem+json"
_TYPE = "urn:kontext:problem:"


class Kind(Struct, frozen=True):
    """`retryable`: the same request may succeed later."""

    status: int
    title: str
    retryable: bool = False


KINDS: dict[str, Kind] = {
    "malformed": Kind(400, "The request cannot be read"),
    "unauthorized": Kind(401, "An API key is needed"),
    "budget": Kind(402, "A budget has too little left"),
    "forbidden": Kind(403, "The API key lacks a scope"),
    "not_found": Kind(404, "There is no such thing"),
    "method_not_allowed": Kind(405, "This address does not take this method"),
    "not_acceptable": Kind(406, "The answer cannot be given in the form asked for"),
    "cancelled": Kind(409, "The edit was cancelled"),
    "ended": Kind(409, "The edit has ended"),
    "disabled": Kind(409, "The endpoint is disabled"),
    "not_ended": Kind(409, "The edit has not ended"),
    "conflict": Kind(409, "Another request is at work on this", retryable=True),
    "slow": Kind(408, "The request came too slowly", retryable=True),
    "erased": Kind(410, "The content was erased"),
    "too_large": Kind(413, "The request is too large"),
    "unsupported_media_type": Kind(415, "The request's content type is not taken"),
    "invalid": Kind(422, "A field is wrong"),
    "key_reused": Kind(422, "The Idempotency-Key belongs to another request"),
    "no_offer": Kind(422, "No offer can do this edit as asked"),
    "moderated": Kind(422, "The provider refused the content"),
    "gone": Kind(499, "The caller is gone"),  # nobody reads it; nginx's number
    "rate_limited": Kind(429, "Too much at once from this key", retryable=True),
    "too_many_connections": Kind(429, "Too many connections from one address", retryable=True),
    "head_too_large": Kind(431, "The head of the request is too large"),
    "over_share": Kind(429, "The team holds its share of a busy gateway", retryable=True),
    "failed": Kind(502, "The providers could not make the edit", retryable=True),
    "bad_picture": Kind(502, "A picture was paid for but is unusable"),
    "no_offer_now": Kind(503, "Every fitting offer is out of service", retryable=True),
    "overloaded": Kind(503, "The gateway is at its limit", retryable=True),
    "leaving": Kind(503, "The gateway is about to end", retryable=True),
    "store_unavailable": Kind(503, "The gateway cannot reach its store", retryable=True),
    "results_unavailable": Kind(503, "The gateway cannot keep pictures", retryable=True),
    "deadline": Kind(504, "The deadline passed before an attempt could succeed", retryable=True),
    "unresolved": Kind(202, "What became of the edit is not known yet"),
    "internal": Kind(500, "The gateway failed"),
}

# What a failure at the providers means to the caller; credentials and credit are ours, so never a 401 or 402.
FAILURES: dict[FailureKind, str] = {
    FailureKind.INVALID: "invalid",
    FailureKind.UNSUPPORTED: "no_offer",
    FailureKind.MODERATED: "moderated",
    FailureKind.CREDENTIAL: "failed",
    FailureKind.CREDIT: "failed",
    FailureKind.RATE_LIMITED: "failed",
    FailureKind.BUSY: "failed",
    FailureKind.NOT_SENT: "failed",
    FailureKind.LOST: "failed",
    FailureKind.TASK_FAILED: "failed",
    FailureKind.BAD_PICTURE: "bad_picture",
    FailureKind.EXPIRED: "failed",
}


class ProblemError(Exception):
    """A refusal on its way to the caller. `field` in the caller's words; `expected` says what to send instead."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        field: str | None = None,
        expected: str | None = None,
        retry_after_s: float | None = None,
        extensions: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.field = field
        self.expected = expected
        self.retry_after_s = retry_after_s
        self.extensions = extensions or {}
        self.headers = headers or {}


def answer(problem: ProblemError) -> Response[bytes]:
    """The problem as an HTTP answer."""
    kind = KINDS[problem.kind]
    document: dict[str, Any] = {
        "type": _TYPE + problem.kind,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "retryable": kind.retryable,
    }
    if problem.field is not None:
        document["field"] = problem.field
    if problem.expected is not None:
        document["expected"] = problem.expected
    headers = dict(problem.headers)
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(problem.retry_after_s)))
    content = msgspec.json.encode({**document, **problem.extensions})
    return Response(content, media_type=PROBLEM_JSON, status_code=kind.status, headers=headers)


def on_problem(_: Request[Any, Any, Any], error: ProblemError) -> Response[bytes]:
    return answer(error)


_BY_STATUS = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    503: "overloaded",
}


_GONE = "client disconnected prematurely"
"""What the framework says of a caller who goes away in the middle of a body: to it a defect, to us everyday life."""


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """The framework's own refusals (no such route, wrong method, body too large) in our shape and words."""
    kind = _BY_STATUS.get(error.status_code)
    if error.detail == _GONE:
        return answer(ProblemError("malformed", "the body ended before it was whole"))
    if kind is None:
        return on_error(request, error)
    path = request.scope["path"]  # `request.url` cannot be read where the query is not UTF-8
    details = {
        "not_found": f"nothing is served at {path}; GET /schema lists the addresses",
        "method_not_allowed": f"{request.method} is not taken here; GET /schema lists the methods",
        "too_large": "the body is over the limit; send smaller pictures, or addresses instead of data",
    }
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return answer(ProblemError(kind, details.get(kind, KINDS[kind].title), headers=headers))


def leaving() -> ProblemError:
    """This replica ends. Another one, or the next one at this address, takes the same request at once."""
    return ProblemError("leaving", "this gateway is about to end and begins nothing new", retry_after_s=1)


def in_doubt(error: InDoubt) -> ProblemError:
    """The caller is told which edit it may have been: only a gateway that dies before it can take it back leaves it to
    another one, which then makes it."""
    return ProblemError(
        "store_unavailable",
        f"the state store does not answer, and may have taken this edit as {error.edit}. It is taken back as soon as "
        f"the store answers: GET /v1/edits/{error.edit} is 404 then",
        expected="the same request with the same Idempotency-Key; without a key, first a look at that edit",
        retry_after_s=3,
        extensions={"edit_id": error.edit},
    )


def on_store_unavailable(_: Request[Any, Any, Any], error: StoreUnavailable) -> Response[bytes]:
    """Money fails closed: without the store nothing is accepted."""
    log.error("store_unavailable", error=str(error))
    if isinstance(error, InDoubt):
        return answer(in_doubt(error))
    return answer(ProblemError("store_unavailable", "the state store does not answer", retry_after_s=3))


def on_results_unavailable(_: Request[Any, Any, Any], error: ResultsUnavailable) -> Response[bytes]:
    """No room for pictures: nothing is accepted, and what was paid for waits with its money."""
    log.error("results_unavailable", error=str(error))
    return answer(ProblemError("results_unavailable", str(error), retry_after_s=10))


def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A defect of ours: the caller learns that it is one and nothing more; the log holds where."""
    log.error("internal_error", route=request.scope["path"], error=type(error).__name__, exc_info=error)
    return answer(ProblemError("internal", "an unexpected error; it is logged. Repeat with the same Idempotency-Key"))
