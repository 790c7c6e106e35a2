"""The configuration in force. Rooms ask for it at the moment of use, so that a new one takes effect whole.

An edit keeps the policy, the prices and the order that it was accepted with: they are in its record. What it begins
after a reload, it begins at offers that are still sold; what is under way is followed to its end, at an offer that the
new file no longer has, too.
"""

from adapters.contract import Offer
from gateway.settings import Provider, Settings

Sold = tuple[Offer, Provider]


class Current:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._retired: dict[str, Sold] = {}
        self.refusal: str | None = None
        """Why the newest file is not the one in force; None where it is."""

    def __repr__(self) -> str:
        return f"Current({self._settings.revision})"

    @property
    def settings(self) -> Settings:
        return self._settings

    def replace(self, settings: Settings) -> None:
        """From the next use on. Offers that are gone are remembered for what is under way there."""
        self._retired |= {name: self._sold(name) for name in self._settings.offers}
        self._settings, self.refusal = settings, None

    def sells(self, offer: str) -> bool:
        return offer in self._settings.offers

    def find(self, offer: str) -> Sold | None:
        """An offer and its account, as configured now, else as they last were in this process."""
        return self._sold(offer) if self.sells(offer) else self._retired.get(offer)

    def _sold(self, name: str) -> Sold:
        offer = self._settings.offers[name]
        return offer, self._settings.providers[offer.provider]
