"""The log of every exchange: when it came, how long it was until the answer was written, and what it was about."""

from collections import deque

from msgspec import Struct

from gateway.rehearsal.exchange import Manner, Provider

KEPT = 200_000


class Exchange(Struct, frozen=True, kw_only=True):
    """`received_at` is a reading of the stand-ins' clock when the head had come; times are in seconds.

    `status` is 0 where no answer was sent. `manner` says whether the answer left whole.
    """

    provider: Provider | None
    method: str
    path: str
    step: str | None
    endpoint: str
    ids: tuple[str, ...]
    client_ref: str | None
    outcome: str
    fault: str | None
    status: int
    manner: Manner
    received_at: float
    seconds: float
    bytes_in: int
    bytes_out: int

    @property
    def answered_at(self) -> float:
        return self.received_at + self.seconds


class Log:
    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=KEPT)

    def __repr__(self) -> str:
        return f"Log({', '.join(f'{e.provider} {e.endpoint} {e.status}' for e in self.exchanges[-5:])})"

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The last 200,000, oldest first."""
        return tuple(self._exchanges)

    def of(self, provider: Provider | str, step: str | None = None) -> tuple[Exchange, ...]:
        return tuple(e for e in self._exchanges if e.provider == provider and step in {None, e.step})

    def write(self, exchange: Exchange) -> None:
        self._exchanges.append(exchange)

    def clear(self) -> None:
        self._exchanges.clear()
