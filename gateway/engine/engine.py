"""The engine of one replica: accepts edits, follows each in a task of its own, lets callers wait, and takes over what a
dead replica left behind."""

import asyncio
from collections.abc import Iterable

from gateway.clock import Clock
from gateway.current import Current
from gateway.engine.crowd import Crowd
from gateway.engine.duties import Duties
from gateway.engine.entrance import Entrance
from gateway.engine.following import Following
from gateway.engine.handover import HandOver
from gateway.engine.health import Admitted, Health
from gateway.engine.order import Order
from gateway.engine.overload import Overloaded
from gateway.engine.pauses import Pauses
from gateway.engine.planner import Planner
from gateway.engine.presence import Presence
from gateway.engine.room import Hold, Room
from gateway.engine.route import Route
from gateway.engine.terms import terms
from gateway.engine.timing import Timing
from gateway.engine.wire import STAMP_GOOD_S
from gateway.engine.witness import Witness
from gateway.observe import Metrics, log
from gateway.state.connection import StoreUnavailable
from gateway.state.edits import Edits, Fenced, InDoubt
from gateway.state.patience import Patience
from gateway.state.records import EditRecord
from gateway.state.terms import Terms
from gateway.task import end
from policies.candidates import provider_of
from policies.plans import Plan


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
        self._current, self._edits, self._route, self._handover = current, edits, route, handover
        self._health, self._witness, self._clock, self._patience = health, witness, clock, patience
        self._room = Room.of_edits(current, clock, metrics)
        self._crowd = Crowd(current, health, route.line)
        self._planner = Planner(current, health, witness, clock, edits.replica)
        self._entrance, self.presence = Entrance(), Presence()
        self._following = Following(route, handover, Pauses(clock), witness, metrics)
        self._duties = Duties(
            edits, route, self._following, self._entrance, self._room, self.presence,
            patience, witness, metrics, clock, timing,
        )  # fmt: skip
        self._duty: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        """The edits that this replica works on."""
        return len(self._following)

    # --- the way in -----------------------------------------------------------------------------------------------

    def refuse_when_full(self, team: str) -> None:
        """Raises `Overloaded` where no edit more of the team can be followed. What is in doubt counts, too."""
        self._room.check(team, 1 + len(self._entrance.in_doubt))

    def refuse_when_crowded(self, team: str, offers: Iterable[str], deadline_s: float) -> None:
        """Raises `Overloaded` where at no account of these offers an edit of the team could be queued."""
        self._crowd.check_any(team, offers, deadline_s)

    def new_id(self) -> str:
        """Of an edit to be: what is kept for it names it before it is accepted."""
        return self._planner.new_id()

    def plan(self, order: Order) -> Plan:
        """What an order accepted now would do. The same code answers quotes."""
        return self._planner.plan(order)

    async def accept(self, order: Order) -> EditRecord:
        """The edit, durable and begun. Raises `Leaving`, `NoOffer`, `Overloaded`, `OverBudget`, `RefusedBefore`,
        `TooMany`, `LostClaim` or `StoreUnavailable`: then nothing is spent; with `InDoubt`, nothing will be: the
        acceptance is taken back as soon as the store answers."""
        self.presence.refuse_new()
        self.refuse_when_full(order.team)
        record, hold = self._planner.record(order), self._room.hold(order.team, 1)
        self._entrance.begun.add(record.id)
        try:
            record = await self._planned(record, order, hold)
        except BaseException as why:
            hold.resize(0)
            self._witness.turned_away(record.id, why)
            raise
        finally:
            self._entrance.begun.discard(record.id)
        self._witness.adjusted(record.plan)
        return record

    async def _planned(self, record: EditRecord, order: Order, hold: Hold) -> EditRecord:
        self._witness.planned(record.plan)
        if not record.plan.candidates:
            raise NoOffer(record.plan, for_now=self._planner.would_fit(order))
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
            self._entrance.in_doubt[record.id] = record
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
        self._following.start(record.id, path, hold)
        return record

    def _first_in_line(self, record: EditRecord, admission: Admitted | None) -> Admitted | None:
        """The admission; where others wait for a place there it is given back, and the edit queues behind them. Raises
        `Overloaded` where it would have to wait and may not."""
        first = record.plan.candidates[0]
        account = provider_of(admission.offer if admission else first.offer)
        try:
            self._crowd.check(record.team, account, record.wish.deadline_s - first.expected_s)
        except Overloaded:
            self._health.let_go(admission)
            raise
        if not self._route.line.is_waited_for(account):
            return admission
        self._health.let_go(admission)
        return None

    # --- callers, and the end ---------------------------------------------------------------------------------------

    def drop(self, edit: str) -> bool:
        """Its caller is gone, and nobody else can know of it: it ends where it still waits for its first place, and
        goes on where it does not."""
        return self._route.line.drop(edit)

    def hear_cancel(self, edit: str) -> None:
        """Somebody asked for its end, here or at another replica."""
        self._route.cancels.hear(edit)

    async def wait(self, record: EditRecord, seconds: float) -> EditRecord:
        """The edit when it ended, or as it stands after `seconds`, or when this replica leaves."""
        task = self._following.task(record.id)
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

    async def start(self) -> None:
        """Begins to beat and to claim; the first beat is out when this returns."""
        await self._edits.beat()
        self._duty = asyncio.create_task(self._duties.run(), name="duties")

    async def aclose(self) -> None:
        """Lets go of everything: what is in flight stays in the store, and the next replica goes on at once."""
        if self._duty is not None:
            await end(self._duty)
        await self._following.aclose()
        await self._route.aclose()
        await self._handover.aclose()
        try:
            await self._duties.undo_all()
            await self._edits.retire()
        except StoreUnavailable:
            log.warning(
                "retire_failed", error="the store is away; this replica's edits are claimable when its beat is old"
            )
