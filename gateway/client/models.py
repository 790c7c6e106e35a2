"""What can be bought, as the gateway lists it."""

from datetime import date
from decimal import Decimal

from msgspec import Struct


class Price(Struct, frozen=True, kw_only=True):
    """Of one picture, since a day. `size` and `steps` are set where the price is known for exactly those."""

    usd: Decimal
    since: date
    source: str
    size: str | None = None
    steps: int | None = None


class Model(Struct, frozen=True, kw_only=True):
    """An offer. `abilities` are what it can do as asked: numbers, switches, lists, and dials with their spans."""

    id: str
    provider: str
    tier: str
    billed: bool
    usual_s: float
    gpu_second_usd: Decimal | None = None
    prices: tuple[Price, ...] = ()
    abilities: dict[str, object] = {}
    policies: tuple[str, ...] = ()


class Models(Struct, frozen=True, kw_only=True):
    data: tuple[Model, ...]
