"""The story of a routing in an answer: every offer of the plan with its place and why, and every attempt."""

from msgspec import Struct

from gateway.engine.witness import outcome_of
from gateway.money import usd
from gateway.state.records import AttemptRecord, AttemptState, EditRecord
from policies.explain import why_excluded, why_raced, why_ranked
from policies.plans import Plan


class CandidateAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An offer of the plan: ranked with its price and time, or excluded with its reason. `why` is a sentence."""

    offer: str
    rank: int | None = None
    price_usd: str | None = None
    expected_s: float | None = None
    degraded: bool = False
    excluded: str | None = None
    field: str | None = None
    why: str


class AttemptAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`why` is a sentence about an attempt of two that ran at once."""

    offer: str
    outcome: str
    seconds: float | None
    cost_usd: str | None
    message: str
    why: str | None = None


class RoutingAnswer(Struct, frozen=True, kw_only=True):
    policy: str
    revision: str
    candidates: tuple[CandidateAnswer, ...]
    attempts: tuple[AttemptAnswer, ...]


def routing(record: EditRecord) -> RoutingAnswer:
    return RoutingAnswer(
        policy=record.plan.policy,
        revision=record.revision,
        candidates=(*ranked(record.plan), *excluded(record.plan)),
        attempts=tuple(_attempt(record, attempt) for attempt in record.attempts),
    )


def ranked(plan: Plan) -> tuple[CandidateAnswer, ...]:
    return tuple(
        CandidateAnswer(
            offer=one.offer,
            rank=rank,
            price_usd=usd(one.price_micro),
            expected_s=round(one.queue_s + one.expected_s, 1),
            degraded=one.degraded,
            why=why_ranked(plan, one.offer),
        )
        for rank, one in enumerate(plan.candidates, 1)
    )


def excluded(plan: Plan) -> tuple[CandidateAnswer, ...]:
    return tuple(
        CandidateAnswer(offer=one.offer, excluded=one.reason.value, field=one.field, why=why_excluded(one))
        for one in plan.exclusions
    )


def _attempt(record: EditRecord, attempt: AttemptRecord) -> AttemptAnswer:
    seconds = (attempt.closed_ms - attempt.opened_ms) / 1000 if attempt.closed_ms else None
    cost = None if attempt.cost_micro is None else usd(attempt.cost_micro)
    return AttemptAnswer(
        offer=attempt.offer,
        outcome=outcome_of(attempt),
        seconds=seconds,
        cost_usd=cost,
        message=attempt.message,
        why=_raced(record, attempt),
    )


def _raced(record: EditRecord, attempt: AttemptRecord) -> str | None:
    first = next((one for one in record.attempts if one.number == attempt.beside), None)
    if first is None and not attempt.lost:
        return None
    is_open = attempt.state is AttemptState.UNRESOLVED
    return why_raced(record.plan, attempt.offer, first.offer if first else None, lost=attempt.lost, is_open=is_open)
