"""The bill: every picture that was charged for, and to whom. The judge of "paid exactly once"."""

from collections import Counter

from msgspec import Struct

from gateway.rehearsal.clock import Clock
from gateway.rehearsal.exchange import Provider


class Entry(Struct, frozen=True, kw_only=True):
    """One charge. `id` is the provider's id of the task or run; `key` is the id that the caller chose for it.

    At Runware both are the `taskUUID`; at Runflow `key` is the `client_ref`, or the run's id where none was sent.
    `at` is a reading of the stand-ins' clock, in seconds.
    """

    provider: Provider
    id: str
    key: str
    model: str
    pictures: int
    cost_micro_usd: int
    at: float


class Total(Struct, frozen=True):
    charges: int
    pictures: int
    cost_micro_usd: int


class Bill:
    """Charges in the order in which they were made. A charge dated later than now does not show yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[Entry] = []

    def __repr__(self) -> str:
        return (
            f"Bill({', '.join(f'{e.provider}/{e.model} {e.key} {e.cost_micro_usd}' for e in self.entries) or 'empty'})"
        )

    @property
    def entries(self) -> tuple[Entry, ...]:
        now = self._clock()
        return tuple(entry for entry in self._entries if entry.at <= now)

    def charge(self, entry: Entry) -> None:
        self._entries.append(entry)

    def withdraw(self, provider: Provider, id: str) -> None:  # noqa: A002 (an entry's field)
        """Take back the charges of a task that will not be accepted after all: only those still to come."""
        now = self._clock()
        self._entries = [e for e in self._entries if not (e.provider is provider and e.id == id and e.at > now)]

    def total(self, provider: Provider | str | None = None) -> Total:
        chosen = [e for e in self.entries if provider is None or e.provider == provider]
        return Total(len(chosen), sum(e.pictures for e in chosen), sum(e.cost_micro_usd for e in chosen))

    def total_micro_usd(self, provider: Provider | str | None = None) -> int:
        return self.total(provider).cost_micro_usd

    def paid_twice(self) -> tuple[str, ...]:
        """The keys that one provider charged more than once."""
        seen = Counter((entry.provider, entry.key) for entry in self.entries)
        return tuple(key for (_, key), times in seen.items() if times > 1)

    def clear(self) -> None:
        self._entries.clear()
