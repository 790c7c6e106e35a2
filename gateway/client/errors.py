"""What can go wrong, one class for each thing that a caller may do about it. Every refusal of the gateway is a
`ProblemError`, made from its RFC 9457 document."""

from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.client.edits import Edit
from gateway.client.quotes import Exclusion


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`field` and `expected`: what to send instead. The others are set where the kind has them."""

    type: str = ""
    title: str = ""
    status: int = 0
    detail: str = ""
    retryable: bool = False
    field: str = ""
    expected: str = ""
    edit: Edit | None = None
    edit_id: str | None = None
    exclusions: tuple[Exclusion, ...] = ()
    scope: str | None = None
    window: str | None = None
    cap_usd: Decimal | None = None
    left_usd: Decimal | None = None

    @property
    def kind(self) -> str:
        return self.type.rpartition(":")[2]


class KontextError(Exception):
    """Every error of this client."""


class UnreachableError(KontextError):
    """No gateway answered, however often it was asked. An edit may have begun: `idempotency_key` sent again with the
    same request joins it."""

    def __init__(self, message: str, idempotency_key: str | None = None) -> None:
        super().__init__(message)
        self.idempotency_key = idempotency_key


class StillRunningError(KontextError):
    """The time to wait is over; `edit` goes on, and can be waited for again."""

    def __init__(self, edit: Edit) -> None:
        super().__init__(f"{edit.id} is still {edit.status}")
        self.edit = edit


class ProblemError(KontextError):
    """The gateway said no. `body`: its document as it came; `retry_after_s`: when it wants to be asked again."""

    def __init__(self, problem: Problem, body: bytes = b"", retry_after_s: float | None = None) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem, self.body, self.retry_after_s = problem, body, retry_after_s

    @property
    def edit(self) -> Edit | None:
        """What the edit had become, where there is one."""
        return self.problem.edit


class InvalidError(ProblemError):
    """A field is wrong; the problem names it, and what to send instead."""


class UnauthorizedError(ProblemError):
    """No key, a wrong one, or one that lacks a scope."""


class NotFoundError(ProblemError):
    """There is no such thing, or its time is over."""


class OverBudgetError(ProblemError):
    """A budget has too little left: `problem.scope`, `window`, `cap_usd`, `left_usd`. Nothing was spent."""


class NoOfferError(ProblemError):
    """No offer can do this as asked; `problem.exclusions` says why of each."""


class RefusedError(ProblemError):
    """A provider refused the content. It is never shopped to another one."""


class FailedError(ProblemError):
    """The providers could not make it."""


class EditCancelledError(ProblemError):
    """The edit was cancelled."""


class UnresolvedError(ProblemError):
    """Nobody knows yet what became of the edit; its money is held. `edit` may still succeed, fail or be refused."""


class AlreadyEndedError(ProblemError):
    """What has ended cannot be cancelled."""


class RateLimitedError(ProblemError):
    """Too much at once from this key."""


class UnavailableError(ProblemError):
    """The gateway cannot take it now, or failed."""


BY_KIND: dict[str, type[ProblemError]] = {
    "invalid": InvalidError,
    "budget": OverBudgetError,
    "no_offer": NoOfferError,
    "no_offer_now": NoOfferError,
    "moderated": RefusedError,
    "failed": FailedError,
    "bad_picture": FailedError,
    "deadline": FailedError,
    "cancelled": EditCancelledError,
    "ended": AlreadyEndedError,
    "unresolved": UnresolvedError,
    "conflict": UnavailableError,
}
"""Where the kind says more than the status does, and the ends of edits, which have none."""

BY_STATUS: dict[int, type[ProblemError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    402: OverBudgetError,
    403: UnauthorizedError,
    404: NotFoundError,
    405: InvalidError,
    406: InvalidError,
    408: UnavailableError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
    429: RateLimitedError,
    431: InvalidError,
    500: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
"""For every other kind, those of a newer gateway, too; what is in neither table is a plain `ProblemError`."""

_ENDS = {"refused": "moderated", "cancelled": "cancelled", "unresolved": "unresolved"}


def error_of(body: bytes, retry_after_s: float | None) -> ProblemError | None:
    """None where the body is no problem document."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return _class_of(problem)(problem, body, retry_after_s) if problem.type else None


def ended_error(edit: Edit) -> ProblemError:
    """Of an edit that ended without a picture, as the answer to its own request would have said."""
    error = edit.error
    kind = _ENDS.get(edit.status) or (error.type if error else "failed")
    problem = Problem(
        type=f"urn:kontext:problem:{kind}", detail=error.detail if error else f"the edit is {edit.status}", edit=edit
    )
    return BY_KIND.get(kind, FailedError)(problem, msgspec.json.encode(problem))


def _class_of(problem: Problem) -> type[ProblemError]:
    return BY_KIND.get(problem.kind) or BY_STATUS.get(problem.status, ProblemError)
