"""The terms of an order: what it may choose from, what is held for it, whose budgets it must keep, and what a
refusal of it sticks to."""

from hashlib import sha256

from adapters.contract import Edit
from gateway.engine.order import Order
from gateway.settings import Budget, Settings
from gateway.state.budgets import Cap, Caps
from gateway.state.terms import Terms
from policies.facts import Facts
from policies.hedge import Terms as Hedge
from policies.hedge import to_hold_micro
from policies.plans import Plan
from policies.policy import resolve
from policies.wishes import Wishes


def wishes(settings: Settings, order: Order, facts: Facts) -> Wishes:
    """What the order asks for, its floor made exact: the request's or the team's, else the policy's of this moment."""
    wish, team = order.wish, settings.teams.get(order.team)
    return Wishes(
        tier=wish.tier or resolve(order.policy, facts).tier,
        max_cost_micro=wish.max_cost_micro,
        deadline_s=wish.deadline_s,
        models=wish.models,
        allowed=team.offers if team else None,
        metadata=wish.metadata,
    )


def terms(settings: Settings, order: Order, plan: Plan) -> Terms:
    """One hold per edit: the dearest candidate, because any of them may deliver, and the second runner that its team
    bought. A team that accepts the risk of a duplicate has that one held too, when it comes to it."""
    return Terms(
        hold_micro=held_micro(settings, order, plan),
        caps=caps(settings, order.team, order.key_id),
        claim=order.claim,
        content=content_hash(order.edit),
        most_open=order.most_open,
    )


def held_micro(settings: Settings, order: Order, plan: Plan) -> int:
    """What accepting the order holds."""
    return to_hold_micro(plan, hedge_of(settings, order.team), order.wish.max_cost_micro)


def hedge_of(settings: Settings, team: str) -> Hedge | None:
    """The second runner that a team bought."""
    found = settings.teams.get(team)
    return found.hedge if found else None


def caps(settings: Settings, team: str, key_id: str) -> Caps:
    """The caps that an edit of this key must keep. A key or team that the configuration lost has none of its own."""
    key = next((one for one in settings.keys.values() if one.team == team and one.id == key_id), None)
    known = settings.teams.get(team)
    return Caps(
        gateway=_cap(settings.budget),
        team=_cap(known.budget) if known else Cap(),
        key=_cap(key.budget) if key else Cap(),
    )


def _cap(budget: Budget) -> Cap:
    return Cap(day_micro=budget.day_micro, month_micro=budget.month_micro, total_micro=budget.total_micro)


def content_hash(edit: Edit) -> str:
    """The prompt and the pictures, and nothing that a caller could vary to get around a refusal."""
    pictures = [picture.digest for picture in (*edit.images, *((edit.mask,) if edit.mask else ()))]
    return sha256("\n".join((edit.prompt, *pictures)).encode()).hexdigest()
