"""An edit as the gateway answers it. Fields of a newer gateway are passed over, and states are text: a newer one may
have more of them."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

GOING_ON = frozenset({"queued", "running"})


class Adjustment(Struct, frozen=True, kw_only=True):
    """A field that could not be sent as asked. `sent` is None where nothing was sent."""

    field: str
    asked: str
    sent: str | None = None
    why: str = ""


class Image(Struct, frozen=True, kw_only=True):
    """One picture. `url` (signed, needs no key), `base64` or `data_uri` is set, by `output.delivery`."""

    url: str | None = None
    width: int
    height: int
    format: str
    seed: int | None = None
    sha256: str
    bytes: int
    nsfw: bool | None = None
    warnings: tuple[str, ...] = ()
    base64: str | None = None
    data_uri: str | None = None


class Cost(Struct, frozen=True, kw_only=True):
    """`source`: provider (its own figure), table (the gateway's price list) or local (nobody bills)."""

    usd: Decimal
    source: str | None = None
    quoted_usd: Decimal


class EditProblem(Struct, frozen=True, kw_only=True):
    """Why an edit ended without a picture."""

    type: str
    detail: str


class Candidate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An offer of the plan: ranked with its price and time, or excluded with its reason. `why` is a sentence."""

    offer: str
    rank: int | None = None
    price_usd: Decimal | None = None
    expected_s: float | None = None
    degraded: bool = False
    excluded: str | None = None
    field: str | None = None
    why: str = ""


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try at one offer. `cost_usd` is None while nobody knows it."""

    offer: str
    outcome: str
    seconds: float | None
    cost_usd: Decimal | None
    message: str
    why: str | None = None


class Routing(Struct, frozen=True, kw_only=True):
    policy: str
    revision: str
    candidates: tuple[Candidate, ...] = ()
    attempts: tuple[Attempt, ...] = ()


class Edit(Struct, frozen=True, kw_only=True):
    """`status`: queued, running, succeeded, failed, refused, cancelled or unresolved. `content`: kept, expired, erasing
    or erased."""

    id: str
    status: str
    cancel_requested: bool = False
    content: str = "kept"
    tier: str | None = None
    asked_tier: str
    degraded: bool = False
    late: bool = False
    provider: str | None = None
    model: str | None = None
    images: tuple[Image, ...] = ()
    cost: Cost
    adjustments: tuple[Adjustment, ...] = ()
    sent: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    routing: Routing
    metadata: dict[str, str] = {}
    created_at: datetime
    finished_at: datetime | None = None
    error: EditProblem | None = None

    @property
    def goes_on(self) -> bool:
        return self.status in GOING_ON


class Page(Struct, frozen=True, kw_only=True):
    """Of a list. `next` None is its end."""

    data: tuple[Edit, ...]
    next: str | None = None
