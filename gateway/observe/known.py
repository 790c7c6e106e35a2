"""The closed sets that labels are taken from: what the configuration names. Whatever is not in one is `other`."""

from collections.abc import Mapping

from msgspec import Struct

OTHER = "other"


class Known(Struct, frozen=True, kw_only=True):
    """Offers with their tier, and policies with theirs. Empty sets close nothing (a test without a configuration)."""

    offers: Mapping[str, str] = {}
    policies: Mapping[str, str] = {}

    def offer(self, name: str) -> str:
        return name if not self.offers or name in self.offers else OTHER

    def policy(self, name: str) -> str:
        return name if not self.policies or name in self.policies else OTHER
