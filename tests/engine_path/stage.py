"""Replicas of the engine over one real store, one script of the outside world, and one clock that is wound by hand."""

import asyncio
import base64
import hashlib
from datetime import date
from pathlib import Path
from typing import cast

from adapters.contract import Edit, HttpReply, ImageFormat, Picture, Tier
from gateway.configuration import load
from gateway.current import Current
from gateway.egress import Egress
from gateway.engine.attempts import Runner
from gateway.engine.callbacks import Addresses, Callbacks
from gateway.engine.delivery import Delivery
from gateway.engine.engine import Engine
from gateway.engine.handover import HandOver
from gateway.engine.health import Health
from gateway.engine.lanes import Lanes
from gateway.engine.line import Line
from gateway.engine.loads import Loads
from gateway.engine.order import Order
from gateway.engine.race import Races
from gateway.engine.room import Room
from gateway.engine.route import Route
from gateway.engine.timing import Timing
from gateway.engine.wire import Wire
from gateway.engine.witness import Witness
from gateway.keeper import Keeper
from gateway.observe import Metrics
from gateway.observe.tracing import Tracer
from gateway.pictures import Pictures
from gateway.results import Kind, Results, ResultsUnavailable
from gateway.secret import Secret
from gateway.settings import Settings
from gateway.state.corrections import Corrections
from gateway.state.edits import Edits
from gateway.state.health import SharedHealth
from gateway.state.patience import Patience
from gateway.state.records import EditRecord, Output, Wish
from gateway.state.references import References
from policies.plans import Policy
from tests.engine_path.hand_clock import HandClock, Metronome
from tests.engine_path.runflow_lines import RunflowLines
from tests.engine_path.runware_lines import RunwareLines
from tests.engine_path.script import PICTURES, Request, Script, as_json
from tests.engine_path.store_line import StoreLine
from tests.pictures.samples import encoded, gradient

TEAM, PROMPT = "growth", "Make the mug blue"
RUNWARE_PRO, RUNWARE_MAX, RUNFLOW_PRO, RUNFLOW_MAX = (
    "runware/kontext-pro",
    "runware/kontext-max",
    "runflow/kontext-pro",
    "runflow/kontext-max",
)
PREVIEW = "local/preview"
INPUT = encoded(gradient(), "png")
RESULT = encoded(gradient(52, 36), "png")

CONFIG = """\
[limits]
{limits}
[providers.runware]
api_key = "env:RUNWARE"
{runware}
[providers.runflow]
api_key = "env:RUNFLOW"
{runflow}
[providers.local]
adapter = "openai_images"
base_url = "http://local.test/v1"
{local}

[policies.any]
tier = "preview"
offers = ["runware/kontext-pro"]
[teams.growth]
policy = "any"
{team}
"""


def configured(
    folder: Path, *, runware: str = "", runflow: str = "", local: str = "", limits: str = "", team: str = ""
) -> Settings:
    """Real settings from a real file; each argument is more lines of its section."""
    file = folder / "kontext.toml"
    file.write_text(CONFIG.format(runware=runware, runflow=runflow, local=local, limits=limits, team=team))
    return load(file, {"RUNWARE": "runware-key", "RUNFLOW": "runflow-key"}, date(2027, 1, 15))


class Shelf(Results):
    """The picture store; `pauses_s` are how long the next reads of an input take, and `away` how many of them, or of
    results to be kept, find nobody."""

    clock: HandClock
    pauses_s: list[float]
    away: int

    def _is_away(self) -> None:
        if self.away > 0:
            self.away -= 1
            raise ResultsUnavailable("the result store does not answer")

    async def put(self, team: str, kind: Kind, digest: str, data: bytes) -> None:
        if kind == "results":
            self._is_away()
        await super().put(team, kind, digest, data)

    async def get(self, team: str, kind: Kind, digest: str) -> bytes:
        if kind == "inputs":
            self._is_away()
        data = await super().get(team, kind, digest)
        if kind == "inputs" and self.pauses_s:
            self.clock.forward(self.pauses_s.pop(0))
        return data


class Stage:
    def __init__(self, line: StoreLine, pictures: Pictures, folder: Path) -> None:
        self.line, self.pictures, self.folder = line, pictures, folder
        self.clock = HandClock()
        self.script = Script(self.clock)
        self.script.always(PICTURES, picture)
        self.runware, self.runflow = RunwareLines(self.script), RunflowLines(self.script)
        self.shelf = cast("Shelf", Shelf.open("memory:"))
        self.shelf.clock, self.shelf.pauses_s, self.shelf.away = self.clock, [], 0
        self.reader = Edits(line, "reader")
        self._replicas: list[Replica] = []

    def replica(
        self,
        name: str = "a",
        *,
        timing: Timing | None = None,
        runware: str = "",
        runflow: str = "",
        local: str = "",
        limits: str = "",
        team: str = "",
        tracer: Tracer | None = None,
        patience_s: float = 0,
        asks: bool = False,
    ) -> "Replica":
        """`asks`: it knows what servers of its own say, once `loads.ask` was called."""
        settings = configured(self.folder, runware=runware, runflow=runflow, local=local, limits=limits, team=team)
        replica = Replica(self, name, timing or Timing(), settings, tracer, patience_s, asks=asks)
        self._replicas.append(replica)
        return replica

    async def keep(self, data: bytes) -> Picture:
        """An input picture on the shelf."""
        digest = hashlib.sha256(data).hexdigest()
        await self.shelf.put(TEAM, "inputs", digest, data)
        return Picture(digest, ImageFormat.PNG, 48, 32, len(data))

    async def stored(self, edit_id: str) -> EditRecord:
        found = await self.reader.get(edit_id)
        assert found is not None
        return found

    async def aclose(self) -> None:
        self.clock.release()
        self.script.go_on.set()
        self.line.away = False
        for replica in self._replicas:
            await replica.engine.aclose()


class Replica:
    """One process of the gateway, wired as `gateway/app.py` does it."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        timing: Timing,
        settings: Settings,
        tracer: Tracer | None = None,
        patience_s: float = 0,
        *,
        asks: bool = False,
    ) -> None:
        self.stage, self.name, self.settings = stage, name, settings
        clock, egress = stage.clock, cast("Egress", stage.script)
        self.metronome = Metronome(clock)
        self.current = current = Current(settings)
        self.metrics = Metrics("test", "test")
        self.edits = Edits(stage.line, name, clock=clock.now_ms, dead_ms=round(timing.dead_after_s * 1000))
        wire = Wire(egress, stage.shelf, stage.pictures, clock)
        room = Room.of_picture_bytes(current, clock, self.metrics)
        references = References(stage.line, clock.now_ms)
        self.keeper = Keeper(stage.shelf, references, Patience(clock, 0), clock, 7 * 86_400.0)
        delivery = Delivery(wire, stage.pictures, self.keeper, room, clock, timing)
        witness = Witness(self.metrics, current, tracer)
        self.callbacks = Callbacks()
        runner = Runner(wire, self.edits, clock, witness, timing, self.callbacks)
        self.loads = Loads(current, wire, self.metrics, clock)
        shared = SharedHealth(stage.line, name)
        self.health = Health(current, shared, self.metrics, clock, self.loads if asks else None)
        addresses = Addresses((Secret("callbacks"),))
        lanes = Lanes(current, self.edits, runner, delivery, self.health, witness, addresses)
        corrections = Corrections(stage.line, clock=clock.now_ms)
        races = Races(self.edits, corrections, lanes, self.health, witness, clock, timing)
        route = Route(current, self.edits, lanes, Line(current, clock), races, self.health, witness, clock, timing)
        handover = HandOver(egress, stage.shelf, clock)
        self.engine = Engine(
            current,
            self.edits,
            route,
            handover,
            self.health,
            witness,
            self.metrics,
            self.metronome,
            timing,
            Patience(clock, patience_s),
        )

    async def accept(
        self,
        *offers: str,
        n: int = 1,
        deadline_s: float = 120.0,
        upload_url: str | None = None,
        data: bytes = INPUT,
        prompt: str = PROMPT,
        max_cost_micro: int | None = None,
    ) -> EditRecord:
        """An edit that may use `offers`, in this order."""
        edit = Edit(prompt=prompt, images=(await self.stage.keep(data),), n=n)
        order = self.order(edit, *offers, deadline_s=deadline_s, upload_url=upload_url, max_cost_micro=max_cost_micro)
        return await self.engine.accept(order)

    def order(
        self,
        edit: Edit,
        *offers: str,
        deadline_s: float = 120.0,
        upload_url: str | None = None,
        max_cost_micro: int | None = None,
        ttl_s: int | None = None,
    ) -> Order:
        models = offers or (RUNWARE_PRO,)
        wish = Wish(
            tier=Tier.PREVIEW,
            policy="any",
            models=models,
            deadline_s=deadline_s,
            output=Output(upload_url=upload_url, ttl_s=ttl_s),
            max_cost_micro=max_cost_micro,
        )
        policy = Policy(name="any", tier=Tier.PREVIEW, offers=models)
        return Order(id=self.engine.new_id(), team=TEAM, key_id="ci", edit=edit, wish=wish, policy=policy)

    async def ended(self, record: EditRecord) -> EditRecord:
        """The edit's end, when everything went by the script."""
        waited = await self.engine.wait(record, 20)
        assert not self.stage.script.surprises
        stored = await self.stage.stored(record.id)
        assert waited == stored, "what a caller is told is what lies in the store"
        return stored

    async def run(self, *offers: str, n: int = 1, deadline_s: float = 120.0) -> EditRecord:
        ended = await self.ended(await self.accept(*offers, n=n, deadline_s=deadline_s))
        assert not self.stage.script.left()
        return ended

    async def die(self, record: EditRecord) -> None:
        """The process is gone in the middle of the edit: nothing is written, nothing is handed over."""
        tasks = [task for task in asyncio.all_tasks() if task.get_name() == record.id]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def take_over(self, record: EditRecord) -> EditRecord:
        """Starts after a silence of the others, claims what they left, and follows it to its end."""
        self.stage.clock.forward(11)
        await self.engine.start()
        await self.metronome.rests()
        return await self.ended(record)


def picture(request: Request) -> HttpReply:
    """Any picture that is asked for; without any credential of ours."""
    assert request.method == "GET"
    assert "authorization" not in request.headers
    request.summary = "picture"
    return HttpReply(200, {"content-type": "image/png"}, RESULT)


def edited(request: Request) -> HttpReply:
    """What a local server answers."""
    request.summary = "edit"
    return as_json(200, {"created": 1, "data": [{"b64_json": base64.b64encode(RESULT).decode()}]})
