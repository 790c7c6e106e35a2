"""What a plan may know of the moment: the day, the edit's age, and how each offer is doing.

A snapshot taken outside and handed in, so that the same facts always give the same plan. An offer without facts is
taken as healthy and as quick as its catalogue says: nothing is known against it.
"""

from datetime import date

from msgspec import Struct

from adapters.contract import Offer


class OfferFacts(Struct, frozen=True, kw_only=True):
    """`usual_s` is the measured time to a picture, None before any was measured. `disabled` says why, in words for
    the caller, where the offer cannot be bought here at all."""

    usual_s: float | None = None
    healthy: bool = True
    disabled: str | None = None


NOTHING_KNOWN = OfferFacts()


class Facts(Struct, frozen=True, kw_only=True):
    """`day` chooses the prices (UTC). `elapsed_s` is how long the edit has existed. `offers` by offer name."""

    day: date
    elapsed_s: float = 0.0
    offers: dict[str, OfferFacts] = {}

    def about(self, offer: Offer) -> OfferFacts:
        return self.offers.get(offer.name, NOTHING_KNOWN)

    def usual_s(self, offer: Offer) -> float:
        """The measured time to a picture, else the catalogue's."""
        measured = self.about(offer).usual_s
        return offer.usual_s if measured is None else measured
