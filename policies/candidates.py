"""What becomes of an offer in a plan: it is a candidate, with its price and time, or an exclusion, with its reason."""

from msgspec import Struct

from adapters.contract import Adjustment, Tier
from policies.reasons import Reason


def provider_of(offer: str) -> str:
    """The account behind an offer's name: a second account of one company is a provider of its own name."""
    return offer.partition("/")[0]


class Candidate(Struct, frozen=True, kw_only=True, gc=False):
    """An offer that will be tried when its turn comes. `price_micro` is for all pictures of the edit; where time makes
    the price, it is for the usual time, and `most_micro` for the longest.

    `billed` False: nobody charges for it, so a lost answer there is a failure and not a riddle. `p95_s`, `queue_s`,
    `success`, `throttled`, `drift` and `load` (the share of its permits in use) are what it was ranked by, kept so that
    a plan explains itself. `degraded`: below the tier asked for, which the policy permits. `spared`: every offer is
    sick, and this is one of the places to wait at for a half-open permit.
    """

    offer: str
    tier: Tier
    price_micro: int
    most_micro: int | None = None
    expected_s: float
    adjustments: tuple[Adjustment, ...] = ()
    billed: bool = True
    p95_s: float | None = None
    queue_s: float = 0.0
    success: float = 1.0
    throttled: float = 0.0
    drift: float = 1.0
    load: float = 0.0
    degraded: bool = False
    spared: bool = False

    @property
    def provider(self) -> str:
        return provider_of(self.offer)

    @property
    def hold_micro(self) -> int:
        """What has to be held for an attempt there."""
        return self.price_micro if self.most_micro is None else self.most_micro

    @property
    def is_cancellable(self) -> bool:
        """Work that nobody bills is dropped when nobody wants it any more; what is billed is paid for all the same."""
        return not self.billed

    @property
    def most_s(self) -> float:
        """The time that it keeps 95 times in 100, its queue included."""
        return self.queue_s + (self.expected_s if self.p95_s is None else self.p95_s)


class Exclusion(Struct, frozen=True, kw_only=True):
    """An offer that is left out. `field` and `detail` say which wish it cannot meet and what would fit."""

    offer: str
    reason: Reason
    field: str | None = None
    detail: str = ""
