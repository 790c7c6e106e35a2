"""What an edit asks for beyond the picture, as far as choosing an offer goes: quality, money, time and permission."""

from msgspec import Struct

from adapters.contract import Tier


class Wishes(Struct, frozen=True, kw_only=True):
    """`tier` is a floor (left out of a request, it is the policy's). `max_cost_micro` covers all pictures.

    `models` are the offers that the request names, in its order: they replace the policy's. `allowed` are the offers
    that the team may use; None is all of them. `metadata` is the caller's; a policy may keep its values together.
    """

    tier: Tier
    max_cost_micro: int | None = None
    deadline_s: float = 120.0
    models: tuple[str, ...] = ()
    allowed: tuple[str, ...] | None = None
    metadata: dict[str, str] = {}
