"""Edits in the store: accepted once, tried in order, finished once, and owned by one replica at a time.

Each method is one script (`lua/`) and one round trip. When the store is away every one of them raises
`StoreUnavailable`, and the step may or may not have taken effect. So nothing is accepted or opened without the store;
a call already under way goes on in memory, and its end is written by the same step again once the store is back.
"""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state import events, keys
from gateway.state.arguments import closing, conditions, cost, money, most, open_edits, posting
from gateway.state.budgets import Caps, amount, over_budget, scopes
from gateway.state.connection import StoreUnavailable, unavailable
from gateway.state.documents import read_edit, write_attempt, write_edit, write_end, write_row
from gateway.state.entries import accept_row, close_row, finish_row, open_row, undo_row
from gateway.state.messages import message
from gateway.state.patience import Again, never
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Status, with_attempt
from gateway.state.scripts import Reply, Scripts, Step, TooFewReplicas
from gateway.state.terms import Terms, agree

DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS
_NO_TERMS, _NO_CAPS = Terms(), Caps()


class Fenced(Exception):  # noqa: N818 - the name is the fact
    """The edit is no longer this replica's: another claimed it, or the store lost it. Stop working on it; send nothing
    more and write nothing more."""


class IllegalMove(Exception):  # noqa: N818 - the name is the fact
    """A step that would go backward, or twice. The worker's picture of the edit is wrong; the message says where."""


class InDoubt(StoreUnavailable):
    """Nobody confirmed the acceptance of `edit`, and it may have taken effect: whoever asked for it takes it back by
    `undo`, before anything of it is sent."""

    def __init__(self, edit: str, said: str) -> None:
        super().__init__(said)
        self.edit = edit


class Cancelled(Exception):  # noqa: N818 - the name is the fact
    """The edit's caller asked for its end: nothing more is bought or delivered for it."""


class Permit(Struct, frozen=True):
    """The right to have one attempt open at a provider account, of which there are `limit`."""

    account: str
    limit: int


class NoPermit(Struct, frozen=True):
    """As many attempts are open at the account as may be. Nothing was written."""


class Edits:
    """The edits that `replica` works on. A step takes the record and gives it back as it now lies in the store: its
    stamps are the store's clock. A step that finds another owner or epoch than the record's raises `Fenced`.

    `dead_ms`: silence after which a replica's edits can be claimed. `keep_ms`: how long a terminal record stays, and
    `prompts_ms` its prompt. `min_replicas`: how many replicas of the store must confirm what moves money, before
    anything is sent for it.
    """

    def __init__(
        self,
        store: Redis,
        replica: str,
        *,
        dead_ms: int = 10_000,
        keep_ms: int = WEEK_MS,
        prompts_ms: int = DAY_MS,
        min_replicas: int = 0,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.replica = replica
        self._store = store
        self._scripts = Scripts(store, clock, min_replicas=min_replicas)
        self._owned = keys.OWNER + replica
        self._dead_ms = dead_ms
        self._keep_ms = keep_ms
        self._prompts_ms = prompts_ms

    def __repr__(self) -> str:
        return f"Edits(replica={self.replica!r})"

    async def accept(
        self,
        record: EditRecord,
        attempt: AttemptRecord | None,
        permit: Permit | None,
        *,
        terms: Terms = _NO_TERMS,
        again: Again = never,
    ) -> tuple[EditRecord, AttemptRecord | None]:
        """Writes the edit under this replica and holds its money (at least the price of the attempt), with its first
        attempt where one is given and a permit is free.

        `permit` None asks for none. The attempt given back is None where none was opened; the edit is then queued.
        Raises `LostClaim`, `RefusedBefore`, `TooMany` or `OverBudget`: then nothing was written; and `InDoubt` where
        that is not known. `again` is asked before either is said of a store that is away.
        """
        if attempt is not None and attempt.number != 1:
            raise IllegalMove(f"{record.id}: the first attempt is number 1, not {attempt.number}")
        while True:
            try:
                reply = await self._accept(record, attempt, permit, terms)
            except StoreUnavailable as error:
                if await again(error):
                    continue
                if isinstance(error, TooFewReplicas) and await self._is_undone(record):
                    raise
                raise InDoubt(record.id, str(error)) from error
            agree(reply, terms)
            return self._accepted(record, attempt, reply)

    async def _accept(
        self, record: EditRecord, attempt: AttemptRecord | None, permit: Permit | None, terms: Terms
    ) -> Reply:
        return await self._step(
            Step.ACCEPT,
            record.id,
            (
                keys.EDIT + record.id,
                self._owned,
                keys.REPLICAS,
                _permits(permit),
                keys.LEDGER,
                open_edits(record),
                *scopes(record.team, record.key_id),
                keys.UNDONE + record.id,
                keys.team_edits(record.team),
                keys.EVENTS + record.id,
                keys.CONTENTS,
            ),
            record.id,
            self.replica,
            record.epoch,
            write_edit(record),
            b"" if attempt is None else write_attempt(attempt),
            "" if attempt is None else posting(attempt),
            _limit(permit),
            *money(record, attempt, terms),
            *conditions(record, terms),
            write_row(accept_row(record, terms.claim)),
            b"" if attempt is None else write_row(open_row(record, attempt)),
            events.accepted(record),
            b"" if attempt is None else events.opened(attempt),
            self._prompts_ms,
        )

    def _accepted(
        self, record: EditRecord, attempt: AttemptRecord | None, reply: Reply
    ) -> tuple[EditRecord, AttemptRecord | None]:
        _, now, opened = reply
        accepted = replace(record, status=Status.QUEUED, owner=self.replica, created_ms=_ms(now))
        if attempt is None or not opened:
            return accepted, None
        begun = _opened(attempt, _ms(now))
        return replace(accepted, status=Status.RUNNING, attempts=(begun,)), begun

    async def _is_undone(self, record: EditRecord) -> bool:
        with suppress(StoreUnavailable):
            return await self.undo(record)
        return False

    async def undo(self, record: EditRecord) -> bool:
        """Takes back an acceptance that nobody confirmed, as if it had never been, even where it is still on its way.
        False where another request has joined the edit: that one knows of it, so it is followed as any other."""
        reply = await self._step(
            Step.UNDO,
            record.id,
            (
                keys.EDIT + record.id,
                self._owned,
                keys.LEDGER,
                open_edits(record),
                keys.UNDONE + record.id,
                keys.CONTENTS,
            ),
            record.id,
            self.replica,
            record.epoch,
            write_row(undo_row(record)),
        )
        return reply[0] == b"ok"

    async def open(
        self, record: EditRecord, attempt: AttemptRecord, permit: Permit | None, *, caps: Caps = _NO_CAPS
    ) -> AttemptRecord | NoPermit:
        """Writes the next attempt, numbered from 1, before anything of it is sent. No other may be open, but
        for an accepted one that this one is opened `beside`.

        Its price comes out of what the edit still holds. Where that is too little, the hold is topped up: never past a
        cap, nor past what the edit may cost in all, else `OverBudget`. After `StoreUnavailable` (too few replicas may
        have confirmed it) the same call is repeated before anything is sent. Raises `Cancelled`.
        """
        reply = await self._step(
            Step.OPEN,
            record.id,
            (keys.EDIT + record.id, _permits(permit), keys.LEDGER),
            record.id,
            record.owner,
            record.epoch,
            attempt.number,
            write_attempt(attempt),
            posting(attempt),
            _limit(permit),
            amount(attempt.price_micro),
            most(record),
            caps.words(),
            write_row(open_row(record, attempt)),
            "" if attempt.beside is None else "1",
            events.opened(attempt),
        )
        if reply[0] == b"over_budget":
            raise over_budget(reply)
        if reply[0] == b"cancelled":
            raise Cancelled(record.id)
        return NoPermit() if reply[0] == b"no_permit" else _opened(attempt, _ms(reply[1]))

    async def store(self, record: EditRecord, attempt: AttemptRecord) -> AttemptRecord:
        """Writes what an open attempt is about to do or has learnt.

        A resubmit, and a submit that is still an intent, are about to be sent: `posted_ms` is stamped anew, at every
        call. A submit that is kept as the last call of an unknown or accepted attempt is not.
        """
        _, now = await self._step(
            Step.STORE,
            record.id,
            (keys.EDIT + record.id,),
            record.owner,
            record.epoch,
            attempt.number,
            attempt.state,
            write_attempt(attempt),
            posting(attempt),
            _operation(),
            events.learnt(attempt),
        )
        return _stored(attempt, _ms(now))

    async def close(self, record: EditRecord, attempt: AttemptRecord) -> AttemptRecord:
        """Ends an attempt and frees its permit. Settled: its cost leaves the hold. Unresolved: its price stays held.
        Released: its price is the edit's again, for the next attempt."""
        _, now = await self._confirmed(
            Step.CLOSE,
            record.id,
            (keys.EDIT + record.id, keys.LEDGER, keys.UNRESOLVED),
            record.id,
            record.owner,
            record.epoch,
            attempt.number,
            attempt.state,
            write_attempt(attempt),
            cost(attempt),
            write_row(close_row(record, attempt)),
            events.closed(attempt),
        )
        return replace(attempt, closed_ms=_ms(now))

    async def finish(self, record: EditRecord, end: End, attempt: AttemptRecord | None) -> EditRecord:
        """Writes the edit's end, together with the close of `attempt` where one is given. What of the hold is not kept
        for unresolved attempts returns. Raises `Cancelled` for a success that nobody wants any more."""
        reply = await self._confirmed(
            Step.FINISH,
            record.id,
            (
                keys.EDIT + record.id,
                keys.OWNER + record.owner,
                keys.LEDGER,
                keys.UNRESOLVED,
                open_edits(record),
                keys.LISTED,
                keys.team_endpoints(record.team),
            ),
            record.id,
            record.owner,
            record.epoch,
            end.status,
            write_end(end),
            self._keep_ms,
            *closing(record, attempt),
            write_row(finish_row(record, end)),
            events.finished(end, attempt),
            *message(record, end),
        )
        if reply[0] == b"cancelled":
            raise Cancelled(record.id)
        now, cancel_ms = _ms(reply[1]), _ms(reply[2])
        finished = replace(record, status=end.status, end=end, finished_ms=now, cancel_ms=cancel_ms)
        return finished if attempt is None else with_attempt(finished, replace(attempt, closed_ms=now))

    async def cancel(self, edit_id: str) -> bool:
        """Asks for the end of an edit, whoever works on it: no attempt of it is opened from here on, and it cannot
        succeed. Its owner is called, and ends it as soon as what is under way allows. False for one that has ended."""
        reply = await self._scripts.run(
            Step.CANCEL,
            (keys.EDIT + edit_id,),
            edit_id,
            keys.CALLS,
            keys.CALLS_LIVE_MS,
            events.cancel_requested(edit_id),
        )
        return reply[0] == b"ok"

    async def get(self, edit_id: str) -> EditRecord | None:
        """The whole record, or None for an id that the store does not hold."""
        with unavailable():
            fields = await cast("Awaitable[dict[bytes, bytes]]", self._store.hgetall(keys.EDIT + edit_id))
        return read_edit(fields) if fields else None

    async def owned(self) -> tuple[str, ...]:
        """The ids of the open edits that the store holds as this replica's, oldest first."""
        with unavailable():
            found = self._store.zrange(self._owned, 0, -1)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            ids = await cast("Awaitable[list[bytes]]", found)
        return tuple(edit_id.decode() for edit_id in ids)

    async def beat(self) -> int:
        """This replica lives. After an outage of the store: beat first, and claim nothing for `dead_ms`, since every
        replica looks dead until its own next beat."""
        _, now = await self._scripts.run(Step.BEAT, (keys.REPLICAS,), self.replica)
        return _ms(now)

    async def retire(self) -> None:
        """This replica leaves; what it still owns can be claimed at once."""
        await self._scripts.run(Step.RETIRE, (keys.REPLICAS, self._owned), self.replica)

    async def claim(self, limit: int) -> tuple[EditRecord, ...]:
        """Takes up to `limit` open edits of dead replicas, each at a raised epoch.

        Their former owner may have died between a stamp and its post, or after it: an intent found here is unknown.
        """
        _, _, found = await self._scripts.run(
            Step.CLAIM,
            (keys.REPLICAS, self._owned, keys.CLAIM + self.replica),
            self.replica,
            limit,
            self._dead_ms,
            _operation(),
            keys.EDIT,
            keys.OWNER,
        )
        hashes = cast("list[list[bytes]]", found)[1::2]
        return tuple(read_edit(dict(zip(flat[::2], flat[1::2], strict=True))) for flat in hashes)

    async def _confirmed(self, step: Step, edit_id: str, keys: tuple[str, ...], *args: str | bytes | int) -> Reply:
        """A step after which nothing is sent: replicas of the store that lag are waited for, not insisted on."""
        try:
            return await self._step(step, edit_id, keys, *args)
        except TooFewReplicas as late:
            return late.reply

    async def _step(self, step: Step, edit_id: str, keys: tuple[str, ...], *args: str | bytes | int) -> Reply:
        reply = await self._scripts.run(step, keys, *args)
        if reply[0] == b"fenced":
            raise Fenced(f"{edit_id} is not this replica's any more: {_holder(reply)}")
        if reply[0] == b"illegal":
            raise IllegalMove(f"{edit_id}: {cast('bytes', reply[1]).decode()}")
        return reply


def _holder(reply: Reply) -> str:
    owner, epoch = (cast("bytes", part).decode() for part in reply[1:3])
    return f"{owner} holds it at epoch {epoch}" if owner else "the store does not hold it"


def _permits(permit: Permit | None) -> str:
    """A key is named even where none is used: an empty one would lie in another Cluster slot."""
    return keys.PERMITS + (permit.account if permit else "")


def _limit(permit: Permit | None) -> str | int:
    return "" if permit is None else permit.limit


def _operation() -> str:
    """Names one call of one method, so that the client library's own repeat of it is known as a repeat."""
    return secrets.token_hex(8)


def _ms(value: object) -> int:
    return cast("int", value)


# --- the record as the script left it: the same stamps as in `prelude.lua` ------------------------------------------


def _opened(attempt: AttemptRecord, now_ms: int) -> AttemptRecord:
    return _posted(replace(attempt, state=AttemptState.INTENT, opened_ms=now_ms), now_ms)


def _stored(attempt: AttemptRecord, now_ms: int) -> AttemptRecord:
    if attempt.state is AttemptState.ACCEPTED and not attempt.accepted_ms:
        return replace(attempt, accepted_ms=now_ms)
    return _posted(attempt, now_ms)


def _posted(attempt: AttemptRecord, now_ms: int) -> AttemptRecord:
    if not posting(attempt):
        return attempt
    return replace(attempt, posted_ms=now_ms, first_posted_ms=attempt.first_posted_ms or now_ms)
