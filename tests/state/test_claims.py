"""Idempotency keys and fingerprints on the real engine: one edit for each, whoever asks and however often."""

import asyncio

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state.claims import Claim, Claims, InCreation, Joined, New, OtherRequest
from gateway.state.edits import Edits
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.terms import LostClaim, Terms
from tests.state.samples import HandClock, attempt, edit_record, end, settled, whole_store

DAY_MS = 24 * 3600 * 1000
LEFT = replace(attempt(), state=AttemptState.UNRESOLVED)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def edits(store: Redis, clock: HandClock) -> Edits:
    return Edits(store, "one", clock=clock)


@pytest.fixture
def claims(store: Redis, clock: HandClock) -> Claims:
    return Claims(store, clock=clock)


async def new(claims: Claims, token: str = "t1", key: str = "k", fingerprint: str = "f") -> Claim:
    claimed = await claims.claim("growth", "edits", key, fingerprint, token)
    assert isinstance(claimed, New)
    return claimed.claim


async def accept(edits: Edits, claim: Claim, number: int = 1) -> EditRecord:
    record, _ = await edits.accept(edit_record(number), attempt(), None, terms=Terms(claim=claim))
    return record


async def ask(claims: Claims, token: str = "t9", fingerprint: str = "f") -> object:
    return await claims.claim("growth", "edits", "k", fingerprint, token)


class TestKeys:
    async def test_two_hundred_at_once_make_one_new_claim(self, claims):
        claimed = await asyncio.gather(*(ask(claims, f"t{number}") for number in range(200)))
        assert sum(isinstance(each, New) for each in claimed) == 1
        assert sum(each == InCreation(30.0) for each in claimed) == 199

    async def test_once_the_edit_exists_all_join_it(self, claims, edits):
        record = await accept(edits, await new(claims))
        claimed = await asyncio.gather(*(ask(claims, f"t{number}") for number in range(200)))
        assert set(claimed) == {Joined(record.id, ended=False)}

    @pytest.mark.parametrize("accepted", [False, True])
    async def test_another_request_under_the_key_is_refused(self, claims, edits, accepted):
        claim = await new(claims)
        if accepted:
            await accept(edits, claim)
        assert await ask(claims, fingerprint="g") == OtherRequest()

    async def test_teams_routes_and_keys_do_not_share(self, claims):
        for team, route, key in [("a", "x", "k"), ("b", "x", "k"), ("a", "y", "k"), ("a", "x", "l")]:
            assert isinstance(await claims.claim(team, route, key, "f", "t"), New)

    async def test_the_key_itself_is_not_in_the_store(self, claims, store):
        await new(claims, key="s3cret-key")
        assert all(b"s3cret" not in name for name in await store.keys("*"))

    async def test_a_repeat_of_the_command_is_the_same_claim(self, claims, store, clock):
        claim = await new(claims)
        before = await whole_store(store)
        clock.forward(1_000)
        assert await ask(claims, claim.token) == New(claim)
        assert await whole_store(store) == before

    async def test_the_day_of_a_key_begins_with_the_end_of_its_edit(self, claims, edits, clock):
        record = await accept(edits, await new(claims))
        clock.forward(10 * DAY_MS)
        assert await ask(claims) == Joined(record.id, ended=False)
        await edits.finish(record, end(Status.UNRESOLVED), LEFT)
        clock.forward(10 * DAY_MS)
        assert await ask(claims) == Joined(record.id, ended=False)
        await edits.finish(record, end(Status.SUCCEEDED), settled())
        clock.forward(DAY_MS - 1)
        assert await ask(claims) == Joined(record.id, ended=True)
        clock.forward(1)
        assert isinstance(await ask(claims), New)

    async def test_the_key_of_an_edit_that_is_open_has_no_ttl(self, claims, edits, store):
        claim = await new(claims)
        assert await store.pttl(claim.name) > 30_000
        record = await accept(edits, claim)
        assert await store.pttl(claim.name) == -1
        await edits.finish(record, end(Status.SUCCEEDED), settled())
        assert await store.pttl(claim.name) > DAY_MS

    async def test_the_books_are_told_of_the_key(self, claims, edits, store):
        claim = await new(claims)
        await accept(edits, claim)
        (_, fields), *_ = await store.xrange("{kontext}:ledger")
        assert claim.key_hash is not None
        assert claim.key_hash.encode() in fields[b"row"]
        assert b'"fingerprint":"f"' in fields[b"row"]


class TestCreation:
    async def test_a_claim_without_edit_is_free_after_its_time(self, claims, clock):
        await new(claims)
        clock.forward(29_999)
        assert await ask(claims) == InCreation(0.001)
        clock.forward(1)
        await new(claims, "t2")

    async def test_a_renewed_claim_lives_on(self, claims, clock):
        claim = await new(claims)
        clock.forward(20_000)
        assert await claims.renew(claim)
        clock.forward(20_000)
        assert await ask(claims) == InCreation(10.0)

    async def test_a_dropped_claim_is_free_at_once_and_leaves_nothing(self, claims, store):
        claim = await new(claims)
        await claims.drop(claim)
        assert await store.keys("*") == []
        await new(claims, "t2")

    async def test_what_was_taken_over_is_not_the_first_ones_any_more(self, claims, edits, clock, store):
        claim = await new(claims)
        clock.forward(30_000)
        second = await new(claims, "t2")
        before = await whole_store(store)
        assert not await claims.renew(claim)
        await claims.drop(claim)
        with pytest.raises(LostClaim):
            await accept(edits, claim)
        assert await whole_store(store) == before
        await accept(edits, second)

    async def test_a_claim_that_ran_out_unnoticed_still_counts(self, claims, edits, clock):
        claim = await new(claims)
        clock.forward(60_000)
        record = await accept(edits, claim)
        assert await ask(claims) == Joined(record.id, ended=False)

    async def test_one_claim_makes_one_edit(self, claims, edits):
        claim = await new(claims)
        record = await accept(edits, claim)
        with pytest.raises(LostClaim):
            await accept(edits, claim, 2)
        assert not await claims.renew(claim)
        await claims.drop(claim)
        assert await ask(claims) == Joined(record.id, ended=False)


class TestFingerprints:
    """Requests without a key are distinct; an SDK's own repeat of one is not."""

    async def ask(self, claims: Claims, token: str, *, repeat: bool) -> object:
        return await claims.claim_fingerprint("growth", "ci", "f", token, repeat=repeat)

    async def new(self, claims: Claims, token: str) -> Claim:
        claimed = await self.ask(claims, token, repeat=False)
        assert isinstance(claimed, New)
        return claimed.claim

    async def test_a_repeat_joins_for_ten_minutes_and_others_never(self, claims, edits, clock):
        record = await accept(edits, await self.new(claims, "t1"))
        clock.forward(600_000 - 1)
        assert await self.ask(claims, "t2", repeat=True) == Joined(record.id, ended=False)
        clock.forward(1)
        assert isinstance(await self.ask(claims, "t3", repeat=True), New)

    async def test_a_repeat_waits_for_an_edit_in_creation(self, claims):
        await self.new(claims, "t1")
        assert await self.ask(claims, "t2", repeat=True) == InCreation(30.0)

    async def test_two_distinct_requests_both_become_edits_and_the_newer_is_joined(self, claims, edits):
        first, second = await self.new(claims, "t1"), await self.new(claims, "t2")
        await accept(edits, first, 1)
        await accept(edits, second, 2)
        assert await self.ask(claims, "t3", repeat=True) == Joined(edit_record(2).id, ended=False)

    async def test_its_time_does_not_grow_with_the_end(self, claims, edits, clock):
        record = await accept(edits, await self.new(claims, "t1"))
        await edits.finish(record, end(Status.SUCCEEDED), settled())
        assert await self.ask(claims, "t2", repeat=True) == Joined(record.id, ended=True)
        clock.forward(600_000)
        assert isinstance(await self.ask(claims, "t3", repeat=True), New)

    async def test_other_keys_of_the_team_do_not_join(self, claims, edits):
        await accept(edits, await self.new(claims, "t1"))
        assert isinstance(await claims.claim_fingerprint("growth", "other", "f", "t2", repeat=True), New)
