"""Runflow's REST interface: runs of a model, the list of runs, assets.

The documents disagree in places; each such place is a switch (`RunflowSwitches`).
"""

import base64
import hashlib
import hmac
import re
import uuid
from typing import Literal
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from gateway.rehearsal.backstage import Backstage, Task, delay_of, new_id
from gateway.rehearsal.callbacks import Post
from gateway.rehearsal.checks import Check, anything, text, wrong_fields
from gateway.rehearsal.clock import timestamp
from gateway.rehearsal.exchange import (
    About,
    JsonObject,
    Manner,
    Provider,
    Reply,
    Request,
    Step,
    decode_json,
    json_object,
    json_reply,
    text_of,
)
from gateway.rehearsal.faults import INSTEAD, LOST, Fault, Group, Script
from gateway.rehearsal.files import File
from gateway.rehearsal.pictures import Recipe, Source
from gateway.rehearsal.runflow_assets import Assets
from gateway.rehearsal.runflow_errors import (
    AFTER_ACCEPTANCE,
    BARE_SLUG,
    BY_FAULT,
    FAILURES,
    NO_MODEL,
    NO_ROUTE,
    NO_RUN,
    NOT_JSON,
    OTHER_BODY,
    UNAUTHORIZED,
    Envelope,
    Refusal,
    invalid,
)
from gateway.rehearsal.runflow_models import MODELS, REQUIRED, Model, RatioStyle, inputs
from gateway.rehearsal.runflow_orders import order_of

BODY: dict[str, Check] = {
    "input": anything,
    "callback_url": text(1, 2048),
    "metadata": anything,
    "client_ref": text(1, 255),
}
LISTED, MOST_LISTED = 50, 500
CLIENT_REF_QUERY = re.compile(r"client_ref\.EQ:'([^']*)'")


class RunflowSwitches(Struct, frozen=True):
    """Where the documents disagree. `list_key`: the member of a list answer that holds the runs.
    `callback_secret`: the one that is registered, and signs."""

    ratio_style: RatioStyle = "ratio"
    output_shape: Literal["outputs", "image_urls"] = "outputs"
    cancelled: Literal["canceled", "cancelled"] = "canceled"
    errors: Envelope = "flat"
    created_status: Literal[200, 201] = 201
    data_urls: bool = False
    idempotency: Literal["ignored", "honoured"] = "ignored"
    list_key: str = "data"
    callback_secret: str | None = None


EVENTS = {
    "failed": "run.failed",
    "canceled": "run.cancelled",
    "cancelled": "run.cancelled",
    "partial_succeeded": "run.partial_succeeded",
}


class Run(Struct, frozen=True):
    """An accepted run: `model` as it was addressed, and the caller's own words that are echoed back."""

    model: Model
    task: Task
    body: JsonObject
    recipe: Recipe

    @property
    def client_ref(self) -> str | None:
        return text_of(self.body.get("client_ref")) or None

    @property
    def input(self) -> JsonObject:
        return json_object(self.body["input"]) or {}


class Replay(Struct, frozen=True):
    body_digest: str
    run_id: str


class Runflow:
    def __init__(self, backstage: Backstage, switches: RunflowSwitches) -> None:
        self.switches = switches
        self._stage = backstage
        self._runs: dict[str, Run] = {}
        self._assets = Assets(backstage.studio)
        self._replays: dict[str, Replay] = {}
        self._stale_shown: set[str] = set()

    def clear(self) -> None:
        for kept in (self._runs, self._assets, self._replays, self._stale_shown):
            kept.clear()

    async def answer(self, request: Request) -> Reply:
        """`request.path` starts below the provider's base: `/v1/…`."""
        about, models = self._about(request)
        script = self._stage.faults.draw(Provider.RUNFLOW, Group.ANSWER, about.step, models) if about.step else None
        if script is None:
            return await self._routed(request, about, None)
        about = msgspec.structs.replace(about, fault=script.fault.value)
        if script.fault in INSTEAD:
            return msgspec.structs.replace(INSTEAD[script.fault], about=about)
        if script.fault in BY_FAULT:
            return self._refused(BY_FAULT[script.fault], about, script.seconds)
        reply = await self._routed(request, about, script)
        if script.fault in AFTER_ACCEPTANCE:
            return self._refused(AFTER_ACCEPTANCE[script.fault], reply.about)
        if script.fault in LOST:
            return msgspec.structs.replace(LOST[script.fault], about=reply.about)
        return msgspec.structs.replace(reply, manner=Manner.CUT) if script.fault is Fault.CUT else reply

    def _refused(self, refusal: Refusal, about: About, retry_after_s: float | None = None) -> Reply:
        return json_reply(refusal.status, refusal.wire(self.switches.errors), _with(about, refusal.code), retry_after_s)

    # --- routes ---

    def _about(self, request: Request) -> tuple[About, tuple[str, ...]]:
        """What the call is for, and the names of the model that it is about."""
        parts = _parts(request)
        match (request.method, *parts):
            case ("POST", "models", *model, "runs"):
                known = MODELS.get("/".join(model))
                return About(Step.SUBMIT, "runs"), (known.id, known.name) if known else ()
            case ("GET", "runs", run_id) if run_id != "statuses":
                run = self._runs.get(run_id)
                names = (run.model.id, run.model.name) if run else ()
                return About(Step.POLL, "run", (run_id,), run.client_ref if run else None), names
            case ("GET", "runs"):
                return About(Step.LOOK_UP, "runs", client_ref=_asked_ref(request)), ()
            case (_, "asset-uploads", *_):
                return About(Step.UPLOAD, "asset-uploads"), ()
            case _:
                return About(Step.HEALTH, "/".join(parts[:2])), ()

    async def _routed(self, request: Request, about: About, script: Script | None) -> Reply:
        parts = _parts(request)
        if parts in (["health"], ["readiness"]):
            return json_reply(200, {"status": "ok"}, about)
        if request.method == "PUT" and parts[:1] == ["asset-uploads"]:
            refusal = await self._assets.put(request, parts[-1])
            return self._refused(refusal, about) if refusal else Reply(200, about=_with(about, "uploaded"))
        if request.bearer != self._stage.key:
            return self._refused(UNAUTHORIZED, about)
        if "asset-uploads" in parts:
            return self._asset(request, parts, about)
        match (request.method, *parts):
            case ("POST", "models", *model, "runs"):
                return await self._submit(request, model, about, script)
            case ("GET", "runs", run_id) if run_id != "statuses":
                return await self._poll(request, run_id, about, script)
            case ("GET", "runs"):
                return await self._list(request, about)
            case _:
                return self._fact(request, parts, about)

    def _fact(self, request: Request, parts: list[str], about: About) -> Reply:
        facts: dict[tuple[str, ...], JsonObject] = {
            ("runs", "statuses"): {"data": self._statuses()},
            ("models",): {"data": [{"id": model} for model in MODELS]},
            ("auth", "me"): {"scopes": ["runs:create", "runs:read", "assets:create"]},
        }
        fact = facts.get(tuple(parts)) if request.method == "GET" else None
        return json_reply(200, fact, about) if fact else self._refused(NO_ROUTE, about)

    def _asset(self, request: Request, parts: list[str], about: About) -> Reply:
        match (request.method, *parts):
            case ("POST", "asset-uploads"):
                content = self._assets.announce(request, _body(request) or {})
            case ("POST", "asset-uploads", asset_id, "confirmations"):
                content = self._assets.confirm(request, asset_id)
            case _:
                content = NO_ROUTE
        if isinstance(content, Refusal):
            return self._refused(content, about)
        about = msgspec.structs.replace(about, ids=(text_of(content["asset_id"]),), outcome="asset")
        return json_reply(201, content, about)

    # --- submit ---

    async def _submit(self, request: Request, model_id: list[str], about: About, script: Script | None) -> Reply:
        body = _body(request)
        if body is None:
            return self._refused(NOT_JSON, about)
        about = msgspec.structs.replace(about, client_ref=text_of(body.get("client_ref")) or None)
        if len(model_id) < 2:
            return self._refused(BARE_SLUG, about)
        model = MODELS.get("/".join(model_id))
        replayed = self._replayed(request)
        refusal = replayed if isinstance(replayed, Refusal) else None if model else NO_MODEL
        source = None
        if refusal is None and replayed is None:
            refusal, source = await self._checked(request, body)
        if refusal or model is None:
            return self._refused(refusal or NO_MODEL, about)
        run = replayed if isinstance(replayed, Run) else self._begin(request, model, body, source, script)
        about = msgspec.structs.replace(about, ids=(run.task.order.id,), outcome="accepted")
        return json_reply(self.switches.created_status, await self._wire(request, run), about)

    def _replayed(self, request: Request) -> Run | Refusal | None:
        """What an Idempotency-Key leads to: the first run, a conflict, or nothing."""
        replay = self._replays.get(request.headers.get("idempotency-key", ""))
        if replay is None or self.switches.idempotency == "ignored":
            return None
        return self._runs[replay.run_id] if replay.body_digest == _digest(request.body) else OTHER_BODY

    async def _checked(self, request: Request, body: JsonObject) -> tuple[Refusal | None, Source | None]:
        wrong = wrong_fields(body, BODY, ("input",))
        wanted = json_object(body.get("input"))
        if wrong or wanted is None:
            return invalid(
                *((field, f"must be {expected}") for field, expected in wrong or [("input", "an object")])
            ), None
        wrong = wrong_fields(wanted, inputs(self.switches.ratio_style), REQUIRED)
        if wrong:
            return invalid(*((f"input.{field}", f"must be {expected}") for field, expected in wrong)), None
        source = await self._assets.source_of(text_of(wanted["image_url"]), request.origin)
        return (invalid(("input.image_url", source)), None) if isinstance(source, str) else (None, source)

    def _begin(
        self, request: Request, model: Model, body: JsonObject, source: Source | None, script: Script | None
    ) -> Run:
        order = order_of(model, body, source, self._new_run_id())
        delay_s = delay_of(script) if script else 0.0
        run = Run(model, self._stage.accept(order, delay_s=delay_s), body, order.recipe)
        self._runs[order.id] = run
        if url := text_of(body.get("callback_url")):
            self._stage.callbacks.promise(Provider.RUNFLOW, url, run.task.ready_at, lambda: self._posts(request, run))
        key = request.headers.get("idempotency-key")
        if key:
            self._replays[key] = Replay(_digest(request.body), order.id)
        return run

    async def _posts(self, request: Request, run: Run) -> list[Post]:
        """One call, signed where a secret is registered: lower-case hex of the raw body's HMAC, no prefix and no time.
        What a run cost is not in it, nor why one failed."""
        wire = await self._wire(request, run)
        status = text_of(wire["status_code"])
        content: JsonObject = {
            "event": EVENTS.get(status, "run.completed"),
            "run_id": run.task.order.id,
            "status": status,
            "output": wire["output"],
            "duration_ms": wire["duration_ms"],
            "created_at": wire["created_at"],
            "completed_at": wire["completed_at"],
            "metadata": wire["metadata"],
        }
        body, headers = msgspec.json.encode(content), {"runflow-request-id": new_id()}
        if self.switches.callback_secret is not None:
            key = self.switches.callback_secret.encode()
            headers["runflow-signature"] = hmac.new(key, body, "sha256").hexdigest()
        return [Post(body, headers)]

    def _new_run_id(self) -> str:
        """A UUID of version 7: the time in front, chance behind."""
        millis = int((self._stage.epoch + self._stage.clock()) * 1000)
        chance = uuid.UUID(new_id()).int & (2**76 - 1)
        bits = (millis & (2**48 - 1)) << 80 | 7 << 76 | chance
        return str(uuid.UUID(int=bits & ~(3 << 62) | 2 << 62))

    # --- runs ---

    async def _poll(self, request: Request, run_id: str, about: About, script: Script | None) -> Reply:
        run = self._seen(run_id)
        if run is None:
            return self._refused(NO_RUN, about)
        wire = await self._wire(request, run)
        if script and script.fault is Fault.OTHER_TASK:
            wire |= {"id": "0198a000-0000-7000-8000-00000000dead", "client_ref": "somebody-elses"}
        return json_reply(200, wire, _with(about, text_of(wire["status_code"])))

    def _seen(self, run_id: str) -> Run | None:
        run = self._runs.get(run_id)
        return run if run and run.task.visible(self._stage.clock()) else None

    async def _list(self, request: Request, about: About) -> Reply:
        asked = _asked_ref(request)
        seen = [run for run_id in self._runs if (run := self._seen(run_id))]
        found = [run for run in reversed(seen) if asked is None or run.client_ref == asked]
        limit, cursor = request.query.get("limit", ""), request.query.get("pq", "")
        begin = int(cursor) if cursor.isdigit() else 0
        end = begin + (min(int(limit), MOST_LISTED) if limit.isdigit() else LISTED)
        chosen, more = found[begin:end], str(end) if end < len(found) else None
        ids = tuple(run.task.order.id for run in chosen)
        about = msgspec.structs.replace(about, ids=ids, outcome=f"{len(chosen)} found")
        rows = [await self._wire(request, run) for run in chosen]
        return json_reply(200, {self.switches.list_key: rows, "next_pq": more}, about)

    async def _wire(self, request: Request, run: Run) -> JsonObject:
        """A run as it reads now. Every reading signs the links anew."""
        task, now = run.task, self._stage.clock()
        ended = task.ended(now)
        failure = FAILURES.get(task.ending, (None, None)) if ended and task.ending else (None, None)
        delivers = ended and bool(task.files)
        return {
            "id": task.order.id,
            "status_code": self._status(task, now),
            "model_id": run.model.id,
            "client_ref": run.client_ref,
            "metadata": run.body.get("metadata"),
            "input": {"prompt": run.input["prompt"]},
            "output": await self._output(request, run) if delivers else None,
            "cost": _decimal(task.cost_micro_usd) if delivers else None,
            "failure_code": failure[0],
            "failure_message": failure[1],
            "failure_stage_code": "inference" if failure[0] else None,
            "created_at": self._time(task.accepted_at),
            "completed_at": self._time(task.ready_at) if ended else None,
            "duration_ms": int(task.seconds * 1000) if ended else None,
        }

    def _time(self, moment: float) -> str:
        return timestamp(self._stage.epoch, moment)

    def _status(self, task: Task, now: float) -> str:
        if task.ended(now):
            return self._final_status(task.ending)
        if task.ending is Fault.ODD_STATUS:
            return "warming_up"
        share = (now - task.accepted_at) / task.seconds
        return "queued" if share < 0.05 else "dispatching" if share < 0.1 else "running"

    def _final_status(self, ending: Fault | None) -> str:
        match ending:
            case Fault.CANCELLED:
                return self.switches.cancelled
            case Fault.PARTIAL:
                return "partial_succeeded"
            case Fault.TASK_FAILED | Fault.MODERATED_ON_POLL:
                return "failed"
            case _:
                return "succeeded"

    def _statuses(self) -> list[str]:
        return ["queued", "dispatching", "running", "succeeded", "partial_succeeded", "failed", self.switches.cancelled]

    async def _output(self, request: Request, run: Run) -> JsonObject:
        stale = run.task.stale_first_link and run.task.order.id not in self._stale_shown
        self._stale_shown.add(run.task.order.id)
        inline = self.switches.data_urls or run.input.get("sync_mode") is True
        links = [await self._data_url(f) if inline else self._link(f, request, stale=stale) for f in run.task.files]
        if self.switches.output_shape == "image_urls":
            return {"image_urls": links}
        outputs = [{"url": link, "type": "image"} for link in links]
        return {"outputs": outputs, "seed": _seed(run), "timing": None, "nsfw_detected": False}

    def _link(self, file: File, request: Request, *, stale: bool) -> str:
        return self._stage.files.link(file, request.origin, stale=stale)

    async def _data_url(self, file: File) -> str:
        content = base64.b64encode(await self._stage.files.content(file)).decode()
        return f"data:{file.recipe.media_type};base64,{content}"


def _with(about: About, outcome: str) -> About:
    return msgspec.structs.replace(about, outcome=outcome)


def _parts(request: Request) -> list[str]:
    """The path below `/v1`, a segment each, decoded after the cut as the client encodes each segment by itself."""
    segments = [unquote(segment) for segment in request.path.strip("/").split("/")]
    return segments[1:] if segments[:1] == ["v1"] else ["", *segments]


def _asked_ref(request: Request) -> str | None:
    found = CLIENT_REF_QUERY.fullmatch(request.query.get("q", ""))
    return found.group(1) if found else None


def _body(request: Request) -> JsonObject | None:
    try:
        return json_object(decode_json(request.body))
    except msgspec.DecodeError:
        return None


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _seed(run: Run) -> int:
    asked = run.input.get("seed")
    return asked if isinstance(asked, int) else int(run.task.order.id[-8:], 16)


def _decimal(micro_usd: int) -> str:
    return f"{micro_usd // 1_000_000}.{micro_usd % 1_000_000:06d}"
