"""Telling, over days: the postman with a clock that is wound by hand, and receivers that are there or not."""

import base64
import hmac
import io
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from typing import cast

import pytest
import structlog
from msgspec.structs import replace
from redis.asyncio import Redis
from standardwebhooks import Webhook

from adapters.contract import HttpReply
from gateway.egress import WEBHOOK, Egress, NotSent, Refused
from gateway.observe import Metrics
from gateway.observe.log import processors
from gateway.observe.redaction import Redaction
from gateway.state.deliveries import Caps, Deliveries, Delivery
from gateway.state.edits import Edits
from gateway.state.endpoints import Endpoint, Endpoints, Receives
from gateway.state.records import Status
from gateway.state.scripts import Step
from gateway.webhooks.postman import Postman
from gateway.webhooks.registrar import OVERLAP_MS, Registrar
from gateway.webhooks.signing import signed
from tests.end_to_end.stage import eventually
from tests.engine_path.hand_clock import HandClock
from tests.engine_path.script import Request, Script
from tests.engine_path.store_line import StoreLine
from tests.state.samples import edit_record, end

TEAM, HOST, OTHER = edit_record().team, "hooks.test", "other.test"
PUBLIC, PRIVATE = ("93.184.216.34",), ("10.0.0.7",)
Answer = Callable[[], int]


class Told:
    """What a host was sent: headers and body of every request, and the answers that it gives."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer = answer

    def __call__(self, request: Request) -> HttpReply:
        self.requests.append((dict(request.headers), request.body))
        status = self.answer()
        if status == 0:
            raise NotSent("the host gave no usable answer")
        return HttpReply(status, {}, b"a body that nobody wants")

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]


class Round:
    """One replica's postman, with a registrar that knows every host as public."""

    def __init__(self, store: Redis) -> None:
        self.clock = HandClock()
        self.egresses: list[Egress] = []
        self.script = Script(self.clock)
        self.edits = Edits(store, "one", clock=self.clock.now_ms)
        self.endpoints = Endpoints(store, clock=self.clock.now_ms)
        self.deliveries = Deliveries(store, Caps(), clock=self.clock.now_ms)
        self.metrics = Metrics("test", "test")
        self.postman = self.another(cast("Egress", self.script))
        self.registrar = self.registering(lambda: PUBLIC)

    def another(self, egress: Egress) -> Postman:
        return Postman(self.deliveries, egress, self.metrics, self.clock)

    def registering(self, addresses: Callable[[], Sequence[str]]) -> Registrar:
        async def look_up(host: str, port: int) -> Sequence[str]:
            return addresses()

        egress = Egress.open(lookup=look_up)
        self.egresses.append(egress)
        return Registrar(self.endpoints, egress, self.clock)

    async def endpoint(self, host: str = HOST, team: str = TEAM) -> Endpoint:
        return await self.registrar.register(team, f"https://{host}/kontext", Receives.ALL)

    def hears(self, answer: Answer, host: str = HOST) -> Told:
        told = Told(answer)
        self.script.always(host, told)
        return told

    async def ended(self, number: int, team: str = TEAM) -> None:
        record, _ = await self.edits.accept(replace(edit_record(number), team=team), None, None)
        await self.edits.finish(record, end(Status.FAILED), None)

    async def round(self, postman: Postman | None = None) -> None:
        postman = postman or self.postman
        await postman.round()
        await postman.rest(5)
        assert not self.script.surprises

    async def logged(self, endpoint: Endpoint) -> list[Delivery]:
        return list(await self.deliveries.newest(endpoint, "", 100))

    async def until_over(self, endpoint: Endpoint, most_s: float) -> None:
        """Rounds, each at the moment when the next delivery is due."""
        over_s = self.clock.now_s + most_s
        while dues := [one.due_ms for one in await self.logged(endpoint) if one.due_ms is not None]:
            self.clock.forward(max(0.0, (min(dues) - self.clock.now_ms()) / 1000 + 0.001))
            if self.clock.now_s > over_s:
                return
            await self.round()

    def count(self, result: str) -> float:
        return self.metrics.registry.get_sample_value("kontext_webhook_deliveries_total", {"result": result}) or 0.0


@pytest.fixture
async def at(store: Redis) -> AsyncGenerator[Round]:
    it = Round(store)
    yield it
    for egress in it.egresses:
        await egress.aclose()


async def test_a_receiver_that_is_down_for_a_while_is_told_everything_under_the_same_ids(at: Round) -> None:
    endpoint = await at.endpoint()
    told = at.hears(lambda: 0 if at.clock.now_s < 1_800 else 503 if at.clock.now_s < 3_600 else 204)
    for number in (1, 2, 3):
        await at.ended(number)
    await at.until_over(endpoint, 86_400)
    logged = await at.logged(endpoint)
    assert {one.state for one in logged} == {"delivered"}
    assert set(told.ids()) == {one.message for one in logged}
    for one in logged:
        tries = [(headers, body) for headers, body in told.requests if headers["webhook-id"] == one.message]
        stamps = [int(headers["webhook-timestamp"]) for headers, _ in tries]
        assert len(tries) == len(one.tries) > 5
        assert (stamps == sorted(set(stamps)), len({body for _, body in tries})) == (True, 1), "new time, same text"
        for headers, body in tries:
            moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            signature = Webhook(endpoint.secrets[0].text).sign(one.message, moment, body.decode())
            assert headers["webhook-signature"] == signature
    assert at.count("delivered") == 3
    assert at.count("given_up") == 0


async def test_after_three_days_of_silence_the_endpoint_is_disabled_and_reported(at: Round) -> None:
    endpoint = await at.endpoint()
    at.hears(lambda: 0)
    await at.ended(1)
    out = io.StringIO()
    structlog.configure(
        processors=processors(Redaction(), as_json=True), logger_factory=structlog.PrintLoggerFactory(out)
    )
    try:
        await at.until_over(endpoint, 5 * 86_400)
    finally:
        structlog.reset_defaults()
    assert 2.5 * 86_400 < at.clock.now_s < 3.7 * 86_400
    found = await at.endpoints.get(endpoint.id)
    assert found is not None
    assert (found.disabled_ms > 0, found.reason) == (True, "given_up")
    (logged,) = await at.logged(endpoint)
    assert (logged.state, len(logged.tries)) == ("failed", 13)
    assert (at.count("no_answer"), at.count("given_up")) == (13, 1)
    assert out.getvalue().count("webhook_disabled") == 1
    assert endpoint.id in out.getvalue()
    assert not [word for word in (endpoint.secrets[0].text, "whsec_", HOST, '"data"') if word in out.getvalue()]


async def test_what_a_dead_replica_had_on_its_way_is_sent_by_another_with_a_new_time(at: Round) -> None:
    endpoint = await at.endpoint()
    told = at.hears(lambda: 204)
    await at.ended(1)
    (lost,) = await at.deliveries.collect(10)
    await at.postman.post(lost, at.clock.now_ms())  # it was heard, and the process died before it could say so
    await at.round()
    assert len(told.requests) == 1
    at.clock.forward(20.001)
    await at.round(at.another(cast("Egress", at.script)))
    (first, body), (second, again) = told.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 20
    (logged,) = await at.logged(endpoint)
    assert (logged.state, len(logged.tries)) == ("delivered", 1)


async def test_a_name_that_leads_inside_by_now_is_called_by_nobody(at: Round) -> None:
    """It was public when it was registered."""
    addresses = [PUBLIC]
    at.registrar = at.registering(lambda: addresses[-1])
    endpoint = await at.endpoint()
    addresses.append(PRIVATE)
    with pytest.raises(Refused):
        await at.registrar.register(TEAM, f"https://{OTHER}/hook", Receives.ALL)
    await at.ended(1)
    await at.round(at.another(at.egresses[-1]))
    (logged,) = await at.logged(endpoint)
    assert [(one.status, one.said) for one in logged.tries] == [(None, "the URL's host is not on the public internet")]
    assert (at.count("refused"), logged.state) == (1, "pending")


async def test_a_redirect_is_an_answer_and_not_a_way(at: Round) -> None:
    endpoint = await at.endpoint()
    told = at.hears(lambda: 307)
    await at.ended(1)
    await at.round()
    (logged,) = await at.logged(endpoint)
    assert ([one.status for one in logged.tries], len(told.requests)) == ([307], 1)
    assert (WEBHOOK.redirects, WEBHOOK.total_s, WEBHOOK.answer_bytes, WEBHOOK.schemes) == (0, 10, 64_000, {"https"})


async def test_a_secret_that_was_rotated_signs_for_a_day_more(at: Round) -> None:
    endpoint = await at.endpoint()
    rotated = await at.registrar.rotate(endpoint)
    told = at.hears(lambda: 204)
    await at.ended(1)
    at.clock.forward(OVERLAP_MS / 1000 - 1)
    await at.round()
    at.clock.forward(2)
    await at.ended(2)
    await at.round()
    counts = [len(headers["webhook-signature"].split()) for headers, _ in told.requests]
    assert counts == [2, 1]
    headers, body = told.requests[1]
    moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    new = Webhook(rotated.secrets[0].text).sign(headers["webhook-id"], moment, body.decode())
    assert headers["webhook-signature"] == new


async def test_one_that_hangs_holds_up_nobody_else(at: Round) -> None:
    await at.endpoint()
    await at.endpoint(OTHER, team="others")
    hanging = at.hears(lambda: 204)
    quick = at.hears(lambda: 204, OTHER)
    at.script.at(HOST, *[at.script.halt(hanging)] * 9)
    for number in range(1, 7):
        await at.ended(number)
    await at.ended(7, team="others")
    await at.postman.round()
    await at.script.reached.wait()
    await at.ended(8, team="others")
    await at.postman.round()
    at.script.go_on.set()
    await at.postman.rest(5)
    assert len(quick.requests) == 2
    assert len(hanging.requests) == Caps().of_endpoint


async def test_an_outage_of_the_store_delays_and_loses_nothing(at: Round, store: Redis) -> None:
    """It goes away when a message was taken and nobody could write that down."""
    endpoint = await at.endpoint()
    told = at.hears(lambda: 204)
    line = StoreLine(connection_pool=store.connection_pool)
    at.deliveries = Deliveries(line, Caps(), clock=at.clock.now_ms)

    async def away() -> None:
        line.away = True

    line.before[Step.TRIED] = away
    await at.ended(1)

    async def noticed() -> bool:
        name = "kontext_store_errors_total"
        return (at.metrics.registry.get_sample_value(name, {"duty": "webhooks"}) or 0) > 2

    async def delivered() -> bool:
        return [one.state for one in await at.logged(endpoint)] == ["delivered"]

    async with at.another(cast("Egress", at.script)).running():
        await eventually(noticed)
        line.away = False
        await eventually(delivered)
    assert len(told.requests) == 2
    assert len(set(told.ids())) == 1


async def test_the_standards_own_example_is_signed_as_it_says(at: Round) -> None:
    """From the specification's libraries: secret, id, time and text, and the signature that they make."""
    delivery = Delivery(
        message="msg_p5jXN8AQM9LWM0D4loKWxJek", event="e", edit="edit_1", data=b"{}", url="", state="pending",
        created_ms=0, due_ms=0, tries_before=0, tries=(),
    )  # fmt: skip
    secret, at_ms = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1_614_265_330_999
    made = Webhook(secret).sign(delivery.message, datetime.fromtimestamp(1_614_265_330, UTC), '{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    headers, body = signed(delivery, (secret,), at_ms)
    assert headers["webhook-timestamp"] == "1614265330"
    text = f"{delivery.message}.1614265330.".encode() + body
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(hmac.digest(key, text, 'sha256')).decode()}"
