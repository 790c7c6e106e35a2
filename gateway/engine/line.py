"""The line before each provider's account: who waits for a place there, and whose turn is next.

Places are permits in the store, over all replicas; whose turn it is, is decided here for the edits of this replica.
Only the one whose turn it is asks the store: at once when a place was freed here, and a few times a second for those
that were freed elsewhere. Two thousand who wait cost the store no more than one.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from math import inf
from typing import Any

from gateway.clock import Clock
from gateway.current import Current
from gateway.engine.overload import Overloaded, Reason
from policies.candidates import provider_of
from policies.shares import Standing, fits, retry_after_s
from policies.turns import Turns, ahead_s, next_team, taken

Kind = tuple[str, ...]
"""The offers that an edit waits for: edits of one kind can begin at the same times."""


class Ticket:
    """An edit in line. `seconds`: how long it is expected to keep the place. `fresh`: nothing was ever bought for it.
    `dropped`: nobody wants it any more. `woken`: it may be its turn, or that has changed while it asked for a place."""

    def __init__(
        self, line: "Line", edit: str, team: str, offers: Kind, since_s: float, seconds: float, *, fresh: bool
    ) -> None:
        self._line, self.edit, self.team, self.offers = line, edit, team, offers
        self.account, self.since_s, self.seconds = provider_of(offers[0]), since_s, seconds
        self.fresh, self.dropped, self.until_s = fresh, False, inf
        self.woken = asyncio.Event()

    def __repr__(self) -> str:
        return f"Ticket({self.edit} of {self.team} at {self.account})"

    @property
    def wait_s(self) -> float:
        """0 when it is its turn; else for how long, as far as is known."""
        return self._line.wait_s(self)

    @property
    def stalled(self) -> bool:
        """Its offers took nothing when one was last asked for."""
        return self._line.is_stalled(self)

    def full(self, pause_s: float) -> None:
        """There was no place at the account: nobody needs to ask for so long, unless one is freed."""
        self._line.full(self, 0.0 if self.woken.is_set() else pause_s)

    def stall(self, pause_s: float) -> None:
        """Its offers take nothing now, whoever asks: edits for others go first meanwhile."""
        self._line.stall(self, pause_s)

    def take(self) -> None:
        """It has a place, and leaves the line."""
        self._line.take(self)

    def move(self, account: str) -> None:
        """It waits elsewhere from here on."""
        self._line.move(self, account)

    async def sleep(self, left_s: float) -> None:
        """Until it may be its turn, or nothing can be expected in time any more, which is in `left_s`."""
        self.until_s = self._line.now_s + left_s
        await self._line.sleep(self, left_s)


class _Account:
    """By team and kind, those who wait."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, Kind], deque[Ticket]] = {}
        self.stalled_until_s: dict[Kind, float] = {}
        self.full_until_s = 0.0
        self.turns = Turns()

    def ready(self, at_s: float) -> list[Ticket]:
        """The first of each team and kind that can begin, in the order of their coming."""
        firsts = (line[0] for (_, kind), line in self.waiting.items() if not self.is_stalled(kind, at_s))
        return sorted(firsts, key=lambda ticket: ticket.since_s)

    def is_stalled(self, kind: Kind, at_s: float) -> bool:
        return self.stalled_until_s.get(kind, 0.0) > at_s


class Line:
    def __init__(self, current: Current, clock: Clock) -> None:
        self._current, self._clock = current, clock
        self._accounts: dict[str, _Account] = {}
        self._tickets: dict[str, Ticket] = {}

    def __repr__(self) -> str:
        return f"Line({len(self)} edits)"

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def now_s(self) -> float:
        return self._clock.monotonic()

    def is_waited_for(self, account: str) -> bool:
        return bool(self._accounts[account].waiting) if account in self._accounts else False

    @property
    def oldest_s(self) -> float:
        """For how long the one that came first has waited."""
        since_s = min((ticket.since_s for ticket in self._tickets.values()), default=None)
        return 0.0 if since_s is None else self.now_s - since_s

    # --- who may come in ------------------------------------------------------------------------------------------

    def check(self, team: str, account: str, places: int, most_s: float) -> None:
        """Raises `Overloaded` where one more of the team would have no room in line, or would wait longer than `most_s`
        (and than `[limits] queue_s`) for one of the `places` that are in use here or free."""
        limits, mine = self._current.settings.limits, sum(one.team == team for one in self._tickets.values())
        wait_s = self.expected_s(team, account, places)
        standing = Standing(
            limit=limits.queued, taken=len(self), mine=mine, share=self._share(team), alone=self._is_alone
        )
        if not fits(standing, 1):
            raise Overloaded(Reason.QUEUED, retry_after_s(1, wait_s, 1), mine=standing.taken < standing.limit)
        if wait_s > (most_s := min(most_s, limits.queue_s)):
            raise Overloaded(Reason.WAIT, retry_after_s(1, wait_s - max(0.0, most_s), 1))

    def expected_s(self, team: str, account: str, places: int) -> float:
        """How long one more of the team would wait there."""
        found = self._accounts.get(account, _Account())
        queued_s: dict[str, float] = {}
        for (name, kind), line in found.waiting.items():
            if kind not in found.stalled_until_s:
                queued_s[name] = queued_s.get(name, 0.0) + sum(ticket.seconds for ticket in line)
        return ahead_s(queued_s, {name: self._share(name) for name in (team, *queued_s)}, team) / max(1, places)

    # --- waiting --------------------------------------------------------------------------------------------------

    @contextmanager
    def joined(self, edit: str, team: str, offers: Kind, seconds: float, *, fresh: bool = True) -> Generator[Ticket]:
        """In line for the first of `offers` while the block runs, or until it takes its place."""
        ticket = Ticket(self, edit, team, offers, self.now_s, seconds, fresh=fresh)
        self._tickets[edit] = ticket
        self._enter(ticket)
        try:
            yield ticket
        finally:
            self._leave(ticket)

    def drop(self, edit: str) -> bool:
        """Nobody wants it any more. False for one that is not in line, or had a place before: it goes on."""
        ticket = self._tickets.get(edit)
        if ticket is None or not ticket.fresh:
            return False
        ticket.dropped = True
        ticket.woken.set()
        return True

    def freed(self, account: str) -> None:
        """A place became free here."""
        if found := self._accounts.get(account):
            found.full_until_s = 0.0
            self._wake(found)

    # --- for tickets ----------------------------------------------------------------------------------------------

    def wait_s(self, ticket: Ticket) -> float:
        at_s, account = self.now_s, self._accounts[ticket.account]
        stalled_s = account.stalled_until_s.get(ticket.offers, 0.0) - at_s
        if stalled_s > 0:
            return stalled_s if account.waiting[ticket.team, ticket.offers][0] is ticket else inf
        return max(0.0, account.full_until_s - at_s) if self._next(account) is ticket else inf

    def is_stalled(self, ticket: Ticket) -> bool:
        return ticket.offers in self._accounts[ticket.account].stalled_until_s

    def full(self, ticket: Ticket, pause_s: float) -> None:
        account = self._accounts[ticket.account]
        account.full_until_s = self.now_s + pause_s
        account.stalled_until_s.pop(ticket.offers, None)

    def stall(self, ticket: Ticket, pause_s: float) -> None:
        account = self._accounts[ticket.account]
        account.stalled_until_s[ticket.offers] = self.now_s + pause_s
        self._wake(account)

    def take(self, ticket: Ticket) -> None:
        account = self._accounts[ticket.account]
        account.stalled_until_s.pop(ticket.offers, None)
        account.turns = taken(account.turns, ticket.team, ticket.seconds, self._share(ticket.team))
        self._leave(ticket)

    def move(self, ticket: Ticket, account: str) -> None:
        self._exit(ticket)
        ticket.account = account
        self._enter(ticket)

    async def sleep(self, ticket: Ticket, left_s: float) -> None:
        """Only who may be next keeps an eye on the clock, and wakes whose time is over: two thousand timers less."""
        wait_s = self.wait_s(ticket)
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(ticket.woken.wait())]
        if wait_s < inf:
            tasks.append(asyncio.ensure_future(self._clock.sleep(min(wait_s, left_s))))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._sweep(self._accounts[ticket.account])
        finally:
            ticket.woken.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- small words ----------------------------------------------------------------------------------------------

    def _enter(self, ticket: Ticket) -> None:
        account = self._accounts.setdefault(ticket.account, _Account())
        account.waiting.setdefault((ticket.team, ticket.offers), deque()).append(ticket)

    def _leave(self, ticket: Ticket) -> None:
        if self._tickets.get(ticket.edit) is ticket:
            del self._tickets[ticket.edit]
            self._exit(ticket)

    def _exit(self, ticket: Ticket) -> None:
        account, place = self._accounts[ticket.account], (ticket.team, ticket.offers)
        account.waiting[place].remove(ticket)
        if not account.waiting[place]:
            del account.waiting[place]
        if not account.waiting:
            account.stalled_until_s.clear()
        self._wake(account)
        if self._next(account) is None:
            # It may have been the one who kept an eye on the clock for all whose offers take nothing now.
            for line in account.waiting.values():
                line[0].woken.set()

    def _sweep(self, account: _Account) -> None:
        for ticket in (ticket for line in account.waiting.values() for ticket in line if ticket.until_s <= self.now_s):
            ticket.woken.set()

    def _wake(self, account: _Account) -> None:
        if ticket := self._next(account):
            ticket.woken.set()

    def _next(self, account: _Account) -> Ticket | None:
        """Whose turn it is."""
        firsts: dict[str, Ticket] = {}
        for ticket in account.ready(self.now_s):
            firsts.setdefault(ticket.team, ticket)
        return firsts[next_team(account.turns, firsts)] if firsts else None

    def _share(self, team: str) -> float:
        found = self._current.settings.teams.get(team)
        return found.share if found else 1.0

    @property
    def _is_alone(self) -> bool:
        return len(self._current.settings.teams) < 2
