"""Budgets: what the gateway, a team and a key have spent and hold, by UTC day, by month and in total.

A cap is a wall: no step holds more than every cap leaves free. What was charged beyond its price (an overrun) is booked
all the same, because it was charged. Every account is kept whether or not a cap is configured, so a cap that comes
later is right at once. Amounts are integers of micro-dollars, below 2^53 even in sum: the scripts count in doubles.

When the store is away nothing is held, so nothing new is bought.
"""

from calendar import monthrange
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import cast

from msgspec import Struct
from redis.asyncio import Redis

from gateway.clock import day_of
from gateway.state import keys
from gateway.state.connection import unavailable
from gateway.state.scripts import Reply

MOST_AMOUNT_MICRO = 10**12  # a million dollars: no single edit, and far below what a sum may reach
MOST_CAP_MICRO = 2**53 - 1


class Scope(StrEnum):
    """Whose budget; `edit` is the most that one edit may cost (`max_cost_usd`)."""

    EDIT = "edit"
    KEY = "key"
    TEAM = "team"
    GATEWAY = "gateway"


class Window(StrEnum):
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class Cap(Struct, frozen=True, kw_only=True):
    """The most that one scope may spend and hold, in micro-dollars; None is any sum."""

    day_micro: int | None = None
    month_micro: int | None = None
    total_micro: int | None = None

    def __post_init__(self) -> None:
        for cap in (self.day_micro, self.month_micro, self.total_micro):
            if cap is not None and not 0 <= cap <= MOST_CAP_MICRO:
                raise ValueError(f"a cap is from 0 to {MOST_CAP_MICRO} micro-dollars, not {cap}")


class Caps(Struct, frozen=True, kw_only=True):
    gateway: Cap = Cap()
    team: Cap = Cap()
    key: Cap = Cap()

    def words(self) -> str:
        """As the scripts read them: total, month, day, and in each key, team, gateway; `-` is none."""
        scopes = (self.key, self.team, self.gateway)
        caps = (
            *(scope.total_micro for scope in scopes),
            *(scope.month_micro for scope in scopes),
            *(scope.day_micro for scope in scopes),
        )
        return " ".join("-" if cap is None else str(cap) for cap in caps)


class OverBudget(Exception):  # noqa: N818 - the name is the fact
    """A cap leaves too little. Nothing was written.

    `left_micro` is what the window still has, `turns_s` when it turns: None for a window that never does.
    """

    def __init__(self, scope: Scope, window: Window, cap_micro: int, left_micro: int, turns_s: float | None) -> None:
        super().__init__(f"the {scope} budget ({window}) of {cap_micro} micro-dollars has {left_micro} left")
        self.scope, self.window = scope, window
        self.cap_micro, self.left_micro, self.turns_s = cap_micro, left_micro, turns_s


class Balance(Struct, frozen=True, kw_only=True):
    """One account, in micro-dollars."""

    spent_micro: int = 0
    held_micro: int = 0


class Holding(Struct, frozen=True, kw_only=True):
    """What one edit holds and has spent. `kept_micro` is the part of `held_micro` for its unresolved attempts."""

    edit: str
    held_micro: int
    kept_micro: int
    spent_micro: int
    accounts: tuple[str, ...]


def amount(micro: int) -> int:
    """The same number, if it can be an amount. Raises `ValueError`."""
    if not 0 <= micro <= MOST_AMOUNT_MICRO:
        raise ValueError(f"an amount is from 0 to {MOST_AMOUNT_MICRO} micro-dollars, not {micro}")
    return micro


def scopes(team: str, key_id: str) -> tuple[str, str, str]:
    """The keys of three budgets, before their window: key, team, gateway. As the scripts want them."""
    return (f"{keys.BUDGET}key:{team}/{key_id}", f"{keys.BUDGET}team:{team}", f"{keys.BUDGET}gateway")


def accounts(team: str, key_id: str, at_ms: int) -> tuple[str, ...]:
    """The nine accounts of an edit accepted at `at_ms`, as `accounts_at` in `lua/money.lua` names them."""
    day = day_of(at_ms).isoformat()
    windows = ("total", f"month:{day[:7]}", f"day:{day}")
    return tuple(f"{scope}:{window}" for window in windows for scope in scopes(team, key_id))


def over_budget(reply: Reply) -> OverBudget:
    """The refusal that a script gave. An empty account is the edit itself."""
    _, now, name, cap, left = cast("tuple[bytes, int, bytes, int, int]", reply)
    account = name.decode()
    scope, window = _place(account) if account else (Scope.EDIT, Window.TOTAL)
    return OverBudget(scope, window, cap, left, _turns_s(window, account.rpartition(":")[2], now))


def _turns_s(window: Window, date: str, now_ms: int) -> float | None:
    """Seconds until the window of `2027-01` or `2027-01-31` is over; an edit of yesterday may ask for one that is."""
    if window is Window.TOTAL:
        return None
    last = date if window is Window.DAY else f"{date}-{monthrange(int(date[:4]), int(date[5:]))[1]}"
    turn = datetime.fromisoformat(last).replace(tzinfo=UTC) + timedelta(days=1)
    return max(0.0, turn.timestamp() - now_ms / 1000)


def _place(account: str) -> tuple[Scope, Window]:
    words = account.removeprefix(keys.BUDGET).split(":")
    return Scope(words[0]), Window.TOTAL if words[-1] == Window.TOTAL else Window(words[-2])


class Budgets:
    """Reads the accounts. Only the steps of edits write them."""

    def __init__(self, store: Redis) -> None:
        self._store = store

    async def balances(self, team: str, key_id: str, at_ms: int) -> dict[tuple[Scope, Window], Balance]:
        """The nine accounts of a key in the windows of `at_ms`."""
        names = accounts(team, key_id, at_ms)
        read = await self.read(names)
        return {_place(name): read[name] for name in names}

    async def everything(self) -> dict[str, Balance]:
        """Every account ever booked, by its key. For an audit: it walks the whole store."""
        return await self.read(await self._names(keys.BUDGET))

    async def holdings(self) -> tuple[Holding, ...]:
        """Every edit that the store holds. For an audit: it walks the whole store."""
        found = await self._fields(await self._names(keys.EDIT), "held", "kept", "spent", "accounts")
        return tuple(
            Holding(
                edit=name.removeprefix(keys.EDIT),
                held_micro=int(held or 0),
                kept_micro=int(kept or 0),
                spent_micro=int(spent or 0),
                accounts=tuple((names or b"").decode().split("\n")),
            )
            for name, (held, kept, spent, names) in found
        )

    async def is_empty(self) -> bool:
        """Whether nothing was ever accepted here, nor restored: each writes the gateway's account in total. Beside a
        ledger with open windows that is a store that lost everything."""
        with unavailable():
            return not await self._store.exists(keys.GATEWAY_TOTAL)

    async def read(self, names: tuple[str, ...]) -> dict[str, Balance]:
        """Accounts by their keys (`accounts`)."""
        found = await self._fields(names, "spent", "held")
        return {name: Balance(spent_micro=int(spent or 0), held_micro=int(held or 0)) for name, (spent, held) in found}

    async def _names(self, prefix: str) -> tuple[str, ...]:
        with unavailable():
            scan = self._store.scan_iter(match=f"{prefix}*", count=500)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - redis-py's own
            return tuple(sorted({name.decode() async for name in cast("AsyncIterator[bytes]", scan)}))

    async def _fields(self, names: tuple[str, ...], *fields: str) -> Iterator[tuple[str, list[bytes | None]]]:
        with unavailable():
            pipeline = self._store.pipeline(transaction=False)
            for name in names:
                pipeline.hmget(name, list(fields))
            return zip(names, cast("list[list[bytes | None]]", await pipeline.execute()), strict=True)
