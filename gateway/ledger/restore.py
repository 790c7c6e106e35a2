"""What a lost store must be given back, from the rows alone: money by budget window, keys, and what was under way.

An edit's prompt and calls are not in the books, so an edit that was open cannot go on. Its hold stays, and each of its
open attempts is unresolved: a provider may have been paid for it. An attempt that had ended stays as it ended.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date

from msgspec import Struct

from gateway.clock import day_of
from gateway.ledger.accounts import UNDONE, Account, AttemptAccount, account, accounts, windows
from gateway.ledger.book import Book
from gateway.ledger.rows import Row, RowKind

KEYS_MS = 24 * 3600 * 1000


class Spending(Struct, frozen=True, order=True):
    """What one scope (`gateway`, `team:<name>`, `key:<team>/<id>`) spent and holds in one window (`day:2027-01-31`,
    `month:2027-01`, `total`)."""

    scope: str
    window: str
    spent_micro: int
    held_micro: int


class DaySpending(Struct, frozen=True, order=True):
    """What one key spent and holds for the edits that were accepted on one UTC day: what all windows add up."""

    day: date
    team: str
    key_id: str
    spent_micro: int
    held_micro: int


class KnownKey(Struct, frozen=True, kw_only=True):
    """An idempotency key that is still remembered; `until_ms` None while its edit is not over."""

    key_hash: str
    fingerprint: str | None
    team: str
    edit: str
    until_ms: int | None


class OpenEdit(Struct, frozen=True, kw_only=True):
    """An edit that is not over, or still holds money for an attempt that is unresolved. `outcome` None: it ran.
    `attempts` are all that the books know, `unresolved` those that may have been charged; the rows of others may have
    been lost with the store. `offer` and `finished_ms` are those of its end."""

    edit: str
    team: str
    key_id: str
    accepted_ms: int
    origin: str | None
    outcome: str | None
    offer: str | None
    finished_ms: int
    spent_micro: int
    held_micro: int
    attempts: tuple[AttemptAccount, ...]
    unresolved: tuple[AttemptAccount, ...]


class Restoration(Struct, frozen=True, kw_only=True):
    """`days` has everything, `spending` the windows of today and those in which something is held. `last_row_ms` is
    when the last step that reached the books took effect (None: they are empty), `age_ms` how long ago."""

    days: tuple[DaySpending, ...]
    spending: tuple[Spending, ...]
    keys: tuple[KnownKey, ...]
    open_edits: tuple[OpenEdit, ...]
    rows: int
    last_row_ms: int | None
    age_ms: int | None


async def restoration(book: Book, now_ms: int) -> Restoration:
    """Read from the books edit by edit: one edit at a time is in memory, however long the books are."""
    restorer = _Restorer(now_ms)
    async for rows in book.by_edit():
        restorer.add(account(rows))
    return restorer.result()


def restore(rows: Iterable[Row], now_ms: int) -> Restoration:
    """The same from rows in hand, in the order in which their steps took effect."""
    restorer = _Restorer(now_ms)
    for each in accounts(rows):
        restorer.add(each)
    return restorer.result()


class Windows:
    """Spent and held by scope and window, added up edit by edit."""

    def __init__(self) -> None:
        self.spent: Counter[tuple[str, str]] = Counter()
        self.held: Counter[tuple[str, str]] = Counter()

    def add(self, scopes: Iterable[str], day: date, spent_micro: int, held_micro: int) -> None:
        for scope in scopes:
            for window in windows(day):
                self.spent[scope, window] += spent_micro
                self.held[scope, window] += held_micro

    def spending(self) -> dict[tuple[str, str], Spending]:
        return {(s, w): Spending(s, w, self.spent[s, w], self.held[s, w]) for s, w in self.spent}


class _Restorer:
    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._windows = Windows()
        self._spent: Counter[tuple[date, str, str]] = Counter()
        self._held: Counter[tuple[date, str, str]] = Counter()
        self._keys: list[KnownKey] = []
        self._open: list[OpenEdit] = []
        self._rows = 0
        self._last_ms: int | None = None

    def add(self, each: Account) -> None:
        self._rows += len(each.rows)
        self._last_ms = max(self._last_ms or 0, *(row.at_ms for row in each.rows))
        self._spent[each.day, each.team, each.key_id] += each.spent_micro
        self._held[each.day, each.team, each.key_id] += each.held_micro
        self._windows.add(each.scopes, each.day, each.spent_micro, each.held_micro)
        if not each.is_over or each.unresolved:
            self._open.append(_open_edit(each))
        if key := _known_key(each, self._now_ms):
            self._keys.append(key)

    def result(self) -> Restoration:
        current = windows(day_of(self._now_ms))
        kept = (one for one in self._windows.spending().values() if one.window in current or one.held_micro)
        return Restoration(
            days=tuple(sorted(DaySpending(*key, self._spent[key], self._held[key]) for key in self._spent)),
            spending=tuple(sorted(one for one in kept if one.spent_micro or one.held_micro)),
            keys=tuple(sorted(self._keys, key=lambda key: key.edit)),
            open_edits=tuple(sorted(self._open, key=lambda edit: edit.edit)),
            rows=self._rows,
            last_row_ms=self._last_ms,
            age_ms=None if self._last_ms is None else max(0, self._now_ms - self._last_ms),
        )


def _open_edit(each: Account) -> OpenEdit:
    return OpenEdit(
        edit=each.edit,
        team=each.team,
        key_id=each.key_id,
        accepted_ms=(each.accepted or each.rows[0]).at_ms,
        origin=each.accepted.origin if each.accepted else None,
        outcome=each.outcome,
        offer=next((row.offer for row in reversed(each.rows) if row.kind is RowKind.FINISH), None),
        finished_ms=each.finished_ms,
        spent_micro=each.spent_micro,
        held_micro=each.held_micro,
        attempts=each.attempts,
        unresolved=each.unresolved,
    )


def _known_key(each: Account, now_ms: int) -> KnownKey | None:
    """A key counts from the end of its edit. Two edits of one key: each is told, and the later one wins."""
    accepted = each.accepted
    if accepted is None or accepted.key_hash is None or each.outcome == UNDONE:
        return None
    until_ms = each.finished_ms + KEYS_MS if each.is_over else None
    if until_ms is not None and until_ms <= now_ms:
        return None
    return KnownKey(
        key_hash=accepted.key_hash,
        fingerprint=accepted.fingerprint,
        team=each.team,
        edit=each.edit,
        until_ms=until_ms,
    )
