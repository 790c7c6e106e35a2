"""Whether an edit could be queued: at one account, or at any of several."""

from collections.abc import Iterable

from gateway.current import Current
from gateway.engine.health import Health
from gateway.engine.line import Line
from gateway.engine.overload import Overloaded
from policies.candidates import provider_of


class Crowd:
    def __init__(self, current: Current, health: Health, line: Line) -> None:
        self._current, self._health, self._line = current, health, line

    def check_any(self, team: str, offers: Iterable[str], deadline_s: float) -> None:
        """Raises `Overloaded` where at no account of these offers an edit of the team could be queued."""
        refusals: list[Overloaded] = []
        for account in dict.fromkeys(provider_of(offer) for offer in offers):
            try:
                self.check(team, account, deadline_s)
            except Overloaded as why:
                refusals.append(why)
            else:
                return
        if refusals:
            raise min(refusals, key=lambda why: why.retry_after_s)

    def check(self, team: str, account: str, most_s: float) -> None:
        """Raises `Overloaded` where it would have to wait there for longer than `most_s`, or the line is full."""
        provider = self._current.settings.providers.get(account)
        if provider is None:
            return
        free = max(0, provider.max_concurrency - self._health.in_use(account))
        if not free or self._line.is_waited_for(account):
            self._line.check(team, account, self._health.running(account) + free, most_s)
