"""Servers of one's own, by their own word: what loads, failed or fell silent is left out, a long queue overflows to the
cloud and flows back, and the preview stands for no model."""

import asyncio
from collections.abc import Callable

import pytest

from adapters.contract import HttpReply, Tier
from gateway.egress import MaybeSent, NotSent
from gateway.engine.engine import NoOffer
from gateway.engine.loads import KEEP_S
from gateway.state.records import EditRecord, Status
from policies.facts import OfferFacts
from policies.reasons import Reason
from tests.engine_path.script import LOCAL, RUNFLOW, RUNWARE, Request, as_json
from tests.engine_path.stage import PREVIEW, RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage, edited
from tests.engine_path.test_races import Gate, over
from tests.health.sickroom import excluded, offers, planned

DEV = "local/kontext-dev"
PATIENT = "overflow_after_s = 20"
Word = HttpReply | Exception


class Server:
    """A server of one's own: what it says of itself, and what it does with an edit."""

    def __init__(self, stage: Stage) -> None:
        self.word: Word = as_json(200, {"status": "ready"})
        self.edit: Callable[[Request], object] = edited
        self.asked: list[str] = []
        stage.script.always(LOCAL, self._answer)

    def says(self, status: str = "ready", engine: str = "kontext-dev", code: int = 200, **queue: int) -> None:
        body = {"status": status, "engine": engine, "queue": queue or None, "seconds_per_edit": 10.0 if queue else None}
        self.word = as_json(code, body)

    def _answer(self, request: Request) -> HttpReply:
        if request.method == "POST":
            reply = self.edit(request)
            assert isinstance(reply, HttpReply) or asyncio.iscoroutine(reply)
            return reply  # pyright: ignore[reportReturnType] - the script awaits it
        self.asked.append(request.url)
        if isinstance(self.word, Exception):
            raise self.word
        return self.word


@pytest.fixture
def server(stage: Stage) -> Server:
    return Server(stage)


async def heard(replica: Replica) -> None:
    """It has asked, and what it worked out before is old."""
    await replica.loads.ask()
    replica.stage.clock.forward(0.3)


def facts(replica: Replica, offer: str = DEV) -> OfferFacts:
    return replica.health.facts()[offer]


async def made(stage: Stage, replica: Replica, *names: str) -> EditRecord:
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await replica.accept(*names)
    ended = await replica.ended(record)
    stage.script._lines[RUNWARE].clear()
    return ended


async def test_a_long_queue_overflows_to_the_cloud_and_flows_back(stage: Stage, server: Server) -> None:
    replica = stage.replica(asks=True, local=PATIENT)
    for running, waiting, first in ((0, 0, DEV), (1, 1, DEV), (1, 2, RUNWARE_PRO), (1, 0, DEV)):
        server.says(running=running, waiting=waiting, limit=8)
        await heard(replica)
        assert facts(replica).wait_s == 10.0 * (waiting + running / 2)
        record = await made(stage, replica, DEV, RUNWARE_PRO)
        assert offers(record) == [first]
        assert (excluded(record) == {DEV: "overflow"}) is (first == RUNWARE_PRO)
    assert server.asked == ["http://local.test/health"] * 4


async def test_without_another_offer_the_queue_is_joined(stage: Stage, server: Server) -> None:
    replica = stage.replica(asks=True, local=PATIENT)
    server.says(running=1, waiting=5, limit=8)
    await heard(replica)
    assert offers(await made(stage, replica, DEV)) == [DEV]


async def test_edits_that_wait_in_the_gateway_are_part_of_the_queue_for_every_replica(
    stage: Stage, server: Server
) -> None:
    lines = f"{PATIENT}\nmax_concurrency = 1\n[providers.local.models.kontext-dev]\nusual_s = 10"
    one, other, gate = stage.replica("a", asks=True, local=lines), stage.replica("b", asks=True, local=lines), Gate()
    server.edit = gate.before(edited)
    stage.clock.hold()
    first = await one.accept(DEV, RUNWARE_PRO)
    await asyncio.wait_for(gate.reached.wait(), 10)
    second, third = await one.accept(DEV), await one.accept(DEV)
    while facts(one).wait_s < 25:  # both have looked for a place, and found none
        await asyncio.sleep(0)
        stage.clock.forward(0.3)
    await one.health.exchange()
    await other.health.exchange()
    assert facts(other).wait_s == 25
    plan = other.engine.plan(other.order(first.edit, DEV, RUNWARE_PRO))
    assert [(one.offer, one.reason) for one in plan.exclusions] == [(DEV, Reason.OVERFLOW)]
    gate.open()
    stage.clock.release()
    for record in (first, second, third):
        assert (await one.ended(record)).status is Status.SUCCEEDED
    await one.health.exchange()
    assert facts(one).wait_s == 0


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (as_json(503, {"status": "loading"}), "loading"),
        (as_json(200, {"status": "failed"}), "failed"),
        (NotSent("refused"), "silent"),
    ],
)
async def test_a_server_that_is_not_ready_is_left_out_and_told(
    stage: Stage, server: Server, word: Word, state: str
) -> None:
    replica = stage.replica(asks=True)
    server.word = word
    await heard(replica)
    record = await made(stage, replica, DEV, RUNWARE_PRO)
    assert (planned(record), excluded(record)) == ([RUNWARE_PRO], {DEV: "not_ready"})
    value = replica.metrics.registry.get_sample_value
    assert value("kontext_server_state", {"provider": "local", "state": state}) == 1
    assert value("kontext_server_state", {"provider": "local", "state": "ready"}) == 0


async def test_an_edit_for_a_loading_server_alone_waits_and_one_for_a_silent_server_is_told_to_come_again(
    stage: Stage, server: Server
) -> None:
    replica = stage.replica(asks=True)
    server.says("loading", code=503)
    await heard(replica)
    stage.clock.hold()
    record = await replica.accept(DEV)
    assert record.plan.candidates[0].spared
    await stage.clock.somebody_sleeps()
    server.says()
    await heard(replica)
    stage.clock.release()
    assert (await replica.ended(record)).status is Status.SUCCEEDED
    server.word = NotSent("refused")
    await heard(replica)
    with pytest.raises(NoOffer) as refused:
        await replica.accept(DEV)
    assert refused.value.for_now


async def test_a_server_that_is_slow_to_answer_is_believed_for_a_while(stage: Stage, server: Server) -> None:
    replica = stage.replica(asks=True)
    server.says(running=1, waiting=1)
    await heard(replica)
    server.word = MaybeSent("slow")
    await heard(replica)
    assert facts(replica).wait_s == 15
    stage.clock.forward(KEEP_S)
    assert facts(replica).wait_s == 0


@pytest.mark.parametrize(
    ("engine", "sold", "left"), [("preview", PREVIEW, DEV), ("kontext-dev", DEV, PREVIEW), ("", DEV, PREVIEW)]
)
async def test_the_preview_is_sold_where_its_server_says_so_and_stands_for_no_model(
    stage: Stage, server: Server, engine: str, sold: str, left: str
) -> None:
    replica = stage.replica(asks=True)
    assert facts(replica, PREVIEW).disabled, "before the server was asked, nobody knows"
    server.says(engine=engine)
    await heard(replica)
    record = await made(stage, replica, left, sold)
    assert (offers(record), excluded(record)) == ([sold], {left: "disabled"})


async def test_a_machine_that_fell_silent_is_no_second_runner(stage: Stage, server: Server) -> None:
    replica, slow = stage.replica(asks=True, team='hedge = { max_extra_usd = "0.04" }'), Gate()
    server.says()
    await heard(replica)
    asking = stage.script.first(replica.loads.ask, stage.runware.working)
    stage.script.at(RUNWARE, stage.runware.acked, *[asking] * 6, slow.before(stage.runware.finished()))
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    record = await replica.accept(RUNWARE_PRO, DEV, RUNFLOW_PRO)
    server.word = NotSent("refused")
    ended = await replica.ended(record)
    slow.open()
    await over(record)
    assert offers(ended) == [RUNWARE_PRO, RUNFLOW_PRO]
    assert ended.plan.tier is Tier.PREVIEW
