"""Facts that nobody counts as they happen, read every few seconds for the metrics: budgets, the ledger's backlog, the
age of prices, webhooks, what the picture workers have to do, how quickly the store answers, and what its clock says.

A reading that fails is left out and told as an error of the store; the next one tries again.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime

from adapters.contract import Offer
from gateway.clock import Clock, day_of
from gateway.current import Current
from gateway.engine.line import Line
from gateway.ledger.outbox import Outbox
from gateway.money import MICRO
from gateway.observe import Metrics, log
from gateway.pictures import Pool
from gateway.settings import Budget, Settings
from gateway.state.budgets import Balance, Budgets, Scope, Window, accounts
from gateway.state.connection import StoreUnavailable
from gateway.state.deliveries import Deliveries
from gateway.state.endpoints import Endpoints

_ANY_TEAM, _ANY_KEY = "-", "-"
_CAPS = {Window.DAY: "day_micro", Window.MONTH: "month_micro", Window.TOTAL: "total_micro"}


class Readings:
    def __init__(
        self,
        current: Current,
        budgets: Budgets,
        outbox: Outbox,
        endpoints: Endpoints,
        deliveries: Deliveries,
        pool: Pool,
        line: Line,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._current, self._budgets, self._outbox = current, budgets, outbox
        self._endpoints, self._deliveries = endpoints, deliveries
        self._pool, self._line, self._metrics, self._clock = pool, line, metrics, clock

    async def go_on(self, every_s: float) -> None:
        """Reads for ever, until it is cancelled."""
        while True:
            try:
                await self.read()
            except StoreUnavailable:
                self._metrics.store_errors.labels("reading").inc()
            except Exception as error:  # noqa: BLE001 - a defect here must not blind the replica for good
                log.error("reading_failed", error=type(error).__name__, exc_info=error)
            await self._clock.sleep(every_s)

    async def read(self) -> None:
        """Once. Raises `StoreUnavailable`."""
        self._read_pictures()
        self._metrics.queue_age.set(self._line.oldest_s)
        self._read_prices()
        before_ms, began_s = self._clock.now_ms(), time.perf_counter()
        backlog = await self._outbox.backlog()
        self._metrics.store_seconds.observe(time.perf_counter() - began_s)
        now_ms = self._clock.now_ms()
        self._metrics.clock_ahead.set(((before_ms + now_ms) / 2 - backlog.at_ms) / 1000)
        self._metrics.ledger_rows.set(backlog.rows)
        oldest_ms = backlog.at_ms if backlog.oldest_ms is None else backlog.oldest_ms
        self._metrics.ledger_age.set(max(0, backlog.at_ms - oldest_ms) / 1000)
        self._metrics.ledger_aside.set(backlog.aside)
        self._metrics.webhooks_disabled.set(await self._endpoints.disabled_count())
        self._metrics.webhooks_late.set(await self._deliveries.late_ms(now_ms) / 1000)
        await self._read_budgets(now_ms)

    def _read_pictures(self) -> None:
        self._metrics.picture_jobs.labels("busy").set(self._pool.busy)
        self._metrics.picture_jobs.labels("waiting").set(self._pool.waiting)

    def _read_prices(self) -> None:
        now_ms = self._clock.now_ms()
        for name, offer in self._current.settings.offers.items():
            if (since := seen_on(offer, day_of(now_ms))) is not None:
                seen_s = datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp()
                self._metrics.price_age.labels(name).set(now_ms / 1000 - seen_s)

    async def _read_budgets(self, now_ms: int) -> None:
        """Of teams and keys the fullest alone: who they are is for `/v1/usage`, and never a label."""
        capped = dict(_capped(self._current.settings, now_ms))
        gateway_total = accounts(_ANY_TEAM, _ANY_KEY, now_ms)[2]
        balances = await self._budgets.read((*capped, gateway_total))
        self._metrics.held_usd.set(balances[gateway_total].held_micro / MICRO)
        fullest: defaultdict[tuple[Scope, Window], float] = defaultdict(float)
        for account, (scope, window, cap_micro) in capped.items():
            fullest[scope, window] = max(fullest[scope, window], used(balances[account], cap_micro))
        for (scope, window), share in fullest.items():
            self._metrics.budget_used.labels(scope.value, window.value).set(share)


def used(balance: Balance, cap_micro: int) -> float:
    """What is spent and held, over the cap; a cap of nothing is always used up."""
    return (balance.spent_micro + balance.held_micro) / cap_micro if cap_micro else 1.0


def seen_on(offer: Offer, day: date) -> date | None:
    """The day on which the price in force was seen; None where the configuration gave it, or nothing is billed."""
    since = [row.since for row in offer.prices if row.since <= day]
    return max(since) if since and max(since) > date.min else None


def _capped(settings: Settings, now_ms: int) -> Iterable[tuple[str, tuple[Scope, Window, int]]]:
    """Every account that has a cap, with whose it is, its window and the cap."""
    yield from _of(settings.budget, Scope.GATEWAY, _ANY_TEAM, _ANY_KEY, now_ms)
    for team in settings.teams.values():
        yield from _of(team.budget, Scope.TEAM, team.name, _ANY_KEY, now_ms)
    for key in settings.keys.values():
        yield from _of(key.budget, Scope.KEY, key.team, key.id, now_ms)


def _of(
    budget: Budget, scope: Scope, team: str, key: str, now_ms: int
) -> Iterable[tuple[str, tuple[Scope, Window, int]]]:
    place = (Scope.KEY, Scope.TEAM, Scope.GATEWAY).index(scope)
    names = accounts(team, key, now_ms)  # total, month, day; in each key, team, gateway
    for number, window in enumerate((Window.TOTAL, Window.MONTH, Window.DAY)):
        cap_micro: int | None = getattr(budget, _CAPS[window])
        if cap_micro is not None:
            yield names[number * 3 + place], (scope, window, cap_micro)
