"""How the offers are doing, as this replica knows it: what it measured itself, what the others told, who is drained.

Planning reads memory only; the store is asked once a second, and while it is away ranking goes on with what was last
read. Three words decide at the door of a provider: `admit` before an attempt is opened, `watching` while it runs, and
`spent` when it is to be repeated.
"""

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from msgspec import Struct

from adapters.contract import Load, ServerState
from gateway.clock import Clock
from gateway.current import Current
from gateway.engine.circuits import Circuits
from gateway.engine.loads import Loads
from gateway.engine.measuring import Measuring, Watch
from gateway.observe import Metrics, log
from gateway.settings import Provider
from gateway.state.connection import StoreUnavailable
from gateway.state.health import Drain, Known, SharedHealth, Told
from gateway.state.records import AttemptRecord
from gateway.task import end
from policies.candidates import provider_of
from policies.circuit import EVENTS, LAST_RESORT_S, Circuit, Event, Scope, State, admits, sick_s
from policies.facts import OfferFacts, measured
from policies.load import loaded
from policies.react import LONGEST_RETRY_AFTER_S
from policies.throttle import NO_SUBMITS, may_repeat, submitted
from policies.window import Window

EXCHANGE_S = 1.0
FRESH_S = 0.25
"""Measured facts are worked out anew when something happened at their offer, or this long after the last time."""
LOOK_S = 1.0
"""How soon to look again where nobody can say when a permit is free."""
OUT_OF_SERVICE = "is taken out of service by an operator"


class Admitted(Struct, frozen=True):
    """An attempt may be opened at `offer`. `probes`: the circuits whose half-open permit it took."""

    offer: str
    probes: tuple[str, ...] = ()


class NotNow(Struct, frozen=True):
    """Nothing may be sent there; look again in `wait_s`."""

    wait_s: float


class Health:
    def __init__(
        self, current: Current, shared: SharedHealth, metrics: Metrics, clock: Clock, loads: Loads | None = None
    ) -> None:
        """`loads`: what servers of one's own say; without, none is asked."""
        self._current, self._shared, self._metrics, self._clock = current, shared, metrics, clock
        self._loads = loads
        self._queued: dict[str, str] = {}
        self._queued_elsewhere: Counter[str] = Counter()
        self._circuits = Circuits(shared, clock, self._turned)
        self._measuring = Measuring(clock)
        self._quiet: dict[str, float] = {}
        self._quiet_elsewhere: dict[str, float] = {}
        self._budgets: dict[str, Window] = {}
        self._in_use: dict[str, int] = {}
        self._drained: dict[str, Drain] = {}
        self._cache: dict[str, tuple[float, OfferFacts]] = {}
        self._loop: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()  # a read from before a drain must not undo it
        self._store_away = False
        self._show()

    # --- choosing -------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, OfferFacts]:
        """Of every offer, as far as this replica knows at this moment. Memory only."""
        at_s = self._at_s()
        return {name: self._fresh(name, at_s) for name in self._current.settings.offers}

    def _fresh(self, offer: str, at_s: float) -> OfferFacts:
        kept = self._cache.get(offer)
        if kept and 0 <= at_s - kept[0] < FRESH_S:
            return kept[1]
        facts = self._measured(offer, at_s)
        self._cache[offer] = at_s, facts
        return facts

    def _measured(self, offer: str, at_s: float) -> OfferFacts:
        account, sold = provider_of(offer), self._current.settings.offers[offer]
        provider = self._current.settings.providers.get(account)
        known = measured(
            self._measuring.sketch(offer),
            at_s,
            circuit=self._circuits.of(offer),
            account=self._circuits.of(account),
            disabled=OUT_OF_SERVICE if account in self._drained else self._loads and self._loads.objection(sold),
            in_use=self.in_use(account),
            limit=provider.max_concurrency if provider else None,
            queue_s=self._quiet_s(account, at_s),
        )
        return known if sold.billed else loaded(known, sold, self.load(account), queued=self._waiting(account))

    def load(self, account: str) -> Load | None:
        """What a server of one's own said last."""
        return self._loads.of(account) if self._loads else None

    def in_use(self, account: str) -> int:
        """Open attempts at the account: of all replicas a moment ago, and of this one now."""
        return max(self._measuring.running(account), self._in_use.get(account, 0))

    def running(self, account: str) -> int:
        """Open attempts of this replica at the account."""
        return self._measuring.running(account)

    # --- at the door ----------------------------------------------------------------------------------------------

    async def admit(self, offer: str, *, last: bool = False) -> Admitted | NotNow:
        """Whether an attempt may be opened at `offer`. `last`: the edit has nowhere else to go, so a sick one may be
        looked at now and then. An admission that nothing was sent for is given back by `let_go`. Raises
        `StoreUnavailable` where a permit has to be taken."""
        at_s, names = self._at_s(), (offer, provider_of(offer))
        if names[1] in self._drained:
            return NotNow(LOOK_S)
        if (quiet_s := self._quiet_s(names[1], at_s)) > 0:
            return NotNow(quiet_s)
        if (load := self.load(names[1])) and load.state is not ServerState.READY:
            return NotNow(LOOK_S)
        circuits = [(name, self._circuits.of(name)) for name in names]
        if not all(admits(circuit, at_s, last=last) for _, circuit in circuits):
            return NotNow(max(_wait_s(circuit, at_s, last=last) for _, circuit in circuits))
        return await self._probed(offer, [name for name, one in circuits if one.state is not State.CLOSED], last)

    async def _probed(self, offer: str, names: list[str], last: bool) -> Admitted | NotNow:
        taken = Admitted(offer)
        for name in names:
            if not await self._circuits.probe(name, last=last):
                self.let_go(taken)
                return NotNow(LOOK_S)
            taken = Admitted(offer, (*taken.probes, name))
            log.info("circuit_probe", circuit=name)
        return taken

    def let_go(self, admission: Admitted | NotNow | None) -> None:
        """Frees the permits of an attempt that told nothing: the next edit may look."""
        for name in admission.probes if isinstance(admission, Admitted) else ():
            if self._circuits.of(name).state is State.PROBING:
                self._circuits.hear(name, Event.DUE)

    def queue(self, edit: str, account: str) -> None:
        """An edit waits in the gateway for a place at the account, until it is `unqueue`d."""
        self._queued[edit] = account

    def unqueue(self, edit: str) -> None:
        self._queued.pop(edit, None)

    def _waiting(self, account: str) -> int:
        """Edits that wait in the gateway for a place there: of this replica now, of the others a moment ago."""
        return sum(one == account for one in self._queued.values()) + self._queued_elsewhere[account]

    def spent(self) -> frozenset[str]:
        """The providers whose retry budget is used up: this replica's part of it."""
        at_s = self._at_s()
        return frozenset(name for name, budget in self._budgets.items() if not may_repeat(budget, at_s))

    def submitted(self, provider: str, *, repeat: bool) -> None:
        """An attempt was opened there. `repeat`: the provider has failed the same edit before."""
        budget = self._budgets.get(provider, NO_SUBMITS)
        self._budgets[provider] = submitted(budget, self._at_s(), repeat=repeat)

    # --- learning -------------------------------------------------------------------------------------------------

    @contextmanager
    def watching(self, attempt: AttemptRecord, most_s: float, admission: Admitted | None) -> Generator[Watch]:
        """While the attempt runs. `most_s`: what it keeps 95 times in 100; beyond, it counts as slow before it ends."""
        try:
            with self._measuring.watching(attempt, most_s) as watch:
                yield watch
            if watch.ended_as is not None:
                self._learn(watch.ended_as)
        finally:
            self.let_go(admission)

    def _learn(self, attempt: AttemptRecord) -> None:
        account = provider_of(attempt.offer)
        if attempt.retry_after_s and attempt.retry_after_s <= LONGEST_RETRY_AFTER_S:
            self._quiet[account] = max(self._quiet.get(account, 0.0), self._at_s() + attempt.retry_after_s)
            self._forget(account)
        if attempt.failure is None:
            self._circuits.hear(attempt.offer, Event.SUCCEEDED)
            self._circuits.hear(account, Event.SUCCEEDED)
        elif said := EVENTS[attempt.failure]:
            self._circuits.hear(attempt.offer if said[0] is Scope.OFFER else account, said[1])
        self._cache.pop(attempt.offer, None)

    def _forget(self, account: str) -> None:
        """The facts of an account's offers are worked out anew when they are asked for next."""
        for offer in [offer for offer in self._cache if provider_of(offer) == account]:
            del self._cache[offer]

    # --- telling each other ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to exchange with the other replicas; the first time is over when this returns."""
        await self.exchange()
        self._loop = asyncio.create_task(self._exchange_on(), name="health")

    async def aclose(self) -> None:
        if self._loop is not None:
            await end(self._loop)

    async def _exchange_on(self) -> None:
        while True:
            await self._clock.sleep(EXCHANGE_S)
            try:
                await self.exchange()
            except Exception as error:  # noqa: BLE001 - a defect here must not blind the replica for good
                log.error("health_failed", error=type(error).__name__, exc_info=error)

    async def exchange(self) -> None:
        """Tells what happened here and takes over what happened elsewhere. With the store away, all stays as it was."""
        self._measuring.overdue()
        try:
            await self._circuits.tell()
            names = (*self._current.settings.offers, *self._current.settings.providers)
            told = Told(
                at_s=self._at_s(),
                sketches=dict(self._measuring.own),
                quiet=dict(self._quiet),
                queued=Counter(self._queued.values()),
            )
            async with self._one_at_a_time:
                self._take(await self._shared.exchange(told, names, self._current.settings.providers))
            self._store_away = False
        except StoreUnavailable:
            self._metrics.store_errors.labels("health").inc()
            if not self._store_away:
                log.warning("health_not_shared", error="the store is away; ranking goes on with what was last read")
            self._store_away = True
        self._show()

    def _take(self, known: Known) -> None:
        self._measuring.take(known.others)
        self._in_use, self._drained = known.in_use, known.drained
        quiet = [said for word in known.others for said in word.quiet.items()]
        self._quiet_elsewhere = {account: max(s for name, s in quiet if name == account) for account, _ in quiet}
        self._queued_elsewhere = sum((Counter(word.queued) for word in known.others), Counter[str]())
        for name, stands in known.circuits.items():
            self._circuits.adopt(name, stands)
        self._cache.clear()

    # --- operators ------------------------------------------------------------------------------------------------

    @property
    def drained(self) -> dict[str, Drain]:
        return self._drained

    def circuit(self, name: str) -> Circuit:
        """The circuit of an offer or of a provider's account, as it stands now."""
        return self._circuits.of(name)

    async def drain(self, provider: str, by: str, note: str) -> None:
        """Nothing new is sent there; what runs goes on. Raises `StoreUnavailable`."""
        drain = Drain(by=by, at_ms=self._clock.now_ms(), note=note)
        async with self._one_at_a_time:
            await self._shared.drain(provider, drain)
            self._drained = {**self._drained, provider: drain}
        self._cache.clear()

    async def restore(self, provider: str) -> None:
        """Back in service, with its circuits closed and nothing held against it. Raises `StoreUnavailable`."""
        async with self._one_at_a_time:
            await self._shared.undrain(provider)
            self._drained = {name: drain for name, drain in self._drained.items() if name != provider}
        for held in (self._quiet, self._quiet_elsewhere, self._budgets):
            held.pop(provider, None)
        self._cache.clear()
        for name in (provider, *(offer for offer in self._current.settings.offers if provider_of(offer) == provider)):
            self._circuits.hear(name, Event.RESTORED)
        await self._circuits.tell()

    # --- showing --------------------------------------------------------------------------------------------------

    def _turned(self, name: str, to: State) -> None:
        self._forget(provider_of(name))
        if name in self._current.settings.offers or name in self._current.settings.providers:
            self._metrics.circuit_transitions.labels(name, to.value).inc()
            self._show_state(name, to)
        log.warning("circuit_turned", circuit=name, to=to.value)

    def _show(self) -> None:
        for name in (*self._current.settings.offers, *self._current.settings.providers):
            self._show_state(name, self._circuits.of(name).state)
        for name, facts in self.facts().items():
            open_to_edits = facts.healthy and facts.disabled is None and facts.server in (None, ServerState.READY)
            self._metrics.available.labels(name, self._current.settings.offers[name].tier.value).set(open_to_edits)
        for provider in self._current.settings.providers.values():
            self._show_slots(provider)

    def _show_state(self, name: str, now: State) -> None:
        for state in State:
            self._metrics.circuit_state.labels(name, state.value).set(state is now)

    def _show_slots(self, provider: Provider) -> None:
        self._metrics.provider_slots.labels(provider.name).set(provider.max_concurrency)
        self._metrics.provider_slots_in_use.labels(provider.name).set(self.in_use(provider.name))

    # --- small words ----------------------------------------------------------------------------------------------

    def _quiet_s(self, account: str, at_s: float) -> float:
        """What is left of the time for which the account asked to be left alone."""
        until_s = max(self._quiet.get(account, 0.0), self._quiet_elsewhere.get(account, 0.0))
        return max(0.0, until_s - at_s)

    def _at_s(self) -> float:
        return self._clock.now_ms() / 1000


def _wait_s(circuit: Circuit, at_s: float, *, last: bool) -> float:
    """How long until `admits` may say yes."""
    if circuit.state is State.PROBING:
        return LOOK_S
    healed_s = sick_s(circuit, at_s)
    return min(healed_s, max(0.0, circuit.probed_s + LAST_RESORT_S - at_s)) if last else healed_s
