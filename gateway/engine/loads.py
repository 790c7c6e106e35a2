"""What servers of one's own say of themselves, asked every two seconds by every replica, and kept in memory.

A word holds for ten seconds. A server that cannot be connected to is silent; one that takes long to answer may only be
at work, so what it said last goes on to count.
"""

import asyncio

from msgspec import Struct

from adapters.contract import Load, Offer, ServerState
from gateway.clock import Clock
from gateway.current import Current
from gateway.egress import EgressError, NotSent
from gateway.engine.wire import Wire
from gateway.observe import Metrics, log
from gateway.settings import Provider
from gateway.task import end
from policies.load import not_its_engine

ASK_S = 2.0
ANSWER_S = 1.5
KEEP_S = 10.0


class Word(Struct, frozen=True):
    """What was said, and when."""

    load: Load
    at_s: float


class Loads:
    def __init__(self, current: Current, wire: Wire, metrics: Metrics, clock: Clock) -> None:
        self._current, self._wire, self._metrics, self._clock = current, wire, metrics, clock
        self._words: dict[str, Word] = {}
        self._loop: asyncio.Task[None] | None = None

    def of(self, provider: str) -> Load | None:
        """What its server said last; None where it is not asked, or has said nothing lately."""
        word = self._words.get(provider)
        if word is None or self._clock.monotonic() - word.at_s > KEEP_S:
            return None
        return word.load

    def objection(self, offer: Offer) -> str | None:
        """Why the offer is not what its server serves."""
        provider = self._current.settings.providers.get(offer.provider)
        return not_its_engine(offer, self.of(offer.provider)) if provider and is_asked(provider) else None

    # --- asking ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to ask; every server was asked once when this returns."""
        await self.ask()
        self._loop = asyncio.create_task(self._go_on(), name="loads")

    async def aclose(self) -> None:
        if self._loop is not None:
            await end(self._loop)

    async def _go_on(self) -> None:
        while True:
            await self._clock.sleep(ASK_S)
            try:
                await self.ask()
            except Exception as error:  # noqa: BLE001 - a defect here must not blind the replica for good
                log.error("loads_failed", error=type(error).__name__, exc_info=error)

    async def ask(self) -> None:
        """Every server, once, at the same time."""
        asked = [provider for provider in self._current.settings.providers.values() if is_asked(provider)]
        await asyncio.gather(*(self._ask(provider) for provider in asked))
        for name in self._words.keys() - {provider.name for provider in asked}:
            del self._words[name]

    async def _ask(self, provider: Provider) -> None:
        try:
            said = provider.adapter.load(await self._wire.health(provider, timeout_s=ANSWER_S))
        except NotSent:
            said = Load(state=ServerState.SILENT)
        except EgressError:
            said = None
        if said is not None:
            self._hear(provider.name, said)
        self._show(provider.name)

    def _hear(self, provider: str, said: Load) -> None:
        before = self.of(provider)
        if before is None or before.state is not said.state:
            log.info("server_turned", provider=provider, to=said.state.value, engine=said.engine)
        self._words[provider] = Word(said, self._clock.monotonic())

    def _show(self, provider: str) -> None:
        load = self.of(provider)
        for state in ServerState:
            self._metrics.server_state.labels(provider, state.value).set(load is not None and load.state is state)
        running, waiting = (load.running or 0, load.waiting) if load else (0, 0)
        self._metrics.server_edits.labels(provider, "running").set(running)
        self._metrics.server_edits.labels(provider, "waiting").set(waiting)


def is_asked(provider: Provider) -> bool:
    """A server over the network, whose adapter knows where it tells how it is."""
    return provider.adapter.health_path is not None and "://" in provider.base_url
