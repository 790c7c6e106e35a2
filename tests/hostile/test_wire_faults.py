"""Every fault of the wire at every place that calls out, through the real way out, the real engine and the real store.

Whatever breaks: an edit is bought once, and under one id; its picture is delivered once it can be had; who cannot be
sure asks, and never buys again; a caller's address that cannot be read is the caller's to mend; a message is sent again
under its own id. Every call ends by its deadline, and reads no more than it may.
"""

import asyncio
import contextlib
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Literal, cast

import pytest
import pytest_asyncio
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import ConnectionPool

from adapters.contract import HttpReply
from gateway.egress import Egress, Profile
from gateway.engine.intake import InputRefused, Intake
from gateway.engine.room import Room
from gateway.engine.stock import Stock
from gateway.keeper import Keeper, of_input
from gateway.observe import Metrics
from gateway.pictures import Pictures, Pool
from gateway.state.deliveries import Caps, Deliveries
from gateway.state.edits import Edits
from gateway.state.endpoints import Endpoints, Receives
from gateway.state.patience import Patience
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.references import References
from gateway.state.uploads import Uploads
from gateway.webhooks.postman import Postman
from gateway.webhooks.registrar import Registrar
from tests.engine import engine_url
from tests.engine_path.hand_clock import HandClock
from tests.engine_path.runflow_lines import RunflowLines
from tests.engine_path.runware_lines import RunwareLines
from tests.engine_path.script import PICTURES, Request, Script
from tests.engine_path.stage import PROMPT, RESULT, RUNFLOW_PRO, RUNWARE_PRO, Stage
from tests.engine_path.store_line import StoreLine
from tests.hostile.wire_faults import FAULTS, Asked, Fault, Peer, authority, listening, no_lookup, places
from tests.state.samples import edit_record, end

__all__ = ["engine_url"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

CAP = 1_000_000
"""Bytes of an answer, here: an endless one is endless all the same."""
SOCKETS = 8_000_000
"""What two sockets on loopback may hold beside it."""
SHORT_S, PATIENT_S = 0.06, 20.0
Kind = Literal["call", "picture", "upload"]
PICTURE = HttpReply(200, {"content-type": "image/png"}, RESULT)


class Way(Script):
    """The way out, as the engine calls it, onto real sockets. `breaks`: which call meets which fault, counted from 0
    for each kind of call. `met`: those that did."""

    def __init__(self, clock: HandClock, wires: "Wires") -> None:
        super().__init__(clock)
        self._wires = wires
        self.breaks: dict[tuple[Kind, int], Fault] = {}
        self.met: list[tuple[Kind, int]] = []
        self._calls: Counter[Kind] = Counter()

    async def send(
        self,
        profile: Profile,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        timeout_s: float | None = None,
        fresh: bool = False,
    ) -> HttpReply:
        kind: Kind = "upload" if method == "PUT" else "picture" if ".png" in url else "call"
        turn = kind, self._calls[kind]
        self._calls[kind] += 1
        profile = replace(profile, answer_bytes=min(profile.answer_bytes, CAP))
        if fault := self.breaks.get(turn):
            self.met.append(turn)
            return await self._broken(fault, profile, method, url, headers, body, fresh=fresh)
        return await self._wires.egress.send(profile, method, url, headers, body, timeout_s=PATIENT_S, fresh=fresh)

    async def _broken(
        self,
        fault: Fault,
        profile: Profile,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        *,
        fresh: bool,
    ) -> HttpReply:
        """The same call, and what stands in its way."""
        if fault.place:
            base = self._wires.places[fault.place]
            url = f"{base}/{url.partition('://')[2].partition('/')[2]}"
            profile = replace(profile, base=profile.base and base, connect_s=SHORT_S)
        else:
            self._wires.peer.fault = fault
        timeout_s = SHORT_S if fault.slow else PATIENT_S
        try:
            return await self._wires.egress.send(profile, method, url, headers, body, timeout_s=timeout_s, fresh=fresh)
        finally:
            self._wires.peer.fault = None


class Wires:
    """One socket that plays every host, an egress that may reach it, and the places where nobody can be reached."""

    def __init__(self, peer: Peer, egress: Egress, places: Mapping[str, str]) -> None:
        self.peer, self.egress, self.places = peer, egress, places


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wires(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wires]:
    async with listening(Peer()) as peer, places(certificate(tmp_path_factory.mktemp("tls"))) as elsewhere:
        hosts = [authority(url) for url in elsewhere.values()]
        async with reaching(peer.authority, *hosts) as egress:
            yield Wires(peer, egress, elsewhere)


@contextlib.asynccontextmanager
async def reaching(*hosts: str) -> AsyncGenerator[Egress]:
    egress = Egress.open(allow_hosts=hosts, lookup=no_lookup)
    try:
        yield egress
    finally:
        await egress.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pictures() -> AsyncIterator[Pictures]:
    desk = Pictures(Pool(workers=1))
    await desk.warm()
    yield desk
    await desk.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def line(engine_url: str) -> AsyncIterator[StoreLine]:
    pool = ConnectionPool.from_url(engine_url)
    line = StoreLine(connection_pool=pool)
    yield line
    await line.aclose()
    await pool.aclose()


def certificate(folder: Path) -> tuple[str, str]:
    """One that nobody signed but itself, for another name."""
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=other.test"]
    subprocess.run(["openssl", "req", *made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


# --- the hosts --------------------------------------------------------------------------------------------------------


def as_request(asked: Asked, host: str) -> Request:
    return Request(asked.method, f"https://{host}{asked.path}", asked.headers, asked.body, 0.0, fresh=False)


class Providers:
    """Runware and Runflow as their documents have them, their pictures, and a place for uploads. `ids` are those that
    work was asked for under."""

    def __init__(self, script: Script, peer: Peer) -> None:
        self.runware, self.runflow = RunwareLines(script), RunflowLines(script)
        self.taken, self.ids, self.peer = script.taken, list[str](), peer
        self.uploads = 0
        self.archived = RunwareLines.archived(PROMPT)

    def reply(self, asked: Asked) -> HttpReply:
        if asked.method == "PUT":
            self.uploads += 1
            return HttpReply(201, {}, b"")
        if asked.path.partition("?")[0].endswith(".png"):
            return PICTURE
        request = as_request(asked, "api.runware.ai" if asked.path.startswith("/runware") else "api.runflow.io")
        reply = self._runware(request) if asked.path.startswith("/runware") else self._runflow(request, asked)
        here = f"http://{self.peer.authority}".encode()
        return replace(reply, body=reply.body.replace(f"https://{PICTURES}".encode(), here))

    def _runware(self, request: Request) -> HttpReply:
        (task,) = request.json()
        known = task["taskUUID"] in self.taken
        match task["taskType"]:
            case "imageInference":
                self.ids.append(task["taskUUID"])
                return self.runware.conflict(request) if known else self.runware.acked(request)
            case "getResponse":
                return answered(self.runware.finished() if known else self.runware.silent, request)
            case _:
                return answered(self.archived if known else self.runware.not_archived, request)

    def _runflow(self, request: Request, asked: Asked) -> HttpReply:
        request.url = request.url.replace("/runflow", "", 1)
        if asked.method == "POST":
            self.ids.append(request.json()["client_ref"])
            return self.runflow.created(request)
        listing = asked.path.partition("?")[0].endswith("/v1/runs")
        return answered(self.runflow.listed if listing else self.runflow.succeeded(), request)


def answered(line: Callable[[Request], object], request: Request) -> HttpReply:
    return cast("HttpReply", line(request))


# --- edits ------------------------------------------------------------------------------------------------------------

LOST, NEVER_CAME = FAULTS["reset"], FAULTS["reset, nothing taken"]


class Site(Struct, frozen=True):
    """A place of the engine that calls out: what breaks before it is reached, and which call it is then."""

    offer: str
    turn: tuple[Kind, int]
    before: tuple[Fault, ...] = ()


SITES: dict[str, Site] = {
    "Runware submit": Site(RUNWARE_PRO, ("call", 0)),
    "Runware poll": Site(RUNWARE_PRO, ("call", 1)),
    "Runware look-up": Site(RUNWARE_PRO, ("call", 1), (LOST,)),
    "Runware archive": Site(RUNWARE_PRO, ("call", 2), (LOST, LOST)),
    "Runware resubmit": Site(RUNWARE_PRO, ("call", 3), (NEVER_CAME,)),
    "Runware picture": Site(RUNWARE_PRO, ("picture", 0)),
    "Runflow submit": Site(RUNFLOW_PRO, ("call", 0)),
    "Runflow poll": Site(RUNFLOW_PRO, ("call", 1)),
    "Runflow look-up": Site(RUNFLOW_PRO, ("call", 1), (LOST,)),
    "Runflow picture": Site(RUNFLOW_PRO, ("picture", 0)),
    "upload": Site(RUNWARE_PRO, ("upload", 0)),
}
CASES = [(site, fault) for site in SITES for fault in FAULTS if SITES[site].turn[0] == "call" or not FAULTS[fault].text]


@pytest.mark.parametrize(("place", "name"), CASES, ids=lambda value: str(value))
async def test_an_edit_is_bought_once_and_delivered(
    wires: Wires, line: StoreLine, pictures: Pictures, tmp_path: Path, place: str, name: str
) -> None:
    site, fault = SITES[place], FAULTS[name]
    async with played(wires, line, pictures, tmp_path) as (stage, way, providers):
        for number, before in enumerate(site.before):
            way.breaks["call", number] = before
        way.breaks[site.turn] = fault
        here = f"http://{wires.peer.authority}"
        replica = stage.replica(runware=f'base_url = "{here}/runware"', runflow=f'base_url = "{here}/runflow"')
        upload_url = f"{here}/put" if place == "upload" else None
        record = await replica.ended(await replica.accept(site.offer, upload_url=upload_url))
        await uploaded()
        assert way.met[-1] == site.turn
        assert_bought_once(
            record, providers, unknown=place == "Runflow submit" and not fault.taken and not fault.unsent
        )
        assert bool(providers.uploads) == (place == "upload")


@contextlib.asynccontextmanager
async def played(
    wires: Wires, line: StoreLine, pictures: Pictures, folder: Path
) -> AsyncGenerator[tuple[Stage, Way, Providers]]:
    await line.flushall()
    stage = Stage(line, pictures, folder)
    stage.script = way = Way(stage.clock, wires)
    providers = Providers(way, wires.peer)
    wires.peer.begin(providers.reply)
    yield stage, way, providers
    await stage.aclose()
    assert wires.peer.sent <= CAP + SOCKETS or any(fault.slow for fault in way.breaks.values())


async def uploaded() -> None:
    while tasks := [task for task in asyncio.all_tasks() if "_upload" in repr(task.get_coro())]:
        await asyncio.gather(*tasks)


def assert_bought_once(record: EditRecord, providers: Providers, *, unknown: bool) -> None:
    """`unknown`: nobody can say whether it was bought, which it was not: so its money is held."""
    assert record.end is not None
    assert len(set(providers.ids)) <= 1, "never under a second id"
    if unknown:
        assert (record.end.status, providers.taken) == (Status.UNRESOLVED, [])
        assert record.attempts[-1].state is AttemptState.UNRESOLVED
        return
    assert record.end.status is Status.SUCCEEDED, record.end
    assert len(providers.taken) == 1
    assert record.end.cost_micro == 40_000
    assert len(record.end.images) == 1


# --- pictures that callers name ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in FAULTS if not FAULTS[name].text])
async def test_a_callers_address_that_cannot_be_read_is_the_callers_to_mend(
    wires: Wires, line: StoreLine, pictures: Pictures, tmp_path: Path, name: str
) -> None:
    fault = FAULTS[name]
    async with played(wires, line, pictures, tmp_path) as (stage, way, _):
        way.breaks = {("picture", 0): fault}
        replica = stage.replica()
        patience = Patience(stage.clock, 0)
        keeper = Keeper(stage.shelf, References(line, stage.clock.now_ms), patience, stage.clock, 3600.0)
        stock = Stock(Uploads(line, clock=stage.clock.now_ms), replica.edits, keeper, patience, stage.clock)
        room = Room.of_picture_bytes(replica.current, stage.clock, replica.metrics)
        intake = Intake(cast("Egress", way), pictures, keeper, stock, room)
        source = {"images[0]": f"http://{wires.peer.authority}/a.png"}
        if fault.ambiguous:
            with contextlib.suppress(InputRefused):
                await intake.take("growth", source, of_input("edit_x"))
        elif fault.whole:
            assert (await intake.take("growth", source, of_input("edit_x")))["images[0]"].width == 52
        else:
            with pytest.raises(InputRefused) as refused:
                await intake.take("growth", source, of_input("edit_x"))
            assert refused.value.field == "images[0]"
            told = f"{refused.value}{refused.value.expected}"
            assert wires.peer.authority not in told
            assert "Error" not in told
        assert room.taken == 0


# --- webhooks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in FAULTS if not FAULTS[name].text])
async def test_a_message_is_sent_until_it_is_taken_and_always_under_its_id(
    wires: Wires, line: StoreLine, pictures: Pictures, tmp_path: Path, name: str
) -> None:
    fault = FAULTS[name]
    async with played(wires, line, pictures, tmp_path) as (stage, way, _):
        clock, ids = stage.clock, list[str]()

        def takes(asked: Asked) -> HttpReply:
            ids.append(asked.headers["webhook-id"])
            return HttpReply(200, {}, b"thank you very much indeed")

        wires.peer.begin(takes)
        way.breaks = {("call", 0): fault}
        edits, endpoints = Edits(line, "one", clock=clock.now_ms), Endpoints(line, clock=clock.now_ms)
        deliveries = Deliveries(line, Caps(), clock=clock.now_ms)
        postman = Postman(deliveries, cast("Egress", way), Metrics("test", "test"), clock)
        url = f"http://{wires.peer.authority}/hook"
        endpoint = await Registrar(endpoints, wires.egress, clock).register(edit_record().team, url, Receives.ALL)
        record, _ = await edits.accept(edit_record(), None, None)
        await edits.finish(record, end(Status.FAILED), None)
        for _ in range(3):
            await postman.round()
            await postman.rest(30)
            clock.forward(600)
        (delivery,) = await deliveries.newest(endpoint, "", 10)
        assert len(set(ids)) == 1
        *failed, last = (tried.status or 0 for tried in delivery.tries)
        assert 200 <= last < 300
        assert not any(200 <= status < 300 for status in failed)
        assert len(failed) == 1 or (fault.taken and not fault.slow and not failed)
