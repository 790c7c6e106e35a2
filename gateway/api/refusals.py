"""The store's ways of saying no, as problems for the caller. After each of them nothing was spent."""

from typing import NoReturn

from gateway.api.problems import ProblemError
from gateway.clock import iso
from gateway.money import usd
from gateway.settings import Key
from gateway.state.budgets import OverBudget, Scope
from gateway.state.terms import LostClaim, RefusedBefore, TooMany

_WHOSE = {
    Scope.EDIT: "this edit's own cap (max_cost_usd)",
    Scope.KEY: "this key's budget",
    Scope.TEAM: "the team's budget",
    Scope.GATEWAY: "the gateway's budget",
}


def refuse(refusal: OverBudget | RefusedBefore | TooMany | LostClaim, key: Key, *, hedged: bool = False) -> NoReturn:
    """The store's no, in words for the caller. Nothing was spent. `hedged`: the team's edits hold for two runners."""
    match refusal:
        case OverBudget():
            raise over_budget(refusal, hedged=hedged)
        case RefusedBefore():
            until = iso(refusal.until_ms)
            detail = f"a provider refused the same prompt and pictures; the refusal stands until {until}"
            raise ProblemError("moderated", detail, expected="another prompt or picture")
        case TooMany():
            detail = f"this key has {refusal.limit} edits going on, as many as it may ({key.id})"
            raise ProblemError("rate_limited", detail, expected="a repeat once one has ended", retry_after_s=2)
        case LostClaim():
            detail = "the request took so long that another one took over its Idempotency-Key"
            raise ProblemError("conflict", detail, field="Idempotency-Key", retry_after_s=1)


def over_budget(refusal: OverBudget, *, hedged: bool = False) -> ProblemError:
    left = max(0, refusal.left_micro)
    detail = f"{_WHOSE[refusal.scope]} of ${usd(refusal.cap_micro)} ({refusal.window}) has ${usd(left)} left"
    if hedged:
        detail += "; an edit of this team holds the price of a second runner, too, as its `hedge` says"
    turns = None if refusal.turns_s is None else round(refusal.turns_s)
    return ProblemError(
        "budget",
        detail,
        field="max_cost_usd" if refusal.scope is Scope.EDIT else None,
        expected="a cheaper edit (another tier, fewer pictures), or a larger budget",
        retry_after_s=refusal.turns_s,
        extensions={
            "scope": refusal.scope.value,
            "window": refusal.window.value,
            "cap_usd": usd(refusal.cap_micro),
            "left_usd": usd(left),
            "turns_in_s": turns,
        },
    )
