"""What becomes of an offer in a plan: it is a candidate, with its price and time, or an exclusion, with its reason."""

from msgspec import Struct

from adapters.contract import Adjustment, Tier
from policies.reasons import Reason


def provider_of(offer: str) -> str:
    """The account behind an offer's name: a second account of one company is a provider of its own name."""
    return offer.partition("/")[0]


class Candidate(Struct, frozen=True, kw_only=True):
    """An offer that will be tried when its turn comes. `price_micro` is for all pictures of the edit.

    `billed` False: nobody charges for it, so a lost answer there is a failure and not a riddle.
    """

    offer: str
    tier: Tier
    price_micro: int
    expected_s: float
    adjustments: tuple[Adjustment, ...] = ()
    billed: bool = True

    @property
    def provider(self) -> str:
        return provider_of(self.offer)


class Exclusion(Struct, frozen=True, kw_only=True):
    """An offer that is left out. `field` and `detail` say which wish it cannot meet and what would fit."""

    offer: str
    reason: Reason
    field: str | None = None
    detail: str = ""
