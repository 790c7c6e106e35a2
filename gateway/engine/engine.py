"""The engine of one replica: plans and accepts edits, follows each in a task of its own, lets callers wait, and takes
over what a dead replica left behind."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.clock import Clock, day_of, minute_of
from gateway.current import Current
from gateway.engine.handover import HandOver
from gateway.engine.health import Admitted, Health
from gateway.engine.order import Order
from gateway.engine.overload import Overloaded
from gateway.engine.pauses import Pauses
from gateway.engine.presence import Presence
from gateway.engine.room import Hold, Room
from gateway.engine.route import Route
from gateway.engine.terms import hedge_of, terms, wishes
from gateway.engine.timing import Timing
from gateway.engine.wire import STAMP_GOOD_S
from gateway.engine.witness import Witness
from gateway.identity import edit_id
from gateway.observe import Metrics, log
from gateway.results import ResultsUnavailable
from gateway.state.connection import StoreUnavailable
from gateway.state.edits import Edits, Fenced, IllegalMove, InDoubt
from gateway.state.patience import Patience
from gateway.state.records import EditRecord, Status
from gateway.state.terms import Terms
from gateway.task import end
from policies.candidates import provider_of
from policies.facts import Facts
from policies.plans import Plan, plan

CLAIM_AT_ONCE = 100
MOST_DEFECTS = 3
_OPEN = (Status.QUEUED, Status.RUNNING)


class NoOffer(Exception):  # noqa: N818 - the name is the fact
    """No offer can do this edit as asked; the plan holds every reason. `for_now`: one could, and is out of service."""

    def __init__(self, plan: Plan, *, for_now: bool = False) -> None:
        super().__init__("no offer fits")
        self.plan, self.for_now = plan, for_now


class Engine:
    def __init__(
        self,
        current: Current,
        edits: Edits,
        route: Route,
        handover: HandOver,
        health: Health,
        witness: Witness,
        metrics: Metrics,
        clock: Clock,
        timing: Timing,
        patience: Patience,
    ) -> None:
        self._patience = patience
        self._current, self._edits = current, edits
        self._route, self._handover, self._health, self._witness = route, handover, health, witness
        self._metrics, self._clock, self._timing = metrics, clock, timing
        self._room = Room.of_edits(current, clock, metrics)
        self._followed: dict[str, asyncio.Task[EditRecord | None]] = {}
        self._duty: asyncio.Task[None] | None = None
        self._entering: set[str] = set()
        self._in_doubt: dict[str, EditRecord] = {}
        self._pauses = Pauses(clock)
        self._defects: Counter[str] = Counter()
        self.presence = Presence()

    @property
    def in_flight(self) -> int:
        """The edits that this replica works on."""
        return len(self._followed)

    # --- the way in -----------------------------------------------------------------------------------------------

    def refuse_when_full(self, team: str) -> None:
        """Raises `Overloaded` where no edit more of the team can be followed. For those, too."""
        self._room.check(team, 1 + len(self._in_doubt))

    def refuse_when_crowded(self, team: str, offers: Iterable[str], deadline_s: float) -> None:
        """Raises `Overloaded` where at no account of these offers an edit of the team could be queued."""
        refusals: list[Overloaded] = []
        for account in dict.fromkeys(provider_of(offer) for offer in offers):
            try:
                self._check_line(team, account, deadline_s)
            except Overloaded as why:
                refusals.append(why)
            else:
                return
        if refusals:
            raise min(refusals, key=lambda why: why.retry_after_s)

    def new_id(self) -> str:
        """Of an edit to be: what is kept for it names it before it is accepted."""
        return edit_id(self._clock.now_ms(), self._clock.random_bytes(10))

    def plan(self, order: Order) -> Plan:
        """What an order accepted now would do. The same code answers quotes."""
        facts = self._facts(order)
        settings = self._current.settings
        return plan(order.edit, wishes(settings, order, facts), order.policy, settings.offers, facts)

    def _facts(self, order: Order) -> Facts:
        """What is known of this moment."""
        now_ms = self._clock.now_ms()
        return Facts(
            day=day_of(now_ms),
            minute=minute_of(now_ms),
            budget_left=order.budget_left,
            seed=order.seed,
            offers=self._health.facts(),
        )

    async def accept(self, order: Order) -> EditRecord:
        """The edit, durable and begun. Raises `Leaving`, `NoOffer`, `Overloaded`, `OverBudget`, `RefusedBefore`,
        `TooMany`, `LostClaim` or `StoreUnavailable`: then nothing is spent; with `InDoubt`, nothing will be: the
        acceptance is taken back as soon as the store answers."""
        self.presence.refuse_new()
        self.refuse_when_full(order.team)
        record, hold = self._record(order), self._room.hold(order.team, 1)
        self._entering.add(record.id)
        try:
            record = await self._planned(record, order, hold)
        except BaseException as why:
            hold.resize(0)
            self._witness.turned_away(record.id, why)
            raise
        finally:
            self._entering.discard(record.id)
        self._witness.adjusted(record.plan)
        return record

    async def _planned(self, record: EditRecord, order: Order, hold: Hold) -> EditRecord:
        self._witness.planned(record.plan)
        if not record.plan.candidates:
            raise NoOffer(record.plan, for_now=self._would_fit(order))
        return await self._begin(record, terms(self._current.settings, order, record.plan), hold)

    async def _begin(self, record: EditRecord, agreed: Terms, hold: Hold) -> EditRecord:
        """Accepts the edit, with its first attempt where a provider is well and has a place for it."""
        said, attempt = await self._route.admitted(record), None
        admission = self._first_in_line(record, said if isinstance(said, Admitted) else None)
        first = self._route.lanes.prepared(record, admission.offer) if admission else None
        permit = self._route.lanes.place(first.offer).permit if first else None
        asked_s = self._clock.monotonic()
        try:
            record, attempt = await self._edits.accept(record, first, permit, terms=agreed, again=self._patience.again)
        except InDoubt:
            self._in_doubt[record.id] = record
            raise
        except Fenced:
            # A first try took effect, its reply was lost, and by now another replica has taken the edit over.
            hold.resize(0)
            return await self._edits.get(record.id) or record
        finally:
            stale = self._clock.monotonic() - asked_s > STAMP_GOOD_S
            if attempt is None or stale:
                self._health.let_go(admission)
        # A reply that came late may tell of a step that was taken long before it.
        path = self._route.begin(record) if stale else self._route.follow(record, attempt, admission)
        self._start(record.id, path, hold)
        return record

    def _first_in_line(self, record: EditRecord, admission: Admitted | None) -> Admitted | None:
        """The admission; where others wait for a place there it is given back, and the edit queues behind them. Raises
        `Overloaded` where it would have to wait and may not."""
        first = record.plan.candidates[0]
        account = provider_of(admission.offer if admission else first.offer)
        try:
            self._check_line(record.team, account, record.wish.deadline_s - first.expected_s)
        except Overloaded:
            self._health.let_go(admission)
            raise
        if not self._route.line.is_waited_for(account):
            return admission
        self._health.let_go(admission)
        return None

    def _check_line(self, team: str, account: str, most_s: float) -> None:
        provider = self._current.settings.providers.get(account)
        if provider is None:
            return
        free = max(0, provider.max_concurrency - self._health.in_use(account))
        if not free or self._route.line.is_waited_for(account):
            self._route.line.check(team, account, self._health.running(account) + free, most_s)

    def drop(self, edit: str) -> bool:
        """Its caller is gone, and nobody else can know of it: it ends where it still waits for its first place, and
        goes on where it does not."""
        return self._route.line.drop(edit)

    def _would_fit(self, order: Order) -> bool:
        """Whether an offer would do, were none taken out of service, and every server of one's own ready."""
        facts = self._facts(order)
        sold = {name: replace(one, disabled=None, server=None) for name, one in facts.offers.items()}
        facts = replace(facts, offers=sold)
        settings = self._current.settings
        wished = wishes(settings, order, facts)
        return bool(plan(order.edit, wished, order.policy, settings.offers, facts).candidates)

    def _record(self, order: Order) -> EditRecord:
        trace = self._witness.began(order.id, order.trace)
        return EditRecord(
            id=order.id,
            team=order.team,
            key_id=order.key_id,
            origin=order.origin or self._clock.random_bytes(16).hex(),
            edit=order.edit,
            wish=order.wish,
            plan=self.plan(order),
            revision=self._current.settings.revision,
            hedge=hedge_of(self._current.settings, order.team),
            trace_id=trace.trace_id,
            span_id=trace.span_id,
            owner=self._edits.replica,
            epoch=1,
        )

    # --- following ------------------------------------------------------------------------------------------------

    def _start(self, edit: str, path: Coroutine[Any, Any, EditRecord], hold: Hold) -> None:
        task = asyncio.create_task(self._guarded(edit, path), name=edit)
        self._followed[edit] = task
        self._route.cancels.follow(edit)
        task.add_done_callback(lambda over: self._forget(edit, over, hold))

    def _forget(self, edit: str, task: "asyncio.Task[EditRecord | None]", hold: Hold) -> None:
        hold.let_go()
        if self._followed.get(edit) is not task:
            return  # it was replaced by a path of a later epoch
        del self._followed[edit]
        self._witness.let_go(edit)
        self._route.cancels.forget(edit)

    async def _guarded(self, edit: str, path: Coroutine[Any, Any, EditRecord]) -> EditRecord | None:
        """The end of a path, or None where it is not ours to end: another replica took over, or the store is away and
        the record stays claimable."""
        try:
            ended = await path
        except Fenced:
            log.warning("edit_fenced", edit=edit)
        except StoreUnavailable:
            self._metrics.store_errors.labels("edit").inc()
            log.error("edit_left_to_recovery", edit=edit, error="the store is away")
        except ResultsUnavailable as error:
            pause_s = self._pauses.pause(edit)
            log.error("edit_waits_for_results", edit=edit, error=str(error), seconds=pause_s, waiting=len(self._pauses))
            return None
        except Exception as error:  # noqa: BLE001 - a defect must not lose the edit: it stays open, and recovery resumes it
            self._defects[edit] += 1
            log.error("edit_path_failed", edit=edit, error=type(error).__name__, exc_info=error)
        else:
            self._handover.begin(ended)
            self._pauses.forget(edit)
            return ended
        self._pauses.forget(edit)
        return None

    def hear_cancel(self, edit: str) -> None:
        """Somebody asked for its end, here or at another replica."""
        self._route.cancels.hear(edit)

    async def wait(self, record: EditRecord, seconds: float) -> EditRecord:
        """The edit when it ended, or as it stands after `seconds`, or when this replica leaves."""
        task = self._followed.get(record.id)
        if task is not None:
            left = asyncio.create_task(self.presence.left())
            await asyncio.wait({task, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            left.cancel()
            if task.done() and not task.cancelled() and (ended := task.result()):
                return ended
        try:
            return await self._edits.get(record.id) or record
        except StoreUnavailable:
            return record  # it is accepted, and its caller is told where it is rather than that nobody knows

    # --- duties ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to beat and to claim; the first beat is out when this returns."""
        await self._edits.beat()
        self._duty = asyncio.create_task(self._duties(), name="duties")

    async def aclose(self) -> None:
        """Lets go of everything: what is in flight stays in the store, and the next replica goes on at once."""
        tasks = [*self._followed.values(), *([self._duty] if self._duty else [])]
        await end(*tasks)
        await self._route.aclose()
        await self._handover.aclose()
        try:
            for record in self._in_doubt.values():
                await self._undone(record)
            await self._edits.retire()
        except StoreUnavailable:
            log.warning(
                "retire_failed", error="the store is away; this replica's edits are claimable when its beat is old"
            )

    async def _duties(self) -> None:
        """Beat, then claim. After an outage of the store only the beat, until every living replica had time for one."""
        claim_from_s = self._clock.monotonic()
        while True:
            try:
                await self._edits.beat()
                self._patience.well()
                await self._take_back()
                if self._clock.monotonic() >= claim_from_s and self.presence.takes_over:
                    await self._claim()
                    await self._pick_up()
            except StoreUnavailable:
                claim_from_s = self._clock.monotonic() + self._timing.dead_after_s
                self._metrics.store_errors.labels("beat").inc()
                log.error("store_unavailable", duty="beat")
            except Exception as error:  # noqa: BLE001 - a replica that stopped to beat would lose all that it works on
                log.error("duty_failed", error=type(error).__name__, exc_info=error)
            await self._clock.sleep(self._timing.beat_s)

    async def _take_back(self) -> None:
        """Undoes acceptances of which their callers were told that nobody confirmed them. Where another request joined
        one meanwhile, it has a caller who knows of it, and begins."""
        for edit, record in tuple(self._in_doubt.items()):
            kept = None if await self._undone(record) else await self._edits.get(edit)
            del self._in_doubt[edit]
            if kept is not None:
                self._start(edit, self._route.begin(kept), self._room.hold(kept.team, 1))

    async def _undone(self, record: EditRecord) -> bool:
        """Whether the acceptance is taken back, or is somebody else's by now."""
        try:
            return await self._edits.undo(record)
        except (Fenced, IllegalMove) as error:
            log.warning("acceptance_not_undone", edit=record.id, error=str(error))
            return True

    async def _claim(self) -> None:
        """Takes over what dead replicas left."""
        for record in await self._edits.claim(CLAIM_AT_ONCE):
            await self._resume(record)

    async def _pick_up(self) -> None:
        """Goes on with edits of our own whose path broke off (an outage of the store), except where a defect of ours
        broke it three times: that one waits for another version. Where there was no room for its picture, with
        pauses."""
        for edit in await self._edits.owned():
            if self._is_busy(edit) or self._defects[edit] >= MOST_DEFECTS:
                continue
            record = await self._readable(edit)
            if record is not None and edit not in self._followed and record.status in _OPEN:
                await self._resume(record)

    def _is_busy(self, edit: str) -> bool:
        entering = edit in self._entering or edit in self._in_doubt
        return entering or edit in self._followed or self._pauses.holds(edit)

    async def _readable(self, edit: str) -> EditRecord | None:
        """The record, or None where this release cannot read it: another one will, and the edits after it go on."""
        try:
            return await self._edits.get(edit)
        except (msgspec.DecodeError, ValueError) as error:
            self._defects[edit] += 1
            log.error("edit_unreadable", edit=edit, error=str(error))
            return None

    async def _resume(self, record: EditRecord) -> None:
        """Where it went to another replica and came back, a path of ours may still run that has not noticed."""
        if outdated := self._followed.get(record.id):
            await end(outdated)
        self._witness.recovered(record)
        self._start(record.id, self._route.resume(record), self._room.hold(record.team, 1))
