"""What a provider can tell of an attempt that nobody follows any more: each question of its adapter, asked once.

Nothing here can buy: a way that would send the submit again is left out, and so is every answer that leads to one.
"""

from adapters.contract import Adapter, Attempt, Done, Failed, HttpCall, Next, Offer, Step, Unclear
from gateway.clock import Clock
from gateway.engine.exchange import exchange
from gateway.engine.wire import Wire
from gateway.settings import Provider
from gateway.state.records import AttemptRecord, EditRecord

MOST_WAYS = 16
MOST_PAGES = 200

Truth = Done | Failed | Next | Unclear
"""`Next`: the work exists and goes on. `Unclear`: nothing could be learnt now."""


class Inquiry:
    def __init__(self, wire: Wire, clock: Clock) -> None:
        self._wire, self._clock = wire, clock

    async def ask(self, record: EditRecord, attempt: AttemptRecord, provider: Provider, offer: Offer) -> Truth:
        asked = Attempt(
            id=attempt.id,
            number=attempt.number,
            edit=record.edit,
            offer=offer,
            callback_url=attempt.callback_url,
        )
        truth: Truth = Unclear(message="the provider has no way to ask")
        over_s = (self._clock.now_ms() - attempt.closed_ms) / 1000
        for call in look_ups(provider.adapter, asked, over_s):
            truth = await self._follow(record, asked, provider, call)
            if not isinstance(truth, Unclear) or truth.hopeless:
                break
        return truth

    async def _follow(self, record: EditRecord, asked: Attempt, provider: Provider, call: HttpCall) -> Truth:
        """One question with the further pages of its answer, and the poll that it leads to. What exists and cannot be
        read now goes on."""
        truth = await self._exchange(record, asked, provider, call)
        for _ in range(MOST_PAGES):
            if not isinstance(truth, Next) or truth.call.step is not Step.LOOK_UP:
                break
            truth = await self._exchange(record, asked, provider, truth.call)
        if not isinstance(truth, Next):
            return truth
        if truth.call.step is not Step.POLL:
            return Unclear(message="the answer leads to nothing that may be sent")
        answer = await self._exchange(record, asked, provider, truth.call)
        return truth if isinstance(answer, Unclear) else answer

    async def _exchange(self, record: EditRecord, asked: Attempt, provider: Provider, call: HttpCall) -> Truth:
        return await exchange(self._wire, provider, record.team, asked, call, stamped_s=0.0)


def look_ups(adapter: Adapter, attempt: Attempt, over_s: float) -> tuple[HttpCall, ...]:
    """Every question that the adapter knows, once, in its own order. Ways come round again, and those that want a
    submit older than `over_s`, the seconds since the attempt ended, have to wait."""
    found: list[HttpCall] = []
    for tried in range(MOST_WAYS):
        try:
            step = adapter.recover(attempt, tried)
        except ValueError:  # this way sends the edit again, and of an edit of a lost store there is nothing to send
            continue
        if step is None:
            break
        if step.call.step is Step.LOOK_UP and step.guard <= over_s and step.call not in found:
            found.append(step.call)
    return tuple(found)
