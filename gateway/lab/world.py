"""The providers of a scenario: what becomes of a submit, when one would know, and what it costs.

Attempts fail 1 % of the time on a good day, answers are lost 0.3 % of the time (the work runs and is charged all the
same), and 1 % of edits are refused for their content wherever they go. Below the laboratory's resolution: polls,
uploads, bad pictures (a refresh mends them), and work that was in flight when its provider went down.
"""

from collections import defaultdict

from msgspec import Struct

from adapters.contract import FailureKind, Offer
from adapters.fit import Sent
from gateway.lab.draws import lognormal, uniform
from gateway.lab.scenarios import Fault, Scenario, Trouble
from policies.price import price_micro

SIGMA = 0.25
FAILS, LOSES, REFUSES = 0.01, 0.003, 0.01
BURST = 5.0
RETRY_AFTER_S = 2.0
LOST_AFTER_S = 30.0
# How the failures of a brown-out look: refused at once, failed after the work, answer lost.
BROWN_OUT = ((0.6, FailureKind.BUSY), (0.9, FailureKind.TASK_FAILED), (1.0, FailureKind.LOST))


class Reply(Struct, frozen=True):
    """`kind` None: a picture. Known `after_s` from the submit. `charged_micro`: on the provider's bill, whoever knows.
    A lost answer's picture exists at `done_s`."""

    kind: FailureKind | None
    after_s: float
    charged_micro: int = 0
    retry_after: float | None = None
    done_s: float = 0.0


class Account(Struct):
    """What the providers' bills and logs will say of an edit. `kept_micro`: of its last submit."""

    charged_micro: int = 0
    kept_micro: int = 0
    submits: int = 0
    tries: dict[str, int] = {}


class World:
    """One run: what is sent changes what is left of a provider's rate, so every strategy gets a world of its own."""

    def __init__(self, scenario: Scenario, seed: int, rate: float) -> None:
        self.scenario, self.seed, self._rate = scenario, seed, rate
        self.offers = {offer.name: offer for offer in scenario.offers}
        self._number = {name: number for number, name in enumerate(self.offers)}
        self._tokens: dict[str, tuple[float, float]] = {}
        self.edits: defaultdict[int, Account] = defaultdict(Account)
        self.sick_submits: defaultdict[str, int] = defaultdict(int)

    def submit(self, edit: int, offer: str, at_s: float) -> Reply:
        """One submit, now: counted, charged, and taken from the provider's rate."""
        account, sold = self.edits[edit], self.offers[offer]
        tries = account.tries.get(offer, 0)
        account.tries[offer] = tries + 1
        account.submits += 1
        if any(fault.hits(sold.provider, at_s) for fault in self.scenario.faults):
            self.sick_submits[sold.provider] += 1
        reply = self._limited(sold, at_s) or self.foreseen(edit, offer, at_s, tries)
        account.charged_micro += reply.charged_micro
        account.kept_micro = reply.charged_micro
        return reply

    def foreseen(self, edit: int, offer: str, at_s: float, tries: int = 0) -> Reply:
        """What would become of it, rate limits aside. Only the clairvoyant may ask."""
        sold, about = self.offers[offer], (self.seed, edit, self._number[offer], tries)
        if uniform(self.seed, edit, 99) < REFUSES:
            return Reply(FailureKind.MODERATED, 2.0)
        seconds = lognormal(sold.usual_s, SIGMA, *about, 1) * self._slowed(sold, at_s)
        kind = self._failure(sold, at_s, about)
        match kind:
            case FailureKind.NOT_SENT:
                return Reply(kind, 0.1 if uniform(*about, 3) < 0.5 else 3.0)
            case FailureKind.BUSY:
                return Reply(kind, 0.3)
            case FailureKind.LOST:
                return Reply(kind, LOST_AFTER_S, self.price_micro(offer, at_s), done_s=max(seconds, LOST_AFTER_S))
            case FailureKind.TASK_FAILED:
                return Reply(kind, seconds)
            case _:
                return Reply(None, seconds, self.price_micro(offer, at_s))

    def price_micro(self, offer: str, at_s: float) -> int:
        return price_micro(self.offers[offer], Sent(), self.scenario.day(at_s))

    def limited(self, offer: str, at_s: float) -> bool:
        """Would a submit be turned away for its rate?"""
        return self._fault(self.offers[offer], at_s, Trouble.RATE) is not None and self._left(offer, at_s) < 1.0

    def _failure(self, sold: Offer, at_s: float, about: tuple[int, ...]) -> FailureKind | None:
        drawn = uniform(*about, 2)
        if self._fault(sold, at_s, Trouble.DOWN):
            return FailureKind.NOT_SENT
        brown = self._fault(sold, at_s, Trouble.ERRORS)
        if brown and drawn < brown.size:
            return next(kind for share, kind in BROWN_OUT if drawn < share * brown.size)
        drawn = uniform(*about, 4)
        if drawn < FAILS:
            return FailureKind.TASK_FAILED
        return FailureKind.LOST if drawn < FAILS + LOSES else None

    def _slowed(self, sold: Offer, at_s: float) -> float:
        slow = self._fault(sold, at_s, Trouble.SLOW)
        return slow.size if slow else 1.0

    def _fault(self, sold: Offer, at_s: float, trouble: Trouble) -> Fault | None:
        for fault in self.scenario.faults:
            if fault.trouble is trouble and fault.hits(sold.provider, at_s):
                return fault
        return None

    def _limited(self, sold: Offer, at_s: float) -> Reply | None:
        fault = self._fault(sold, at_s, Trouble.RATE)
        if fault is None:
            return None
        left = self._left(sold.name, at_s)
        if left < 1.0:
            return Reply(FailureKind.RATE_LIMITED, 0.2, retry_after=RETRY_AFTER_S)
        self._tokens[sold.provider] = (at_s, left - 1.0)
        return None

    def _left(self, offer: str, at_s: float) -> float:
        """A bucket of submits that fills at the provider's rate."""
        sold = self.offers[offer]
        fault = self._fault(sold, at_s, Trouble.RATE)
        since, left = self._tokens.get(sold.provider, (at_s, BURST))
        return min(BURST, left + (at_s - since) * (fault.size if fault else 1.0) * self._rate)
