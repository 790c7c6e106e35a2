"""What to do after a failure: one table from its kind to a verdict, and `decide`, which turns the verdict into the next
step as a value.

Failover is allowed only from what was refused, never sent, or failed and confirmed. A submit whose answer was lost is
resolved first: the road not taken, buying again at the next offer, pays for one edit twice. A refusal for content is
final and is not shopped to a laxer provider; no setting changes that.
"""

from enum import StrEnum

from msgspec import Struct

from adapters.contract import Failed, FailureKind, Fate
from policies.candidates import Candidate, provider_of
from policies.plans import Plan

ATTEMPTS_PER_EDIT = 4
ATTEMPTS_PER_OFFER = 2
BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 20.0
LONGEST_RETRY_AFTER_S = 3600.0


class Action(StrEnum):
    AGAIN = "again"  # the same offer, when it asked to be asked again; else as NEXT
    NEXT = "next"  # the next candidate at once; where none is left, one that may be repeated, after a backoff
    STOP = "stop"  # the edit has failed: another attempt would fail alike, or pay twice
    REFUSE = "refuse"  # the edit is refused, for good
    RESOLVE = "resolve"  # learn first what became of the attempt


class Verdict(Struct, frozen=True, kw_only=True):
    """`leaves_account`: no other offer of this provider is tried for this edit. `sick`: it counts against the offer's
    health. `repeatable`: the same offer may be tried once more when no other is left."""

    action: Action
    leaves_account: bool = False
    sick: bool = False
    repeatable: bool = False


VERDICTS: dict[FailureKind, Verdict] = {
    FailureKind.INVALID: Verdict(action=Action.STOP),
    FailureKind.UNSUPPORTED: Verdict(action=Action.NEXT),
    FailureKind.MODERATED: Verdict(action=Action.REFUSE),
    FailureKind.CREDENTIAL: Verdict(action=Action.NEXT, leaves_account=True, sick=True),
    FailureKind.CREDIT: Verdict(action=Action.NEXT, leaves_account=True, sick=True),
    FailureKind.RATE_LIMITED: Verdict(action=Action.AGAIN, repeatable=True),  # pressure of ours, not its sickness
    FailureKind.BUSY: Verdict(action=Action.NEXT, sick=True, repeatable=True),
    FailureKind.NOT_SENT: Verdict(action=Action.NEXT, sick=True, repeatable=True),
    FailureKind.LOST: Verdict(action=Action.RESOLVE, sick=True),
    FailureKind.TASK_FAILED: Verdict(action=Action.NEXT, sick=True, repeatable=True),
    FailureKind.BAD_PICTURE: Verdict(action=Action.STOP, sick=True),  # paid for, so never bought again
    FailureKind.EXPIRED: Verdict(action=Action.STOP, sick=True),  # as above
}


def verdict(kind: FailureKind, billed: bool) -> Verdict:
    """The table's verdict. Where nobody bills, nothing can be paid twice, and a lost answer is a failed task."""
    if kind is FailureKind.LOST and not billed:
        return VERDICTS[FailureKind.TASK_FAILED]
    return VERDICTS[kind]


class Tried(Struct, frozen=True, kw_only=True):
    """An attempt that is over; its offer may have left the plan since. `not_before_s`: seconds from now for which its
    provider still asked to be left alone."""

    offer: str
    kind: FailureKind
    not_before_s: float = 0.0

    @property
    def provider(self) -> str:
        return provider_of(self.offer)


class TryOffer(Struct, frozen=True, kw_only=True):
    """Open an attempt at `offer`, `after_s` from now. `skipped` could not be expected in time any more."""

    offer: str
    after_s: float = 0.0
    skipped: tuple[str, ...] = ()


class Resolve(Struct, frozen=True, kw_only=True):
    """Open nothing: ask `recover` what became of the attempt that just failed."""


class Refuse(Struct, frozen=True, kw_only=True):
    """End the edit as refused."""


class GiveUp(Struct, frozen=True, kw_only=True):
    """End the edit as failed. `skipped` as in `TryOffer`: with more time, these would have been tried."""

    kind: FailureKind
    skipped: tuple[str, ...] = ()


Decision = TryOffer | Resolve | Refuse | GiveUp


def decide(
    failed: Failed,
    history: tuple[Tried, ...],
    plan: Plan,
    remaining_s: float,
    chance: float,
    spent: frozenset[str] = frozenset(),
) -> Decision:
    """What follows `failed`. `history` is every attempt of the edit in order, the one that just failed last; `chance`
    is in [0, 1). `spent`: providers whose retry budget is used up (`throttle.may_repeat`): they get no second attempt
    of this edit, and nothing waits for them."""
    offer = history[-1].offer
    billed = _is_billed(offer, plan)
    judged = verdict(failed.kind, billed)
    if judged.action is Action.REFUSE:
        return Refuse()
    if judged.action is Action.STOP:
        return GiveUp(kind=failed.kind)
    if judged.action is Action.RESOLVE or (billed and _unproven(failed)):
        return Resolve()
    latest = Tried(offer=offer, kind=failed.kind, not_before_s=failed.retry_after or 0.0)
    return _another(_Situation((*history[:-1], latest), plan, remaining_s, chance, spent), judged, failed)


def backoff_s(failures: int, chance: float) -> float:
    """Full jitter: anywhere between nothing and a cap that doubles with every failure."""
    return chance * min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** max(failures - 1, 0))


def _is_billed(offer: str, plan: Plan) -> bool:
    """An offer that is no longer on sale may have left the plan since it was tried: then it may have been billed."""
    return all(candidate.billed for candidate in plan.candidates if candidate.offer == offer)


def _unproven(failed: Failed) -> bool:
    """Fate outranks kind: a resubmit that is refused for its rate says nothing of the submit before it. A failed task
    is the provider's own word about our task, whatever it may charge."""
    return failed.fate is Fate.MAY_HAVE_RUN and failed.kind is not FailureKind.TASK_FAILED


# --- which offer, and when ------------------------------------------------------------------------------------------


class _Situation(Struct, frozen=True):
    """What is left to an edit after its failures."""

    history: tuple[Tried, ...]
    plan: Plan
    remaining_s: float
    chance: float
    spent: frozenset[str]

    def open(self) -> list[Candidate]:
        """Candidates that may still get an attempt, time aside."""
        return [candidate for candidate in self.plan.candidates if self._may_try(candidate)]

    def _may_try(self, candidate: Candidate) -> bool:
        attempts = [tried for tried in self.history if tried.offer == candidate.offer]
        if candidate.provider in self._left_accounts() or len(attempts) >= ATTEMPTS_PER_OFFER:
            return False
        if candidate.provider in self.spent and any(tried.provider == candidate.provider for tried in self.history):
            return False
        return all(verdict(tried.kind, candidate.billed).repeatable for tried in attempts)

    def _left_accounts(self) -> set[str]:
        return {tried.provider for tried in self.history if VERDICTS[tried.kind].leaves_account}

    def is_new(self, candidate: Candidate) -> bool:
        return all(tried.offer != candidate.offer for tried in self.history)

    def is_pressed(self, candidate: Candidate) -> bool:
        """Its account has turned this edit away for our own pressure: its other offers share that limit."""
        limited = (tried.provider for tried in self.history if tried.kind is FailureKind.RATE_LIMITED)
        return candidate.provider in limited

    def wait_s(self, candidate: Candidate) -> float:
        """Nothing for an offer that has not failed yet; else the backoff, or longer where the provider asked for it."""
        asked = [_heeded_s(tried.not_before_s) for tried in self.history if tried.offer == candidate.offer]
        return max(backoff_s(len(self.history), self.chance), *asked) if asked else 0.0

    def in_time(self, candidate: Candidate) -> bool:
        return self.wait_s(candidate) + candidate.expected_s <= self.remaining_s


def _heeded_s(asked_s: float) -> float:
    """An absurd Retry-After is as good as none."""
    return 0.0 if asked_s > LONGEST_RETRY_AFTER_S else asked_s


def _another(situation: _Situation, judged: Verdict, failed: Failed) -> Decision:
    """Failover at once, before any repetition; a wait that the provider itself named comes before failover."""
    if len(situation.history) >= ATTEMPTS_PER_EDIT:
        return GiveUp(kind=failed.kind)
    open_ = situation.open()
    skipped = tuple(candidate.offer for candidate in open_ if not situation.in_time(candidate))
    ready = [candidate for candidate in open_ if candidate.offer not in skipped]
    fresh = sorted((candidate for candidate in ready if situation.is_new(candidate)), key=situation.is_pressed)
    same = [candidate for candidate in ready if candidate.offer == situation.history[-1].offer]
    waits = judged.action is Action.AGAIN and _waiting_is_safe(situation, same, fresh)
    chosen = same if waits else fresh or ready
    if not chosen:
        return GiveUp(kind=failed.kind, skipped=skipped)
    return TryOffer(offer=chosen[0].offer, after_s=situation.wait_s(chosen[0]), skipped=skipped)


def _waiting_is_safe(situation: _Situation, same: list[Candidate], fresh: list[Candidate]) -> bool:
    """Worth waiting for the same offer: it said for how long, and if it refuses again the next one is still in time."""
    if _heeded_s(situation.history[-1].not_before_s) <= 0.0:
        return False
    way_out_s = fresh[0].expected_s if fresh else 0.0
    return any(situation.wait_s(candidate) + way_out_s <= situation.remaining_s for candidate in same)
