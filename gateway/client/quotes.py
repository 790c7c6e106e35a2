"""A quote as the gateway answers it: what an edit sent now would do, without doing it."""

from decimal import Decimal

from msgspec import Struct

from gateway.client.edits import Adjustment


class QuotedOffer(Struct, frozen=True, kw_only=True):
    """An offer that would be tried at its rank. `within_s` is kept 95 times in 100."""

    offer: str
    rank: int
    tier: str
    degraded: bool = False
    price_usd: Decimal
    expected_s: float
    within_s: float
    why: str
    adjustments: tuple[Adjustment, ...] = ()
    sent: dict[str, str] = {}


class Exclusion(Struct, frozen=True, kw_only=True):
    offer: str
    reason: str | None = None
    field: str | None = None
    why: str = ""


class Budget(Struct, frozen=True, kw_only=True):
    """`enough`: it would hold the worst case now."""

    scope: str
    window: str
    cap_usd: Decimal
    left_usd: Decimal
    enough: bool


class Quote(Struct, frozen=True, kw_only=True):
    """`candidates` is empty where nothing fits. `worst_case_usd` is what an edit would have held."""

    policy: str
    revision: str
    asked_tier: str
    candidates: tuple[QuotedOffer, ...]
    exclusions: tuple[Exclusion, ...]
    worst_case_usd: Decimal
    second_runner_usd: Decimal | None = None
    affordable: bool
    budgets: tuple[Budget, ...] = ()
