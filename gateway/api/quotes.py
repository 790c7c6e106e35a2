"""`POST /v1/quotes`: what an edit sent now would do, and why, without holding or sending anything.

The request goes the edit's own way up to its plan, pictures included, since their shape decides what an offer can do.
"""

from litestar import post
from msgspec import Struct

from adapters.contract import Adjustment
from gateway.api.admission import Identity
from gateway.api.answers import sent_for
from gateway.api.context import Context, Given
from gateway.api.documents import EditOperation
from gateway.api.idempotency import fingerprint_aside, idempotency_key
from gateway.api.purse import Left
from gateway.api.requests import AnyRequest, read_body
from gateway.engine.order import Order
from gateway.engine.terms import hedge_of, held_micro
from gateway.money import usd
from policies.explain import why_excluded, why_ranked
from policies.hedge import worst_case_extra_micro
from policies.plans import Plan
from policies.reasons import Reason


class QuotedOffer(Struct, frozen=True, kw_only=True):
    """An offer that would be tried at its rank. `price_usd` is for all pictures; `within_s` is kept 95 times in 100.
    `adjustments` and `sent` are what the edit would be sent as there."""

    offer: str
    rank: int
    tier: str
    degraded: bool
    price_usd: str
    expected_s: float
    within_s: float
    why: str
    adjustments: tuple[Adjustment, ...]
    sent: dict[str, str]


class QuotedExclusion(Struct, frozen=True, kw_only=True):
    offer: str
    reason: Reason
    field: str | None
    why: str


class BudgetAnswer(Struct, frozen=True, kw_only=True):
    """A cap of the caller's key, its team or the gateway. `enough`: it would hold the worst case now."""

    scope: str
    window: str
    cap_usd: str
    left_usd: str
    enough: bool


class QuoteAnswer(Struct, frozen=True, kw_only=True):
    """`candidates` is empty where nothing fits. `worst_case_usd` is what an edit would have held: the dearest
    candidate, because any may deliver, and where the team bought one a second runner, which may cost
    `second_runner_usd`. `affordable`: every budget would hold it now."""

    policy: str
    revision: str
    asked_tier: str
    candidates: tuple[QuotedOffer, ...]
    exclusions: tuple[QuotedExclusion, ...]
    worst_case_usd: str
    second_runner_usd: str | None
    affordable: bool
    budgets: tuple[BudgetAnswer, ...]


@post("/v1/quotes", status_code=200, operation_class=EditOperation, tags=["edits"])
async def create_quote(request: AnyRequest, context: Given) -> QuoteAnswer:
    """What an edit sent now would do: its offers in order with price, time and the reason, and why the others are out.

    Nothing is held, bought or kept but the pictures. A quote counts as a request of its key.
    """
    key = context.gate.caller(request, "edit", "read")
    await context.admission.rate(key)
    # Where equals share the traffic, the key decides as it does for the edit.
    sent_key = idempotency_key(request.headers.get("idempotency-key"), required=False)
    with context.door.passed(request, key, edits=False):
        form = await read_body(request)
        identity = Identity(fingerprint=await fingerprint_aside(form), key=sent_key)
        order = await context.desk.order(form, key, identity, None, context.engine.new_id())
    return _quote(context, order, context.engine.plan(order), await context.desk.purse.left(key))


def _quote(context: Context, order: Order, plan: Plan, left: tuple[Left, ...]) -> QuoteAnswer:
    hedge = hedge_of(context.settings, order.team)
    worst_micro = held_micro(context.settings, order, plan)
    budgets = tuple(_budget(one, worst_micro) for one in left)
    return QuoteAnswer(
        policy=plan.policy,
        revision=context.settings.revision,
        asked_tier=plan.tier.value,
        candidates=_candidates(context, order, plan),
        exclusions=tuple(
            QuotedExclusion(offer=one.offer, reason=one.reason, field=one.field, why=why_excluded(one))
            for one in plan.exclusions
        ),
        worst_case_usd=usd(worst_micro),
        second_runner_usd=usd(worst_case_extra_micro(plan, hedge)) if hedge else None,
        affordable=all(budget.enough for budget in budgets),
        budgets=budgets,
    )


def _candidates(context: Context, order: Order, plan: Plan) -> tuple[QuotedOffer, ...]:
    return tuple(
        QuotedOffer(
            offer=one.offer,
            rank=rank,
            tier=one.tier.value,
            degraded=one.degraded,
            price_usd=usd(one.price_micro),
            expected_s=round(one.queue_s + one.expected_s, 1),
            within_s=round(one.most_s, 1),
            why=why_ranked(plan, one.offer),
            adjustments=one.adjustments,
            sent=sent_for(order.edit, context.settings.offers[one.offer]),
        )
        for rank, one in enumerate(plan.candidates, 1)
    )


def _budget(one: Left, worst_micro: int) -> BudgetAnswer:
    return BudgetAnswer(
        scope=one.scope.value,
        window=one.window.value,
        cap_usd=usd(one.cap_micro),
        left_usd=usd(max(0, one.left_micro)),
        enough=worst_micro <= one.left_micro,
    )
