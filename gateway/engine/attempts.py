"""One attempt, from wherever its record stands to its end: send, read, and follow the next call that the reply names.

Submit, upload, poll, looking up a lost answer and resuming after a crash are the same loop. A submit whose answer was
lost is resolved before anything else happens; what cannot be resolved in its time is `Unresolved`, never a failure.
"""

from collections.abc import Callable
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import (
    Attempt,
    Done,
    Failed,
    FailureKind,
    Fate,
    HttpCall,
    Next,
    Offer,
    Outcome,
    Step,
    Unclear,
)
from gateway.clock import Clock
from gateway.engine.callbacks import Callback, Callbacks, Ear
from gateway.engine.exchange import exchange
from gateway.engine.timing import Timing
from gateway.engine.wire import StampExpired, Wire
from gateway.engine.witness import Witness
from gateway.results import ResultsUnavailable
from gateway.settings import Provider
from gateway.state.edits import Edits
from gateway.state.records import AttemptRecord, AttemptState, EditRecord
from policies.rhythm import next_poll_s


class Unresolved(Struct, frozen=True):
    """Nobody can tell what became of a submit that may have run: its money stays held."""

    message: str


class Ran(Struct, frozen=True):
    """`accepted_s`: from the beginning of the run to the provider's acknowledgement, where there was one. `seconds`:
    for how long the provider had the work, as far as we can tell."""

    attempt: AttemptRecord
    outcome: Done | Failed | Unresolved
    accepted_s: float | None = None
    seconds: float = 0.0


def attempt_id(origin: str, offer: str, count: int) -> str:
    """128 bits in hex, the same for the same edit, offer and count: a lost store cannot make a second id."""
    return sha256(f"{origin}/{offer}/{count}".encode()).hexdigest()[:32]


# A resubmit has the same body as the submit before it, so these answers speak of both; any other refusal of a
# resubmit (a full account, a missing key) says nothing of what the first one did.
_SPEAKS_OF_BOTH = frozenset(
    {
        FailureKind.INVALID,
        FailureKind.UNSUPPORTED,
        FailureKind.MODERATED,
        FailureKind.TASK_FAILED,
        FailureKind.BAD_PICTURE,
    }
)

_LOOK_AGAIN_S = 2.5
"""Until the result store is asked again for a picture that it could not give."""

_NEVER_CAME = Failed(
    kind=FailureKind.EXPIRED, fate=Fate.MAY_HAVE_RUN, message="the provider accepted the work and never finished it"
)


Accepted = Callable[[AttemptRecord], None]
"""Told once of an attempt whose provider works on it, as it is to be followed on from there."""


class Runner:
    """What every run needs."""

    def __init__(
        self,
        wire: Wire,
        edits: Edits,
        clock: Clock,
        witness: Witness,
        timing: Timing,
        callbacks: Callbacks | None = None,
    ) -> None:
        self.wire, self.edits, self.clock, self.witness, self.timing = wire, edits, clock, witness, timing
        self.callbacks = callbacks or Callbacks()

    async def run(
        self,
        record: EditRecord,
        provider: Provider,
        offer: Offer,
        attempt: AttemptRecord,
        *,
        resumed: bool = False,
        accepted: Accepted | None = None,
    ) -> Ran:
        """Follows `attempt` to its end. Its stamp must be fresh, unless it is `resumed` from a record: then a submit
        that was stamped is treated as unknown, never as not sent. Raises `Fenced` where another replica took over."""
        with self.callbacks.listening(record.id, attempt) as ear:
            run = _Run(self, record, provider, offer, attempt, accepted or _unheard, ear, resumed=resumed)
            return await (run.resume() if resumed else run.begin())

    def worked_s(self, attempt: AttemptRecord) -> float:
        """For how long its provider has had the work, as far as we can tell."""
        return max(0, self.clock.now_ms() - attempt.posted_ms) / 1000


def _unheard(_attempt: AttemptRecord) -> None: ...


class _Run:
    def __init__(
        self,
        runner: Runner,
        record: EditRecord,
        provider: Provider,
        offer: Offer,
        attempt: AttemptRecord,
        accepted: Accepted,
        ear: Ear,
        *,
        resumed: bool,
    ) -> None:
        self._tell_accepted, self._resumed = accepted, resumed
        self._runner, self._record, self._provider, self._offer = runner, record, provider, offer
        self._attempt = attempt
        self._asked = Attempt(
            id=attempt.id,
            number=attempt.number,
            edit=record.edit,
            offer=offer,
            callback_url=attempt.callback_url,
        )
        self._ear = ear
        self._stamped_s = self._post_ended_s = self._began_s = runner.clock.monotonic()
        self._accepted_s: float | None = None
        self._unknown_since_s: float | None = None
        self._partial: Done | None = None

    # --- entering -------------------------------------------------------------------------------------------------

    async def begin(self) -> Ran:
        return await self._follow(self._attempt.call)

    async def resume(self) -> Ran:
        """Goes on from the record of a replica that is gone."""
        call = self._attempt.call
        if self._attempt.state is AttemptState.ACCEPTED and not call.step.may_cost:
            self._accepted_s = self._began_s
            self._tell_accepted(self._attempt)
            return await self._follow(call)
        if self._is_own_question(call):
            return await self._follow(call)
        if call.step is Step.UPLOAD:  # nothing was bought yet: begin again
            return await self._go_on(await self._advance(self._provider.adapter.submit(self._asked)))
        if not self._offer.billed:
            return self._ended(Failed(kind=FailureKind.LOST, fate=Fate.MAY_HAVE_RUN, message="the gateway restarted"))
        # The POST may have begun up to the moment of the claim, and run for as long as a call may.
        self._post_ended_s = self._began_s + self._provider.timeout_s
        return await self._go_on(await self._resolve("the gateway restarted during the submit"))

    # --- the loop -------------------------------------------------------------------------------------------------

    async def _follow(self, call: HttpCall) -> Ran:
        while True:
            step = await self._react(call, await self._exchange(call))
            if isinstance(step, Ran):
                return step
            call = step

    async def _go_on(self, step: Ran | HttpCall) -> Ran:
        return step if isinstance(step, Ran) else await self._follow(step)

    async def _exchange(self, call: HttpCall) -> Outcome:
        """One exchange; a paid call whose stamp went stale is stamped again, which also proves that we still own it."""
        while True:
            try:
                outcome = await exchange(
                    self._runner.wire, self._provider, self._record.team, self._asked, call,
                    stamped_s=self._stamped_s, timeout_s=self._timeout_s(call),
                    trace=self._runner.witness.trace_headers(self._attempt),
                )  # fmt: skip
            except StampExpired:
                if self._too_late(call, 0.0):
                    return Unclear(message="the submit was held up until it was too late to repeat it")
                await self._store(call)
                continue
            except ResultsUnavailable:
                if not self._waits_for_pictures(call):
                    raise
                await self._sleep(_LOOK_AGAIN_S)
                continue
            if call.step.may_cost:
                self._post_ended_s = self._now()
            return outcome

    def _timeout_s(self, call: HttpCall) -> float | None:
        """A synchronous offer answers its submit with the picture: it has what is left of the edit's deadline."""
        if self._offer.billed or call.step is not Step.SUBMIT:
            return None
        return max(self._provider.timeout_s, self._left_s())

    def _left_s(self) -> float:
        return self._record.left_s(self._runner.clock.now_ms())

    def _waits_for_pictures(self, call: HttpCall) -> bool:
        """A submit that could not be read from the result store was not sent, and only this run knows that: whoever
        goes on from the record would have to take it for lost."""
        return call.step is Step.SUBMIT and not self._provider.adapter.client_ids and self._left_s() > 0

    async def _react(self, call: HttpCall, outcome: Outcome) -> Ran | HttpCall:
        self._runner.witness.exchanged(self._attempt, call.step, outcome)
        match outcome:
            case Done():
                return self._ended(outcome)
            case Next():
                return await self._advance(outcome)
            case Failed():
                return await self._failed(call, outcome)
            case Unclear():
                return await self._unclear(call, outcome)

    async def _failed(self, call: HttpCall, failed: Failed) -> Ran | HttpCall:
        if call.step is Step.RESUBMIT and failed.kind not in _SPEAKS_OF_BOTH:
            return await self._ask_on(failed.message)
        if call.step.may_cost and self._is_unproven(failed):
            return await self._resolve(failed.message)
        return self._ended(failed)

    def _is_unproven(self, failed: Failed) -> bool:
        """A paid submit that may have run, unless the provider itself speaks of a task of ours that failed. Where
        nobody bills there is no unknown."""
        told = failed.kind is FailureKind.TASK_FAILED
        return self._offer.billed and failed.fate is Fate.MAY_HAVE_RUN and not told

    async def _unclear(self, call: HttpCall, unclear: Unclear) -> Ran | HttpCall:
        if unclear.hopeless:
            return self._ended(Unresolved(unclear.message))
        if call.step is Step.POLL:
            return await self._in_rhythm(call, 0.0)
        if self._is_own_question(call):
            return await self._ask_again(call, unclear.message)
        return await self._ask_on(unclear.message)

    # --- going on -------------------------------------------------------------------------------------------------

    async def _advance(self, step: Next) -> Ran | HttpCall:
        """Waits as the reply asks, stores what must be stored before it is sent, and hands out the next call."""
        self._partial = step.partial or self._partial
        if step.call.step is Step.POLL:
            return await self._poll(step)
        await self._sleep(self._wait_s(step))
        if step.call.step.may_cost or step.call.carry != self._attempt.call.carry:
            await self._store(step.call)
        return step.call

    def _wait_s(self, step: Next) -> float:
        guard_s = step.guard and self._post_ended_s + step.guard - self._now()
        return max(step.after, guard_s)

    async def _poll(self, step: Next) -> Ran | HttpCall:
        is_news = self._accepted_s is None
        if is_news:
            self._accepted_s, self._unknown_since_s = self._now(), None
            self._attempt = replace(self._attempt, state=AttemptState.ACCEPTED)
        if step.call.carry != self._attempt.call.carry:  # an id that only this reply told: stored before it is used
            await self._store(step.call)
        if is_news:
            self._tell_accepted(replace(self._attempt, call=step.call))
        return await self._in_rhythm(step.call, step.after)

    async def _in_rhythm(self, call: HttpCall, least_s: float) -> Ran | HttpCall:
        """The poll, when its time has come; or the end of an attempt that was followed long enough."""
        elapsed_s = self._now() - (self._accepted_s or self._began_s)
        pause_s = next_poll_s(elapsed_s, self._offer.usual_s, self._attempt.polls, self._runner.clock.chance())
        if pause_s is None or elapsed_s + pause_s > self._runner.timing.follow_s:
            return self._ended(self._partial or _NEVER_CAME)
        heard = await self._ear.pause(self._sleep(max(pause_s, least_s)))
        if heard is not None:
            return await self._heard(call, heard)
        self._attempt = replace(self._attempt, polls=self._attempt.polls + 1)
        return call

    async def _heard(self, call: HttpCall, heard: Callback) -> Ran | HttpCall:
        """A callback. One that its provider signed is read like any reply; what it does not settle, and every other
        one, is a hint to poll now. A false one begins the rhythm of polls early, and does not use it up."""
        if heard.reply is not None:
            outcome = self._provider.adapter.read(self._asked, call, heard.reply)
            if isinstance(outcome, Done | Failed):
                return await self._react(call, outcome)
        self._attempt = replace(self._attempt, polls=max(1, self._attempt.polls))
        return call

    # --- resolving a lost answer ----------------------------------------------------------------------------------

    async def _resolve(self, message: str) -> Ran | HttpCall:
        self._unknown_since_s = self._now()
        unknown = replace(self._attempt, state=AttemptState.UNKNOWN)
        self._attempt = await self._runner.edits.store(self._record, unknown)
        return await self._ask(message)

    async def _ask_on(self, message: str) -> Ran | HttpCall:
        self._attempt = replace(self._attempt, tried=self._attempt.tried + 1)
        return await self._ask(message)

    async def _ask(self, message: str) -> Ran | HttpCall:
        """The next way to learn what became of the submit, or the end of the search."""
        since_s = self._unknown_since_s if self._unknown_since_s is not None else self._began_s
        try:
            step = self._provider.adapter.recover(self._asked, self._attempt.tried)
        except ValueError:  # this way sends the edit again, and as the offer is configured now it cannot be sent
            return await self._ask_on(message)
        if step is None or self._now() + self._wait_s(step) - since_s > self._runner.timing.resolve_s:
            return self._ended(Unresolved(message))
        if self._too_late(step.call, self._wait_s(step)):
            return await self._ask_on(message)
        return await self._advance(step)

    def _too_late(self, call: HttpCall, wait_s: float) -> bool:
        """Whether `call` repeats a submit that the provider may have forgotten when it goes out, `wait_s` from now."""
        posted_ms = self._attempt.first_posted_ms
        if call.step is not Step.RESUBMIT or not posted_ms:
            return False
        return self._runner.clock.now_ms() - posted_ms + wait_s * 1000 > self._runner.timing.resubmit_s * 1000

    # --- a question of the adapter's own: whose is an id that exists already? -----------------------------------------

    def _is_own_question(self, call: HttpCall) -> bool:
        return call.step is Step.LOOK_UP and self._attempt.state is AttemptState.INTENT

    async def _ask_again(self, call: HttpCall, message: str) -> Ran | HttpCall:
        """Not by `recover`: that is for lost answers, and would adopt the id without knowing whose it is."""
        elapsed_s = self._now() - self._began_s
        pause_s = next_poll_s(elapsed_s, 0.0, 1, self._runner.clock.chance())
        if pause_s is None or elapsed_s + pause_s > self._runner.timing.resolve_s:
            return self._ended(Unresolved(message))
        await self._sleep(pause_s)
        return call

    # --- small words ----------------------------------------------------------------------------------------------

    async def _store(self, call: HttpCall) -> None:
        """Writes the call that comes next, stamped if it may cost money."""
        self._attempt = await self._runner.edits.store(self._record, replace(self._attempt, call=call))
        self._stamped_s = self._now()

    def _now(self) -> float:
        return self._runner.clock.monotonic()

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await self._runner.clock.sleep(seconds)

    def _ended(self, outcome: Done | Failed | Unresolved) -> Ran:
        accepted_s = None if self._accepted_s is None else self._accepted_s - self._began_s
        return Ran(self._attempt, outcome, accepted_s, self._seconds())

    def _seconds(self) -> float:
        """Since this run began; where it goes on from a record, since its last submit was stamped."""
        if not self._resumed:
            return self._now() - self._began_s
        return self._runner.worked_s(self._attempt)
