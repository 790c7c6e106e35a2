"""How an attempt and an edit end, as records: what was charged, what the caller is told."""

from msgspec.structs import replace

from adapters.contract import Done, Failed, FailureKind, Fate, Offer
from gateway.engine.attempts import Unresolved
from gateway.engine.delivery import Delivered
from gateway.state.budgets import OverBudget
from gateway.state.records import GPU_SECONDS, AttemptRecord, AttemptState, EditRecord, End, Problem, Status
from policies.price import gpu_micro
from policies.react import GiveUp

_DEADLINE, _NO_OFFER_NOW = "deadline", "no_offer_now"
WORDS: dict[FailureKind, str] = {
    FailureKind.INVALID: "the provider found the request wrong",
    FailureKind.UNSUPPORTED: "the offers cannot do this edit",
    FailureKind.MODERATED: "the provider refused the content; change the prompt or the picture",
    FailureKind.CREDENTIAL: "the provider refuses the gateway's key; its operator must mend that",
    FailureKind.CREDIT: "the gateway's account at the provider is out of credit; its operator must mend that",
    FailureKind.RATE_LIMITED: "the provider takes no more work from the gateway at the moment",
    FailureKind.BUSY: "the providers have no capacity at the moment",
    FailureKind.NOT_SENT: "the providers could not be reached",
    FailureKind.LOST: "the local backend stopped answering",
    FailureKind.TASK_FAILED: "the provider accepted the work and failed at it",
    FailureKind.BAD_PICTURE: "the provider delivered no usable picture; it was paid for and is not bought again",
    FailureKind.EXPIRED: "the provider accepted the work and its result never came",
}


def delivered(
    attempt: AttemptRecord, done: Done, result: Delivered, offer: Offer, seconds: float = 0.0
) -> AttemptRecord:
    """Settled at the provider's own figure, else at the price of what was delivered, or of the `seconds` that it took a
    machine of our own; fewer where that says so, for its queue is no work."""
    if not offer.billed:
        worked_s = seconds if done.worked_s is None else min(done.worked_s, seconds)
        return _spent(attempt, offer, worked_s, message="; ".join(result.notes))
    share = attempt.price_micro * len(done.pictures) // max(1, _asked(attempt, done))
    return _settled(attempt, done.cost_micro, share, message="; ".join(result.notes))


def _asked(attempt: AttemptRecord, done: Done) -> int:
    return max(attempt.pictures, len(done.pictures))


def failed(
    attempt: AttemptRecord, outcome: Failed, offer: Offer, charged: Done | None, seconds: float = 0.0
) -> AttemptRecord:
    """Settled where it was charged all the same, unresolved where nobody knows, released otherwise. A machine of our
    own has worked for `seconds`, unless it surely has not."""
    ended = replace(
        attempt,
        failure=outcome.kind,
        fate=outcome.fate,
        message=outcome.message,
        retry_after_s=outcome.retry_after,
    )
    cost_micro = outcome.cost_micro if charged is None else charged.cost_micro
    if not offer.billed:
        worked = offer.gpu is not None and outcome.fate is not Fate.NOT_RUN
        released = replace(ended, state=AttemptState.RELEASED)
        return _spent(ended, offer, seconds, message=outcome.message) if worked else released
    if cost_micro is not None or (outcome.fate is Fate.RAN and outcome.kind is FailureKind.BAD_PICTURE):
        return _settled(ended, cost_micro, attempt.price_micro, message=outcome.message)
    if is_unknown(outcome):
        return replace(ended, state=AttemptState.UNRESOLVED)
    return replace(ended, state=AttemptState.RELEASED)


def is_unknown(outcome: Failed) -> bool:
    """The provider took the work, and nobody can tell whether it charged."""
    return outcome.kind is FailureKind.EXPIRED and outcome.fate is Fate.MAY_HAVE_RUN


def unresolved(attempt: AttemptRecord, outcome: Unresolved) -> AttemptRecord:
    return replace(
        attempt,
        state=AttemptState.UNRESOLVED,
        failure=FailureKind.LOST,
        fate=Fate.MAY_HAVE_RUN,
        message=outcome.message,
    )


def outrun(attempt: AttemptRecord, offer: Offer, seconds: float) -> AttemptRecord:
    """Another attempt ended the edit while this one ran. Where it is billed nobody knows yet what it will cost: its
    price stays held until that is known. A machine of our own stops now, at what it has cost in `seconds`."""
    lost = replace(attempt, lost=True, message="another runner was faster")
    if offer.gpu is not None:
        return _spent(lost, offer, seconds, message=lost.message)
    return replace(lost, state=AttemptState.UNRESOLVED if offer.billed else AttemptState.RELEASED)


def let_go(attempt: AttemptRecord, offer: Offer, seconds: float) -> AttemptRecord:
    """Its caller wanted no more of it, and nobody bills for it: it stops at what it has cost."""
    return _spent(attempt, offer, seconds, message="its caller wanted no more of it")


def _spent(attempt: AttemptRecord, offer: Offer, seconds: float, *, message: str) -> AttemptRecord:
    """Settled where nobody sends a bill: at nothing, or by the seconds of a machine of our own, never above what is
    held for it."""
    if offer.gpu is None:
        return replace(attempt, state=AttemptState.SETTLED, cost_micro=0, cost_source="local", message=message)
    cost = min(gpu_micro(offer.gpu, seconds), attempt.price_micro)
    return replace(attempt, state=AttemptState.SETTLED, cost_micro=cost, cost_source=GPU_SECONDS, message=message)


def _settled(attempt: AttemptRecord, cost_micro: int | None, price_micro: int, *, message: str) -> AttemptRecord:
    source = "table" if cost_micro is None else "provider"
    cost = price_micro if cost_micro is None else cost_micro
    return replace(attempt, state=AttemptState.SETTLED, cost_micro=cost, cost_source=source, message=message)


def spent_micro(attempts: tuple[AttemptRecord, ...]) -> int:
    return sum(attempt.cost_micro or 0 for attempt in attempts)


def succeeded(record: EditRecord, attempt: AttemptRecord, result: Delivered, *, late: bool) -> End:
    return End(
        status=Status.SUCCEEDED,
        offer=attempt.offer,
        images=result.images,
        cost_micro=spent_micro((*(one for one in record.attempts if one.number != attempt.number), attempt)),
        late=late,
        notes=result.notes,
    )


def found_out(record: EditRecord, attempt: AttemptRecord, result: Delivered | Failed) -> End:
    """Of an unresolved edit, once it is known what became of its last unresolved attempt; `attempt` as it ended."""
    others = tuple(one for one in record.attempts if one.number != attempt.number)
    if was_refused((*others, attempt)):
        end = refused(())
    elif record.cancel_ms:
        end = cancelled(())
    elif isinstance(result, Delivered):
        end = succeeded(record, attempt, result, late=True)
    else:
        end = given_up((), GiveUp(kind=result.kind), result.message)
    before_micro = max(spent_micro(others), record.end.cost_micro if record.end else 0)
    return replace(end, cost_micro=before_micro + (attempt.cost_micro or 0))


def was_refused(attempts: tuple[AttemptRecord, ...]) -> bool:
    """Whether a provider refused the content: that is final, whatever another one made of it."""
    return any(attempt.failure is FailureKind.MODERATED for attempt in attempts)


def refused(attempts: tuple[AttemptRecord, ...]) -> End:
    problem = Problem(kind=FailureKind.MODERATED.value, detail=WORDS[FailureKind.MODERATED])
    return End(status=Status.REFUSED, cost_micro=spent_micro(attempts), problem=problem)


def cancelled(attempts: tuple[AttemptRecord, ...]) -> End:
    """At what it truly cost: a provider goes on with what it has taken, and charges for it."""
    problem = Problem(kind="cancelled", detail="its caller cancelled it; nothing is delivered")
    return End(status=Status.CANCELLED, cost_micro=spent_micro(attempts), problem=problem)


def dropped(attempts: tuple[AttemptRecord, ...]) -> End:
    problem = Problem(kind="cancelled", detail="its caller was gone before anything was bought for it")
    return End(status=Status.CANCELLED, cost_micro=spent_micro(attempts), problem=problem)


def given_up(attempts: tuple[AttemptRecord, ...], decision: GiveUp, message: str) -> End:
    """Failed; with more time, `decision.skipped` would have been tried, so then it is the deadline's fault."""
    if decision.skipped:
        names = ", ".join(decision.skipped)
        problem = Problem(kind=_DEADLINE, detail=f"no time was left to try {names}; the last failure: {message}")
    else:
        problem = Problem(kind=decision.kind.value, detail=f"{WORDS[decision.kind]} ({message})")
    return End(status=Status.FAILED, cost_micro=spent_micro(attempts), problem=problem)


def over_budget(attempts: tuple[AttemptRecord, ...], refusal: OverBudget) -> End:
    """What earlier attempts were charged, or may have been, leaves too little for another one."""
    problem = Problem(kind="budget", detail=f"no further attempt can be paid: {refusal}")
    return End(status=Status.FAILED, cost_micro=spent_micro(attempts), problem=problem)


def too_late(attempts: tuple[AttemptRecord, ...]) -> End:
    detail = "the deadline passed while the edit waited for a free place at a provider; allow more time, or try later"
    problem = Problem(kind=_DEADLINE, detail=detail)
    return End(status=Status.FAILED, cost_micro=spent_micro(attempts), problem=problem)


def out_of_service(attempts: tuple[AttemptRecord, ...]) -> End:
    detail = "the deadline passed while every provider that could make the edit was out of service; try later"
    return End(
        status=Status.FAILED, cost_micro=spent_micro(attempts), problem=Problem(kind=_NO_OFFER_NOW, detail=detail)
    )


def not_repeated(attempts: tuple[AttemptRecord, ...], message: str) -> End:
    """The retry budget is used up: failing at once keeps a sick provider from being hammered."""
    detail = f"its providers fail too often at the moment for another try; the last failure: {message}"
    return End(
        status=Status.FAILED, cost_micro=spent_micro(attempts), problem=Problem(kind=_NO_OFFER_NOW, detail=detail)
    )


def left_unresolved(attempts: tuple[AttemptRecord, ...], message: str) -> End:
    detail = f"a provider may or may not have made this edit ({message}); its money stays held until that is known"
    problem = Problem(kind="unresolved", detail=detail)
    return End(status=Status.UNRESOLVED, cost_micro=spent_micro(attempts), problem=problem)
