"""The steps of an edit on the real engine, with the time handed in."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from adapters.contract import Step
from gateway.state import edits as edits_module
from gateway.state.edits import Edits, Fenced, IllegalMove, NoPermit, Permit
from gateway.state.records import VERSION, AttemptRecord, AttemptState, EditRecord, Status
from tests.state.moves import ATTEMPT_MOVES, ENDS, STATUS_MOVES
from tests.state.samples import HandClock, attempt, edit_record, end, settled, whole_store

PERMIT = Permit("runware", 2)
A, U = AttemptState, Status


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def edits(store: Redis, clock: HandClock) -> Edits:
    return Edits(store, "one", clock=clock)


@pytest.fixture
def other(store: Redis, clock: HandClock) -> Edits:
    return Edits(store, "two", clock=clock)


async def begin(edits: Edits, number: int = 1, permit: Permit | None = PERMIT) -> EditRecord:
    record, begun = await edits.accept(edit_record(number), attempt(), permit)
    assert begun is not None
    return record


async def queue(edits: Edits, number: int = 1) -> EditRecord:
    record, begun = await edits.accept(edit_record(number), None, None)
    assert begun is None
    return record


async def permits_in_use(store: Redis) -> int:
    return await store.scard("{kontext}:permits:runware")


class TestLife:
    async def test_an_accepted_edit_is_read_back_as_it_was_written_with_its_stamps(self, edits, clock):
        record, begun = await edits.accept(edit_record(), attempt(), PERMIT)
        now = clock.now_ms
        stamped = replace(attempt(), opened_ms=now, posted_ms=now, first_posted_ms=now)
        expected = replace(edit_record(), status=U.RUNNING, owner="one", created_ms=now, attempts=(stamped,))
        assert (record, begun) == (expected, stamped)
        assert await edits.get(record.id) == expected

    async def test_an_edit_without_attempt_is_queued(self, edits, clock):
        record = await queue(edits)
        assert record == replace(edit_record(), status=U.QUEUED, owner="one", created_ms=clock.now_ms)
        assert await edits.get(record.id) == record

    async def test_without_a_free_permit_the_edit_is_accepted_and_queued(self, edits, store):
        await begin(edits, 1, Permit("runware", 1))
        record, begun = await edits.accept(edit_record(2), attempt(), Permit("runware", 1))
        assert (begun, record.status) == (None, U.QUEUED)
        assert await edits.get(record.id) == record
        assert await permits_in_use(store) == 1

    async def test_an_unknown_id_is_none(self, edits):
        assert await edits.get("edit_none") is None

    async def test_an_id_names_one_edit(self, edits):
        await begin(edits)
        with pytest.raises(IllegalMove, match="another edit"):
            await edits.accept(replace(edit_record(), origin="11" * 16), attempt(), PERMIT)

    async def test_failover_keeps_both_attempts_in_order(self, edits, clock):
        record = await begin(edits)
        clock.forward(1_000)
        first = await edits.close(record, replace(record.attempts[0], state=A.RELEASED))
        clock.forward(1_000)
        second = await edits.open(record, attempt(2), PERMIT)
        record = replace(record, attempts=(first, second))
        clock.forward(1_000)
        finished = await edits.finish(record, end(U.SUCCEEDED), replace(second, state=A.SETTLED, cost_micro=40_000))
        assert await edits.get(record.id) == finished
        assert [(a.state, a.closed_ms, a.cost_micro) for a in finished.attempts] == [
            (A.RELEASED, clock.now_ms - 2_000, None),
            (A.SETTLED, clock.now_ms, 40_000),
        ]
        assert (finished.status, finished.end, finished.finished_ms) == (U.SUCCEEDED, end(U.SUCCEEDED), clock.now_ms)

    async def test_the_stamp_of_a_post_moves_and_the_first_one_stays(self, edits, clock):
        record = await begin(edits)
        first = clock.now_ms
        clock.forward(5_000)
        lost = await edits.store(record, replace(record.attempts[0], state=A.UNKNOWN))
        resent = clock.forward(5_000)
        again = await edits.store(record, replace(lost, call=attempt(step=Step.RESUBMIT).call))
        accepted = clock.forward(5_000)
        poll = attempt(step=Step.POLL, url="/1").call
        polled = await edits.store(record, replace(again, state=A.ACCEPTED, call=poll))
        assert (lost.posted_ms, lost.first_posted_ms) == (first, first)
        assert (again.posted_ms, again.first_posted_ms, again.state) == (resent, first, A.UNKNOWN)
        assert (polled.posted_ms, polled.accepted_ms, polled.call.url) == (resent, accepted, "/1")
        assert (await edits.get(record.id)).attempts == (polled,)

    async def test_an_upload_is_no_post(self, edits, clock):
        record, begun = await edits.accept(edit_record(), attempt(step=Step.UPLOAD), None)
        posted = clock.forward(1_000)
        submitted = await edits.store(record, replace(begun, call=attempt().call))
        assert (begun.opened_ms, begun.posted_ms) == (posted - 1_000, 0)
        assert (submitted.opened_ms, submitted.posted_ms, submitted.first_posted_ms) == (posted - 1_000, posted, posted)
        assert (await edits.get(record.id)).attempts == (submitted,)

    async def test_a_terminal_record_stays_for_its_time_and_an_unresolved_one_without_end(self, store, clock):
        edits = Edits(store, "one", keep_ms=60_000, clock=clock)
        record = await begin(edits)
        await edits.finish(record, end(U.UNRESOLVED), attempt(1, A.UNRESOLVED))
        assert await store.pttl("{kontext}:edit:" + record.id) == -1
        await edits.finish(record, end(U.SUCCEEDED), settled())
        assert 0 < await store.pttl("{kontext}:edit:" + record.id) <= 60_000

    async def test_production_takes_the_time_of_the_store(self, store):
        seconds, micros = await store.time()
        record = await queue(Edits(store, "one"))
        assert 0 <= record.created_ms - (seconds * 1000 + micros // 1000) < 5_000


class TestPermits:
    async def test_fifty_at_once_never_pass_the_limit(self, edits, store):
        records = [await queue(edits, number) for number in range(50)]
        answers = await asyncio.gather(*(edits.open(record, attempt(), Permit("runware", 7)) for record in records))
        assert sum(isinstance(answer, AttemptRecord) for answer in answers) == 7
        assert await permits_in_use(store) == 7

    async def test_a_refused_open_writes_nothing(self, edits, store):
        await begin(edits, 1, Permit("runware", 1))
        record = await queue(edits, 2)
        before = await whole_store(store)
        assert await edits.open(record, attempt(), Permit("runware", 1)) == NoPermit()
        assert await whole_store(store) == before

    @pytest.mark.parametrize("state", [A.SETTLED, A.RELEASED, A.UNRESOLVED])
    async def test_close_frees(self, edits, store, state):
        record = await begin(edits)
        await edits.close(record, attempt(1, state))
        assert await permits_in_use(store) == 0

    async def test_finish_frees(self, edits, store):
        record = await begin(edits)
        await edits.finish(record, end(U.SUCCEEDED), settled())
        assert await permits_in_use(store) == 0

    async def test_accounts_do_not_share(self, edits):
        await begin(edits, 1, Permit("runware", 1))
        opened = await edits.open(await queue(edits, 2), attempt(), Permit("runflow", 1))
        assert isinstance(opened, AttemptRecord)

    async def test_a_permit_outlives_the_owner_of_its_attempt(self, edits, other, store, clock):
        await begin(edits)
        clock.forward(10_001)
        (record,) = await other.claim(10)
        assert await permits_in_use(store) == 1
        await other.finish(record, end(U.FAILED), attempt(1, A.RELEASED))
        assert await permits_in_use(store) == 0


class TestRepeats:
    """The client library sends a command again whose reply was lost. A second time changes nothing, even later."""

    @pytest.fixture(autouse=True)
    def same_operation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A repeat by the client library carries the same arguments: the same operation id too."""
        monkeypatch.setattr(edits_module, "_operation", lambda: "the same")

    @pytest.mark.parametrize("permit", [PERMIT, Permit("runware", 0), None])
    async def test_accept(self, edits, store, clock, permit):
        await twice(store, clock, lambda: edits.accept(edit_record(), attempt(), permit))

    async def test_open(self, edits, store, clock):
        record = await queue(edits)
        await twice(store, clock, lambda: edits.open(record, attempt(), PERMIT))

    async def test_open_that_took_the_last_permit(self, edits, store, clock):
        record = await queue(edits)
        await twice(store, clock, lambda: edits.open(record, attempt(), Permit("runware", 1)))

    async def test_store(self, edits, store, clock):
        record = await begin(edits)
        await twice(store, clock, lambda: edits.store(record, attempt(step=Step.RESUBMIT)))

    async def test_close(self, edits, store, clock):
        record = await begin(edits)
        await twice(store, clock, lambda: edits.close(record, settled()))

    async def test_finish_with_the_delivering_attempt(self, edits, store, clock):
        record = await begin(edits)
        await twice(store, clock, lambda: edits.finish(record, end(U.SUCCEEDED), settled()))

    async def test_finish_alone(self, edits, store, clock):
        record = await begin(edits)
        await edits.close(record, attempt(1, A.RELEASED))
        await twice(store, clock, lambda: edits.finish(record, end(U.FAILED), None))

    async def test_claim_gives_the_same_edits(self, edits, other, store, clock):
        for number in range(3):
            await begin(edits, number, None)
        clock.forward(10_001)
        claimed = await other.claim(2)
        before = await whole_store(store)
        clock.forward(1_000)
        assert await other.claim(2) == claimed
        assert await whole_store(store) == before


async def twice(store: Redis, clock: HandClock, step: Callable[[], Awaitable[object]]) -> None:
    first = await step()
    before = await whole_store(store)
    clock.forward(1_000)
    assert await step() == first
    assert await whole_store(store) == before


async def test_another_operation_is_another_post(edits, clock):
    record = await begin(edits)
    await edits.store(record, attempt())
    later = clock.forward(1_000)
    assert (await edits.store(record, attempt())).posted_ms == later


class TestOwnership:
    async def test_a_living_replicas_edits_are_not_claimed(self, edits, other, clock):
        await begin(edits)
        clock.forward(9_000)
        await edits.beat()
        clock.forward(10_000)
        assert await other.claim(10) == ()

    async def test_an_owner_that_never_beat_dies_too(self, edits, other, clock):
        record = await begin(edits)
        clock.forward(10_001)
        assert await other.claim(10) == (replace(record, owner="two", epoch=1),)

    async def test_a_replica_that_retires_leaves_its_edits_at_once(self, edits, other):
        await edits.beat()
        await begin(edits)
        await edits.retire()
        assert len(await other.claim(10)) == 1

    async def test_a_clock_set_back_does_not_keep_the_dead_alive(self, edits, other, clock):
        await edits.beat()
        await begin(edits)
        clock.forward(-3_600_000)
        assert len(await other.claim(10)) == 1

    async def test_claims_are_shared_out_oldest_first_and_each_once(self, edits, other, store, clock):
        for number in range(5):
            clock.forward(1)
            await begin(edits, number, None)
        clock.forward(10_001)
        third = Edits(store, "three", clock=clock)
        first, second, rest = await other.claim(2), await third.claim(2), await other.claim(2)
        assert [record.id for record in (*first, *second, *rest)] == [edit_record(number).id for number in range(5)]
        assert await edits.owned() == ()
        assert await other.owned() == tuple(record.id for record in (*first, *rest))

    async def test_a_claimer_is_alive(self, edits, other, store, clock):
        await begin(edits)
        await other.beat()
        clock.forward(10_001)
        assert len(await other.claim(10)) == 1
        assert await Edits(store, "three", clock=clock).claim(10) == ()
        clock.forward(10_001)
        assert len(await Edits(store, "three", clock=clock).claim(10)) == 1

    @pytest.mark.parametrize("step", ["open", "store", "close", "finish", "accept"])
    async def test_a_paused_owner_that_wakes_up_is_fenced_and_changes_nothing(self, edits, other, store, clock, step):
        record = await begin(edits)
        clock.forward(10_001)
        (claimed,) = await other.claim(10)
        before = await whole_store(store)
        steps = {
            "open": lambda: edits.open(record, attempt(2), PERMIT),
            "store": lambda: edits.store(record, attempt(step=Step.RESUBMIT)),
            "close": lambda: edits.close(record, settled()),
            "finish": lambda: edits.finish(record, end(U.SUCCEEDED), settled()),
            "accept": lambda: edits.accept(edit_record(), attempt(), PERMIT),
        }
        with pytest.raises(Fenced, match="two holds it at epoch 1"):
            await steps[step]()
        assert await whole_store(store) == before
        await other.store(claimed, attempt(step=Step.RESUBMIT))

    async def test_the_same_epoch_under_another_owner_is_fenced(self, edits, other):
        record = await begin(edits)
        with pytest.raises(Fenced):
            await other.store(replace(record, owner="two"), attempt())

    async def test_an_edit_that_came_back_is_fenced_at_its_old_epoch(self, edits, other, clock):
        record = await begin(edits)
        clock.forward(10_001)
        await other.claim(10)
        await other.retire()
        (back,) = await edits.claim(10)
        with pytest.raises(Fenced, match="one holds it at epoch 2"):
            await edits.store(record, attempt(step=Step.RESUBMIT))
        await edits.store(back, attempt(step=Step.RESUBMIT))

    async def test_an_edit_that_the_store_lost_is_fenced(self, edits, store):
        record = await begin(edits)
        await store.flushall()
        with pytest.raises(Fenced, match="does not hold it"):
            await edits.finish(record, end(U.SUCCEEDED), settled())

    async def test_finished_edits_are_nobodys(self, edits, other, clock):
        record = await begin(edits)
        await edits.finish(record, end(U.SUCCEEDED), settled())
        clock.forward(10_001)
        assert await edits.owned() == ()
        assert await other.claim(10) == ()


async def move(edits: Edits, record: EditRecord, state: AttemptState, message: str) -> None:
    """The one step that leads to `state`; `message` makes it another step than the one that led here."""
    moved = replace(attempt(1, state, Step.POLL), message=message)
    await (edits.store(record, moved) if state.is_open else edits.close(record, moved))


class TestForwardOnly:
    @pytest.mark.parametrize(("from_", "to"), list(itertools.product(A, A)))
    async def test_attempts(self, edits, from_, to):
        record = await begin(edits)
        await move(edits, record, from_, "here")
        if to in ATTEMPT_MOVES[from_]:
            await move(edits, record, to, "there")
        else:
            with pytest.raises(IllegalMove, match=f"is {from_}"):
                await move(edits, record, to, "there")
        assert (await edits.get(record.id)).attempts[0].state == (to if to in ATTEMPT_MOVES[from_] else from_)

    @pytest.mark.parametrize(("from_", "to"), list(itertools.product(U, ENDS)))
    async def test_edits(self, edits, from_, to):
        record = await self.at(edits, from_)
        there = replace(end(to), late=True)
        if to in STATUS_MOVES[from_]:
            assert (await edits.finish(record, there, None)).status == to
        else:
            with pytest.raises(IllegalMove, match=f"is {from_}"):
                await edits.finish(record, there, None)
        assert (await edits.get(record.id)).status == (to if to in STATUS_MOVES[from_] else from_)

    async def at(self, edits: Edits, status: Status) -> EditRecord:
        if status is U.QUEUED:
            return await queue(edits)
        record = await begin(edits)
        await edits.close(record, attempt(1, A.UNRESOLVED))
        return record if status is U.RUNNING else await edits.finish(record, end(status), None)

    async def test_no_attempt_is_opened_beside_one_that_may_still_be_charged(self, edits):
        record = await begin(edits)
        for state in (A.INTENT, A.UNKNOWN, A.ACCEPTED):
            await edits.store(record, attempt(1, state, Step.POLL))
            with pytest.raises(IllegalMove, match=f"attempt 1 is {state}"):
                await edits.open(record, attempt(2), PERMIT)

    async def test_no_edit_finishes_over_an_open_attempt(self, edits):
        record = await begin(edits)
        with pytest.raises(IllegalMove, match="close it first"):
            await edits.finish(record, end(U.FAILED), None)

    @pytest.mark.parametrize("status", [U.SUCCEEDED, U.UNRESOLVED])
    async def test_a_finished_edit_opens_nothing(self, edits, status):
        record = await self.at(edits, status)
        with pytest.raises(IllegalMove, match=f"the edit is {status}"):
            await edits.open(record, attempt(2), PERMIT)

    async def test_an_accepted_attempt_is_not_posted_again(self, edits):
        record = await begin(edits)
        with pytest.raises(IllegalMove, match="buy it again"):
            await edits.store(record, attempt(1, A.ACCEPTED, Step.RESUBMIT))

    async def test_attempts_are_numbered_without_gaps(self, edits):
        with pytest.raises(IllegalMove, match="number 1"):
            await edits.accept(edit_record(), attempt(2), PERMIT)
        with pytest.raises(IllegalMove, match="number 1"):
            await edits.open(await queue(edits), attempt(2), PERMIT)

    async def test_an_attempt_that_was_never_opened_has_no_story(self, edits):
        record = await queue(edits)
        with pytest.raises(IllegalMove, match="never opened"):
            await edits.store(record, attempt())
        with pytest.raises(IllegalMove, match="never opened"):
            await edits.close(record, settled())


async def test_a_record_of_a_schema_to_come_is_not_half_understood(store: Redis):
    """A release reads its own and the one before; what a later one wrote waits for a replica of that release."""
    edits = Edits(store, "one")
    record, _ = await edits.accept(replace(edit_record(), version=VERSION + 1), None, None)
    with pytest.raises(ValueError, match=f"reads up to {VERSION}"):
        await edits.get(record.id)
