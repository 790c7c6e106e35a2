"""The Python client: `Kontext` and `AsyncKontext`, two drivers of one protocol.

Nothing of the server is imported here, only httpx and msgspec. `protocol` yields what to do next as a value (`steps`);
the drivers do it. So a repeat, a resumed stream and a classified error are written once, and tested without a clock.
"""

from gateway.client.asynchronous import AsyncKontext
from gateway.client.blocking import Kontext
from gateway.client.edits import Adjustment, Attempt, Candidate, Cost, Edit, Image
from gateway.client.errors import (
    AlreadyEndedError,
    EditCancelledError,
    FailedError,
    InvalidError,
    KontextError,
    NoOfferError,
    NotFoundError,
    OverBudgetError,
    ProblemError,
    RateLimitedError,
    RefusedError,
    StillRunningError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnresolvedError,
)
from gateway.client.events import Event
from gateway.client.models import Model
from gateway.client.quotes import Quote
from gateway.client.retry import Retry
from gateway.client.spending import Spending
from gateway.client.uploads import Upload
from gateway.client.webhooks import Webhook, WebhookRefusedError, verify

__all__ = [
    "Adjustment",
    "AlreadyEndedError",
    "AsyncKontext",
    "Attempt",
    "Candidate",
    "Cost",
    "Edit",
    "EditCancelledError",
    "Event",
    "FailedError",
    "Image",
    "InvalidError",
    "Kontext",
    "KontextError",
    "Model",
    "NoOfferError",
    "NotFoundError",
    "OverBudgetError",
    "ProblemError",
    "Quote",
    "RateLimitedError",
    "RefusedError",
    "Retry",
    "Spending",
    "StillRunningError",
    "UnauthorizedError",
    "UnavailableError",
    "UnreachableError",
    "UnresolvedError",
    "Upload",
    "Webhook",
    "WebhookRefusedError",
    "verify",
]
