"""The outbox of webhooks: written by the step that ends an edit, lent to whoever delivers, never lost in between."""

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.state.corrections import Corrections
from gateway.state.deliveries import Caps, Deliveries, Parcel, Try
from gateway.state.edits import Edits
from gateway.state.endpoints import MOST_OF_A_TEAM, Endpoint, Endpoints, Receives, SigningSecret, TooManyEndpoints
from gateway.state.records import AttemptState, Status, Webhook
from policies.delivery import Next, Verdict
from tests.state.samples import HandClock, attempt, edit_record, end, settled, whole_store

TEAM = edit_record().team
CAPS = Caps(of_endpoint=2, of_team=3, pause_ms=250, loan_ms=20_000)
DELIVERED, AGAIN, GIVEN_UP, GONE = (
    Next(Verdict.DELIVERED),
    Next(Verdict.AGAIN, 5.0),
    Next(Verdict.GIVEN_UP),
    Next(Verdict.GONE),
)


class Office:
    """A store with a clock that is wound by hand."""

    def __init__(self, store: Redis) -> None:
        self.store, self.clock = store, HandClock()
        self.edits = Edits(store, "one", clock=self.clock)
        self.corrections = Corrections(store, clock=self.clock)
        self.endpoints = Endpoints(store, clock=self.clock)
        self.deliveries = Deliveries(store, CAPS, clock=self.clock)

    async def endpoint(self, number: int = 1, team: str = TEAM, receives: Receives = Receives.ALL) -> Endpoint:
        secret = SigningSecret(f"whsec_{number}")
        return await self.endpoints.add(
            Endpoint(id=f"we_{number}", team=team, url=f"https://{number}.test", receives=receives, secrets=(secret,))
        )

    async def ended(
        self, number: int = 1, team: str = TEAM, webhook: Webhook | None = None, status: Status = Status.FAILED
    ) -> None:
        record = replace(edit_record(number), team=team)
        record = replace(record, wish=replace(record.wish, webhook=webhook))
        record, _ = await self.edits.accept(record, None, None)
        await self.edits.finish(record, end(status), None)

    async def tell(self, parcel: Parcel, after: Next) -> bool:
        return await self.deliveries.tried(parcel, after, Try(at_ms=self.clock.now_ms, seconds=0.1, status=500))

    async def collected(self, most: int = 10) -> list[tuple[str, str]]:
        return [(one.endpoint.id, one.delivery.message) for one in await self.deliveries.collect(most)]


@pytest.fixture
def office(store: Redis) -> Office:
    return Office(store)


def message(number: int, status: str = "failed") -> str:
    return f"msg_{number:032x}_{status}"


# --- written with the end --------------------------------------------------------------------------------------------


async def test_an_end_is_told_to_every_endpoint_of_its_team_and_no_other(office: Office) -> None:
    await office.endpoint(1)
    await office.endpoint(2)
    await office.endpoint(3, team="others")
    await office.ended(1)
    assert sorted(await office.collected()) == [("we_1", message(1)), ("we_2", message(1))]


async def test_a_repeat_of_the_last_step_writes_nothing_more(office: Office) -> None:
    await office.endpoint()
    record, _ = await office.edits.accept(edit_record(), None, None)
    await office.edits.finish(record, end(Status.FAILED), None)
    before = await whole_store(office.store)
    await office.edits.finish(record, end(Status.FAILED), None)
    assert await whole_store(office.store) == before


async def test_an_edit_that_names_an_address_is_told_there_and_not_twice(office: Office) -> None:
    await office.endpoint(1)
    await office.endpoint(2, receives=Receives.NAMED)
    await office.endpoint(3, receives=Receives.NAMED)
    await office.ended(1, webhook=Webhook("we_2", "https://2.test/orders/7"))
    await office.ended(2, webhook=Webhook("we_1", "https://1.test/orders/8"))
    parcels = await office.deliveries.collect(10)
    told = {(one.endpoint.id, one.delivery.message): one.delivery.url for one in parcels}
    assert told == {
        ("we_1", message(1)): "",
        ("we_2", message(1)): "https://2.test/orders/7",
        ("we_1", message(2)): "https://1.test/orders/8",
    }


@pytest.mark.parametrize("status", [Status.FAILED, Status.REFUSED, Status.CANCELLED])
async def test_each_end_has_its_event_and_the_message_is_thin(office: Office, status: Status) -> None:
    await office.endpoint()
    await office.ended(status=status)
    (parcel,) = await office.deliveries.collect(10)
    assert parcel.delivery.event == f"edit.{status}"
    assert parcel.delivery.data.decode() == f'{{"object":"edit","id":"{edit_record().id}","status":"{status}"}}'


async def test_what_is_resolved_later_is_told_as_well(office: Office) -> None:
    await office.endpoint()
    record, _ = await office.edits.accept(edit_record(), attempt(), None)
    left = replace(attempt(), state=AttemptState.UNRESOLVED)
    record = await office.edits.finish(record, end(Status.UNRESOLVED), left)
    assert await office.collected() == [("we_1", message(1, "unresolved"))]
    for _ in range(2):
        await office.corrections.resolve(record, settled(), end(Status.FAILED), operation="a", note="")
    assert await office.collected() == [("we_1", message(1, "failed"))]


# --- lent, and due again ---------------------------------------------------------------------------------------------


async def test_what_is_lent_is_nobody_elses_until_the_loan_ends(office: Office) -> None:
    await office.endpoint()
    await office.ended()
    (parcel,) = await office.deliveries.collect(10)
    assert await office.collected() == []
    office.clock.forward(CAPS.loan_ms - 1)
    assert await office.collected() == []
    office.clock.forward(1)
    (again,) = await office.deliveries.collect(10)
    assert again.delivery == replace(parcel.delivery, due_ms=again.delivery.due_ms)
    assert not await office.tell(parcel, GIVEN_UP), "who had it before tells too late"
    assert (await office.endpoints.get("we_1")) == again.endpoint or again.endpoint.disabled_ms == 0
    await office.tell(parcel, DELIVERED)
    found = await office.deliveries.get(again.endpoint, message(1))
    assert found is not None
    assert found.state == "delivered", "but what was taken was taken, whoever tells"


async def test_a_try_that_failed_comes_again_after_its_pause_under_the_same_id(office: Office) -> None:
    await office.endpoint()
    await office.ended()
    for number in (1, 2, 3):
        (parcel,) = await office.deliveries.collect(10)
        assert (parcel.delivery.message, len(parcel.delivery.tries)) == (message(1), number - 1)
        await office.tell(parcel, AGAIN)
        office.clock.forward(4_999)
        assert await office.collected() == []
        office.clock.forward(1)
    (parcel,) = await office.deliveries.collect(10)
    await office.tell(parcel, DELIVERED)
    office.clock.forward(86_400_000)
    assert await office.collected() == []


async def test_telling_twice_is_telling_once(office: Office) -> None:
    await office.endpoint()
    await office.ended()
    (parcel,) = await office.deliveries.collect(10)
    await office.tell(parcel, AGAIN)
    before = await whole_store(office.store)
    await office.tell(parcel, AGAIN)
    assert await whole_store(office.store) == before


async def test_a_slow_endpoint_has_its_own_few_places_and_delays_nobody(office: Office) -> None:
    """`of_endpoint` is 2, `of_team` 3."""
    for number in (1, 2, 3):
        await office.endpoint(number, team=TEAM if number < 3 else "others")
    for number in range(1, 6):
        await office.ended(number)
    await office.ended(9, team="others")
    places = [endpoint for endpoint, _ in await office.collected()]
    assert sorted(places) == ["we_1", "we_1", "we_2", "we_3"]
    assert await office.collected() == []
    office.clock.forward(CAPS.loan_ms)
    assert len(await office.collected()) == 4, "what nobody told of is due again"


async def test_one_that_is_told_off_makes_room_at_once(office: Office) -> None:
    await office.endpoint()
    for number in range(1, 5):
        await office.ended(number)
    first, second = await office.deliveries.collect(10)
    assert await office.collected() == []
    await office.tell(first, DELIVERED)
    assert len(await office.collected()) == 1
    await office.tell(second, DELIVERED)
    assert len(await office.collected()) == 1
    assert await office.deliveries.late_ms(office.clock.now_ms) == 0


async def test_what_a_slow_endpoint_has_waiting_is_not_late_and_what_nobody_collects_is(office: Office) -> None:
    """Of an endpoint that has more due than places, every second a try fails."""
    await office.endpoint()
    for number in range(1, 9):
        await office.ended(number)
    office.clock.forward(60_000)
    await office.ended(9)
    assert await office.deliveries.late_ms(office.clock.now_ms) == 60_000
    for _ in range(10):
        (first, *_) = await office.deliveries.collect(10)
        office.clock.forward(1_000)
        await office.tell(first, AGAIN)
        assert await office.deliveries.late_ms(office.clock.now_ms) == 0
    office.clock.forward(90_000)
    assert await office.deliveries.late_ms(office.clock.now_ms) == 90_000


# --- disabled, enabled, removed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [GIVEN_UP, GONE])
async def test_who_takes_nothing_is_disabled_once_and_told_nothing_until_enabled(office: Office, after: Next) -> None:
    endpoint = await office.endpoint()
    await office.ended(1)
    await office.ended(2)
    first, second = await office.deliveries.collect(10)
    assert await office.tell(first, after)
    assert not await office.tell(second, AGAIN)
    await office.ended(3)
    office.clock.forward(3_600_000)
    assert await office.collected() == []
    found = await office.endpoints.get(endpoint.id)
    assert found is not None
    assert (found.disabled_ms > 0, found.reason, await office.endpoints.disabled_count()) == (True, after.verdict, 1)
    await office.endpoints.enable(endpoint)
    assert await office.endpoints.get(endpoint.id) == replace(found, disabled_ms=0, reason="")
    assert await office.endpoints.disabled_count() == 0
    await office.ended(4)
    assert await office.collected() == [("we_1", message(2)), ("we_1", message(4))], "3 was never written"


async def test_one_message_that_nobody_takes_disables_no_endpoint_that_takes_others(office: Office) -> None:
    await office.endpoint()
    await office.ended(1)
    (first,) = await office.deliveries.collect(1)
    office.clock.forward(1)
    await office.ended(2)
    (second,) = await office.deliveries.collect(1)
    await office.tell(second, DELIVERED)
    assert not await office.tell(first, GIVEN_UP)
    found = await office.deliveries.get(first.endpoint, message(1))
    assert found is not None
    assert (found.state, found.due_ms) == ("failed", None)


async def test_what_is_asked_for_again_is_due_at_once_with_its_tries_before_it(office: Office) -> None:
    endpoint = await office.endpoint()
    await office.ended()
    for after in (DELIVERED, GONE):
        (parcel,) = await office.deliveries.collect(10)
        await office.tell(parcel, after)
        assert await office.deliveries.redeliver(endpoint, message(2)) == b"gone"
        if after is DELIVERED:
            assert await office.deliveries.redeliver(endpoint, message(1)) == b"ok"
            assert await office.deliveries.redeliver(endpoint, message(1)) == b"ok"
    assert (parcel.delivery.message, parcel.delivery.tries_before, len(parcel.delivery.tries)) == (message(1), 1, 1)
    assert await office.deliveries.redeliver(endpoint, message(1)) == b"disabled"


async def test_a_removed_endpoint_leaves_nothing_that_would_be_sent(office: Office) -> None:
    endpoint = await office.endpoint()
    await office.ended(1)
    (parcel,) = await office.deliveries.collect(10)
    await office.endpoints.remove(endpoint)
    await office.tell(parcel, AGAIN)
    await office.ended(2)
    office.clock.forward(3_600_000)
    assert await office.collected() == []
    assert await office.endpoints.of_team(TEAM) == ()
    assert await office.endpoints.get(endpoint.id) is None
    assert await office.deliveries.redeliver(endpoint, message(1)) == b"gone"


# --- the lists -------------------------------------------------------------------------------------------------------


async def test_the_log_is_read_page_by_page_newest_first_and_forgets_after_a_week(office: Office) -> None:
    endpoint = await office.endpoint()
    for number in range(1, 6):
        await office.ended(number)
        office.clock.forward(1)
    seen: list[str] = []
    while page := await office.deliveries.newest(endpoint, seen[-1] if seen else "", 2):
        seen += [one.message for one in page]
    assert seen == [message(number) for number in (5, 4, 3, 2, 1)]
    assert await office.deliveries.newest(endpoint, message(99), 2) == ()
    office.clock.forward(7 * 86_400_000)
    await office.ended(6)
    assert [one.message for one in await office.deliveries.newest(endpoint, "", 10)] == [message(6)]


async def test_a_team_has_so_many_endpoints_and_each_is_its_own(office: Office) -> None:
    for number in range(MOST_OF_A_TEAM):
        await office.endpoint(number)
    with pytest.raises(TooManyEndpoints):
        await office.endpoint(99)
    await office.endpoint(100, team="others")
    assert len(await office.endpoints.of_team(TEAM)) == MOST_OF_A_TEAM
    assert [one.id for one in await office.endpoints.of_team("others")] == ["we_100"]


async def test_of_two_changes_at_once_one_wins(office: Office) -> None:
    endpoint = await office.endpoint()
    one, other = (replace(endpoint, secrets=(SigningSecret(text),)) for text in ("whsec_a", "whsec_b"))
    assert await office.endpoints.amend(endpoint, one)
    assert await office.endpoints.amend(endpoint, one), "a repeat"
    assert not await office.endpoints.amend(endpoint, other)
    assert await office.endpoints.get(endpoint.id) == one
    assert "whsec_a" not in repr(one)
