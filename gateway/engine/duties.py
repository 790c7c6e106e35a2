"""What a replica owes to the others and to its own edits: to beat, to take over what the dead left, to go on with what
broke off, and to take back what nobody confirmed."""

import msgspec

from gateway.clock import Clock
from gateway.engine.entrance import Entrance
from gateway.engine.following import Following
from gateway.engine.presence import Presence
from gateway.engine.room import Room
from gateway.engine.route import Route
from gateway.engine.timing import Timing
from gateway.engine.witness import Witness
from gateway.observe import Metrics, log
from gateway.state.connection import StoreUnavailable
from gateway.state.edits import Edits, Fenced, IllegalMove
from gateway.state.patience import Patience
from gateway.state.records import EditRecord, Status

CLAIM_AT_ONCE = 100
_OPEN = (Status.QUEUED, Status.RUNNING)


class Duties:
    def __init__(
        self,
        edits: Edits,
        route: Route,
        following: Following,
        entrance: Entrance,
        room: Room,
        presence: Presence,
        patience: Patience,
        witness: Witness,
        metrics: Metrics,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._edits, self._route, self._following, self._entrance = edits, route, following, entrance
        self._room, self._presence, self._patience = room, presence, patience
        self._witness, self._metrics, self._clock, self._timing = witness, metrics, clock, timing

    async def run(self) -> None:
        """Beat, then claim. After an outage of the store only the beat, until every living replica had time for one."""
        claim_from_s = self._clock.monotonic()
        while True:
            try:
                await self._edits.beat()
                self._patience.well()
                await self._take_back()
                if self._clock.monotonic() >= claim_from_s and self._presence.takes_over:
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
        for edit, record in tuple(self._entrance.in_doubt.items()):
            kept = None if await self._undone(record) else await self._edits.get(edit)
            del self._entrance.in_doubt[edit]
            if kept is not None and self._is_ours(kept):
                self._following.start(edit, self._route.begin(kept), self._room.hold(kept.team, 1))

    async def undo_all(self) -> None:
        """At the end: nobody is left who would begin what somebody joined."""
        for record in self._entrance.in_doubt.values():
            await self._undone(record)

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
            if edit in self._following or edit in self._entrance or self._following.rests(edit):
                continue
            record = await self._readable(edit)
            if record is not None and edit not in self._following and record.status in _OPEN:
                await self._resume(record)

    def _is_ours(self, record: EditRecord) -> bool:
        """Another replica may have claimed it before it was read. Its record then carries that one's name and epoch, in
        which every fence would let us through: both would buy."""
        return record.owner == self._edits.replica

    async def _readable(self, edit: str) -> EditRecord | None:
        """The record, or None where this release cannot read it: another one will, and the edits after it go on."""
        try:
            return await self._edits.get(edit)
        except (msgspec.DecodeError, ValueError) as error:
            self._following.count_defect(edit)
            log.error("edit_unreadable", edit=edit, error=str(error))
            return None

    async def _resume(self, record: EditRecord) -> None:
        """Where it went to another replica and came back, a path of ours may still run that has not noticed."""
        if not self._is_ours(record):
            return
        await self._following.break_off(record.id)
        self._witness.recovered(record)
        self._following.start(record.id, self._route.resume(record), self._room.hold(record.team, 1))
