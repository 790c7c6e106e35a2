"""A policy of ours in the laboratory: the real `plan`, `decide`, circuits, sketches and retry budget, with the engine
around them played by a process.

What the engine does is kept: facts are a snapshot that is a second old, permits and circuits are asked at the moment of
sending, a lost answer is resolved and never bought again, and accepted work is followed to its end.
"""

from collections import defaultdict
from collections.abc import Generator, Iterator

from adapters.contract import Edit, Failed, FailureKind, Fate, ImageFormat, Picture
from gateway.lab.simulation import Process, Run
from gateway.lab.world import Reply
from policies.candidates import Candidate, provider_of
from policies.circuit import CLOSED, EVENTS, Circuit, Event, Scope, State, admits, due, step
from policies.facts import Facts, OfferFacts, measured
from policies.plans import Plan, plan
from policies.policy import Policy
from policies.react import GiveUp, Refuse, Tried, TryOffer, decide
from policies.sketch import Result, Sample, Sketch, observed
from policies.throttle import NO_SUBMITS, may_repeat, submitted
from policies.window import Window
from policies.wishes import Wishes

SNAPSHOT_S = 1.0
PERMIT_S = 1.0
RESOLVE_S = 2.0
LIMIT = 200

PHOTO = Picture("0" * 64, ImageFormat.JPEG, 1500, 1000, 400_000)
EDIT = Edit(prompt="Make the mug blue, keep everything else", images=(PHOTO,))

_RESULTS = {None: Result.SUCCEEDED, FailureKind.MODERATED: Result.REFUSED, FailureKind.RATE_LIMITED: Result.THROTTLED}


class Router:
    """One replica with one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._sketches: dict[str, Sketch] = {}
        self._circuits: dict[str, Circuit] = {}  # by offer and by account: their names never meet
        self._budgets: dict[str, Window] = {}
        self._in_use: defaultdict[str, int] = defaultdict(int)
        self._paused_s: dict[str, float] = {}
        self._snapshot: dict[str, OfferFacts] = {}
        self._snapshot_s = -SNAPSHOT_S

    @property
    def name(self) -> str:
        return self._policy.name

    def follow(self, edit: int, run: Run) -> Process:
        made = self.planned(edit, run)
        history: tuple[Tried, ...] = ()
        offer, after_s = made.candidates[0].offer if made.candidates else "", 0.0
        while offer:
            yield after_s
            permitted = yield from self._permit(made, offer, history, edit, run)
            if permitted is None:
                return FailureKind.BUSY
            offer = permitted
            reply = yield from self._attempt(edit, offer, made, run)
            if reply.kind is None:
                return None
            history = (*history, Tried(offer=offer, kind=reply.kind))
            failed = Failed(kind=reply.kind, fate=Fate.NOT_RUN, message="", retry_after=reply.retry_after)
            chance = run.chance(edit, len(history))
            match decide(failed, history, made, run.remaining_s(edit), chance, self._spent(run.now_s)):
                case TryOffer(offer=following, after_s=wait):
                    offer, after_s = following, wait
                case Refuse() | GiveUp():
                    return reply.kind
                case _:
                    raise AssertionError("the world resolves what was lost")
        return FailureKind.BUSY

    def planned(self, edit: int, run: Run) -> Plan:
        facts = Facts(
            day=run.scenario.day(run.now_s),
            minute=run.scenario.minute_at(run.now_s),
            offers=self._facts(run),
            seed=edit + run.seed * 1_000_003,
        )
        wishes = Wishes(tier=self._policy.tier, deadline_s=run.scenario.deadline_s)
        return plan(EDIT, wishes, self._policy, run.world.offers, facts)

    # --- sending --------------------------------------------------------------------------------------------------

    def _permit(
        self, made: Plan, offer: str, history: tuple[Tried, ...], edit: int, run: Run
    ) -> Generator[float, None, str | None]:
        """The offer to send to: the one that was decided, else the first of the plan that lets edits through; a wait
        where none does. None: no time is left to wait."""
        tries = 0
        while True:
            fresh = [one.offer for one in made.candidates if all(tried.offer != one.offer for tried in history)]
            for last in (False, True):
                for name in dict.fromkeys((offer, *fresh)):
                    if self._admits(name, run.now_s, last=last):
                        return name
            tries += 1
            yield PERMIT_S * (0.5 + run.chance(edit, 50, tries))
            if run.remaining_s(edit) < made.candidate(offer).expected_s:
                return None

    def _admits(self, offer: str, at_s: float, *, last: bool) -> bool:
        """Its account is not paused by a Retry-After, and both circuits let it through; where one is not closed, this
        edit is now its probe."""
        names = (offer, provider_of(offer))
        if not last and self._paused_s.get(provider_of(offer), 0.0) > at_s:
            return False
        if not all(admits(self._circuit(name), at_s, last=last) for name in names):
            return False
        for name in names:
            if due(self._circuit(name), at_s).state is not State.CLOSED:
                self._step(name, Event.PROBE, at_s, 0.5)
        return True

    def _spent(self, at_s: float) -> frozenset[str]:
        """The providers whose retry budget is used up."""
        return frozenset(name for name, budget in self._budgets.items() if not may_repeat(budget, at_s))

    def _attempt(self, edit: int, offer: str, made: Plan, run: Run) -> Generator[float, None, Reply]:
        provider, began = provider_of(offer), run.now_s
        repeat = any(provider_of(name) == provider for name in run.world.edits[edit].tries)
        self._budgets[provider] = submitted(self._budgets.get(provider, NO_SUBMITS), began, repeat=repeat)
        reply = run.world.submit(edit, offer, began)
        self._in_use[offer] += 1
        yield from self._waits(reply.after_s, made.candidate(offer), run)
        self._heard(offer, reply, run.now_s - began, made, run)
        if reply.kind is FailureKind.LOST:  # it runs all the same: found again, late
            yield reply.done_s - reply.after_s + RESOLVE_S
            reply = Reply(None, run.now_s - began, reply.charged_micro)
        self._in_use[offer] -= 1
        return reply

    def _waits(self, after_s: float, candidate: Candidate, run: Run) -> Iterator[float]:
        """As the polls see it: an attempt that overruns the 95th percentile says so before it ends, and again at every
        doubling. Without that, an offer that turned slow looks fast until its first slow picture is done."""
        waited_s, mark_s = 0.0, candidate.most_s
        while mark_s < after_s:
            yield mark_s - waited_s
            self._observe(candidate.offer, Sample(result=Result.OVERDUE, seconds=mark_s * 2), run.now_s)
            waited_s, mark_s = mark_s, mark_s * 2
        yield after_s - waited_s

    # --- learning -------------------------------------------------------------------------------------------------

    def _heard(self, offer: str, reply: Reply, took_s: float, made: Plan, run: Run) -> None:
        quoted = made.candidate(offer).price_micro if reply.charged_micro else 0
        seconds = took_s if reply.kind is None else None
        result = _RESULTS.get(reply.kind, Result.FAILED)
        sample = Sample(result=result, seconds=seconds, quoted_micro=quoted, charged_micro=reply.charged_micro)
        self._observe(offer, sample, run.now_s)
        if reply.retry_after:
            self._paused_s[provider_of(offer)] = run.now_s + reply.retry_after
        chance = run.chance(int(run.now_s * 1000))
        if reply.kind is None:
            self._step(offer, Event.SUCCEEDED, run.now_s, chance)
            self._step(provider_of(offer), Event.SUCCEEDED, run.now_s, chance)
        elif said := EVENTS[reply.kind]:
            self._step(offer if said[0] is Scope.OFFER else provider_of(offer), said[1], run.now_s, chance)

    def _observe(self, offer: str, sample: Sample, at_s: float) -> None:
        self._sketches[offer] = observed(self._sketches.get(offer, Sketch()), sample, at_s)

    def _circuit(self, name: str) -> Circuit:
        return self._circuits.get(name, CLOSED)

    def _step(self, name: str, event: Event, at_s: float, chance: float) -> None:
        self._circuits[name] = step(self._circuit(name), event, at_s, chance)

    def _facts(self, run: Run) -> dict[str, OfferFacts]:
        if run.now_s >= self._snapshot_s + SNAPSHOT_S:
            self._snapshot_s = run.now_s
            self._snapshot = {name: self._measured(name, run.now_s) for name in run.world.offers}
        return self._snapshot

    def _measured(self, offer: str, at_s: float) -> OfferFacts:
        provider = provider_of(offer)
        return measured(
            self._sketches.get(offer, Sketch()),
            at_s,
            circuit=self._circuit(offer),
            account=self._circuit(provider),
            in_use=self._in_use[offer],
            limit=LIMIT,
            queue_s=max(0.0, self._paused_s.get(provider, 0.0) - at_s),
        )
