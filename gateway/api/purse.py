"""What an API key's budgets have left: of its own, its team's and the gateway's, by day, by month and in total.

Read and never held: a hold is the engine's, in the step that accepts an edit. So what this says is a moment old.
"""

from msgspec import Struct

from gateway.clock import Clock
from gateway.current import Current
from gateway.engine.terms import caps
from gateway.settings import Key
from gateway.state.budgets import Budgets, Cap, Scope, Window


class Left(Struct, frozen=True, kw_only=True):
    """One cap, and what is neither spent nor held of it. Micro-dollars."""

    scope: Scope
    window: Window
    cap_micro: int
    left_micro: int

    @property
    def share(self) -> float:
        return max(0.0, self.left_micro / self.cap_micro) if self.cap_micro else 0.0


class Purse(Struct, frozen=True):
    current: Current
    budgets: Budgets
    clock: Clock

    async def left(self, key: Key) -> tuple[Left, ...]:
        """Every cap of the key; none where nothing limits it. Raises `StoreUnavailable`."""
        limits = caps(self.current.settings, key.team, key.id)
        capped = {
            (scope, window): cap
            for scope, limit in ((Scope.KEY, limits.key), (Scope.TEAM, limits.team), (Scope.GATEWAY, limits.gateway))
            for window, cap in _windows(limit).items()
            if cap is not None
        }
        if not capped:
            return ()
        balances = await self.budgets.balances(key.team, key.id, self.clock.now_ms())
        return tuple(
            Left(
                scope=scope,
                window=window,
                cap_micro=cap,
                left_micro=cap - balances[scope, window].spent_micro - balances[scope, window].held_micro,
            )
            for (scope, window), cap in capped.items()
        )

    async def share(self, key: Key) -> float | None:
        """The share left of the tightest budget; None where nothing limits the key."""
        return min((one.share for one in await self.left(key)), default=None)


def _windows(cap: Cap) -> dict[Window, int | None]:
    return {Window.DAY: cap.day_micro, Window.MONTH: cap.month_micro, Window.TOTAL: cap.total_micro}
