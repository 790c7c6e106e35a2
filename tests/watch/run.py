"""One run of a gateway through what a rehearsal can make happen, watched by a Prometheus where there is one.

Healthy edits of every tier, a primary that is down, refusals, a picture that was paid for and is unusable, a budget's
wall, a lost answer whose truth comes late, paths that lead nowhere. Every secret and every prompt holds a canary.
"""

import asyncio
import io
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import structlog

from gateway.configuration import load
from gateway.engine.timing import Timing
from gateway.local.app import create_app
from gateway.observe.log import processors
from gateway.observe.redaction import Redaction
from gateway.rehearsal.server import Rehearsal
from gateway.server import serving
from gateway.settings import Settings
from tests.end_to_end.listening import listening
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.stage import (
    KEY,
    PHOTO_URI,
    PURSE_KEY,
    Answer,
    Stage,
    closed_port,
    configuration,
    eventually,
    picture_server,
    silent_port,
    state_folder,
    today,
)
from tests.ports import free_port
from tests.watch.scraper import EVERY_S, WANTED, Prometheus, scraping

SECONDS = 0.2
TIMING = Timing(
    resolve_s=0.8, refresh_s=(0.1,), reconcile_s=0.4, compare_after_s=0.1, read_s=0.3, beat_s=1.0, permit_s=0.05
)
PROVIDER_KEY = "canary-provider-key-5f0c2d9b7a"
SERVER_SECRET = "canary-server-secret-b7ad6b7169c2"
PROMPT = "canary-prompt: paint the mug"
SIGNATURE = "canary-signature-77aa"
METADATA = "canary-person@example.com"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"

EXTRA = """
[metrics]
port = {port}

[providers.own]
adapter = "openai_images"
base_url = "http://127.0.0.1:{own}/v1"

[budget]
month_usd = "100.00"
"""


class Run:
    """What a run left behind. `answers` are all bodies that callers got."""

    def __init__(self, stage: Stage, settings: Settings, log: io.StringIO, prometheus: Prometheus | None) -> None:
        self.stage, self.settings, self.log, self._prometheus = stage, settings, log, prometheus
        self.folder = settings.state_dir.parent
        self.answers: list[httpx.Response] = []
        self._keys: dict[str, str] = {}
        self.webhook_secret = ""

    @property
    def prometheus(self) -> Prometheus:
        assert self._prometheus is not None, "prometheus is not installed"
        return self._prometheus

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.metrics.port}/metrics"

    async def post(self, *, key: str = KEY, headers: dict[str, str] | None = None, **fields: object) -> httpx.Response:
        document = {"prompt": f"{PROMPT} {len(self.answers)}", "metadata": {"who": METADATA}, **fields}
        response = await self.stage.post(key=key, headers=headers, **document)
        self.answers.append(response)
        if edit := response.headers.get("x-edit-id"):
            self._keys[edit] = key
        return response

    async def page(self) -> str:
        return (await self.stage.http.get(self.metrics_url)).text

    async def series(self) -> dict[str, float]:
        lines = (line for line in (await self.page()).splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def fault(self, provider: str, fault: str, *, times: int | None = 1, seconds: float | None = None) -> None:
        self.stage.rehearsal.faults.add(provider, fault, times=times, seconds=seconds)

    async def edits(self) -> list[Answer]:
        """Every edit of the run, as it stands in the end."""
        return [(await self.stage.get(f"/v1/edits/{edit}", key)).json() for edit, key in self._keys.items()]


async def play(run: Run) -> None:
    """All scenarios, one after the other, until nothing is going on any more."""
    await registered(run)
    for scenario in (healthy, primary_down, failures, refusals, budget_wall, lost_answer, hostile, traced):
        await scenario(run)
    await quiescent(run)


async def registered(run: Run) -> None:
    """Somebody who is told of every end, until he wants no more."""
    run.stage.hooks.answers["/watched"].extend([204, 500, 204, 410])
    document = {"url": f"{run.stage.hooks.url}/watched"}
    response = await run.stage.request("POST", "/v1/webhooks", json=document)
    run.webhook_secret = response.json()["secret"]


async def healthy(run: Run) -> None:
    await asyncio.gather(
        run.post(options={"runware": {"scheduler": "Euler"}}, policy="runflow"),
        run.post(),
        run.post(policy="cheapest", tier="draft"),
        run.post(policy="max_first"),
        run.post(policy="max_first", max_cost_usd="0.05"),
        run.post(policy="preview", tier="preview"),
    )


async def primary_down(run: Run) -> None:
    run.fault("runware", "down", times=None)
    await asyncio.gather(*(run.post() for _ in range(4)))
    run.stage.rehearsal.faults.reset("runware")
    await run.post(policy="closed")
    await run.post(models=["closed/kontext-pro"], deadline_s=5)
    await run.stage.restore()


async def failures(run: Run) -> None:
    """As many as somebody is woken for."""
    run.fault("runware", "task_failed", times=None)
    await asyncio.gather(*(run.post(models=["runware/kontext-pro"]) for _ in range(5)))
    run.stage.rehearsal.faults.reset("runware")
    await run.stage.restore()


async def refusals(run: Run) -> None:
    run.fault("runware", "moderated_on_poll")
    await run.post()
    run.fault("runware", "bad_picture")
    await run.post()


async def budget_wall(run: Run) -> None:
    for _ in range(4):
        await run.post(key=PURSE_KEY, policy="runware")


async def lost_answer(run: Run) -> None:
    run.fault("runware", "accept_then_reset")
    await run.post()
    run.fault("runflow", "accept_then_reset")
    run.fault("runflow", "invisible", seconds=2.5)
    unresolved = await run.post(policy="runflow")
    assert unresolved.status_code == 202, unresolved.text


async def hostile(run: Run) -> None:
    """Signed addresses and keys where they do not belong."""
    await run.post(images=[f"http://127.0.0.1:1/photo.png?signature={SIGNATURE}"])
    await run.post(images=[PHOTO_URI], output={"upload_url": f"http://127.0.0.1:1/?signature={SIGNATURE}"})
    for path in (f"/{PROMPT}", f"/v1/edits/edit_x/images/0?expires=1&signature={SIGNATURE}"):
        run.answers.append(await run.stage.get(path))


async def traced(run: Run) -> None:
    await run.post(headers={"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"})


async def quiescent(run: Run) -> None:
    """The late truth is known, the books are written, and all of it was scraped."""

    async def settled() -> bool:
        series = await run.series()
        waiting = ("kontext_unresolved_attempts", "kontext_edits_in_flight", "kontext_ledger_backlog_rows")
        return series["kontext_budget_held_usd"] == 0 and not any(series[name] for name in waiting)

    await eventually(settled, 20)
    await asyncio.sleep(2.5 * EVERY_S)  # the scraper's pace, and the rules'


@asynccontextmanager
async def ran() -> AsyncGenerator[Run]:
    """A gateway that went through everything, and still answers."""
    async with (
        Rehearsal.serve(seconds=SECONDS, fast=True, key=PROVIDER_KEY) as rehearsal,
        picture_server() as pictures,
        Receiver.serve() as hooks,
        listening(create_app()) as own,
        state_folder() as folder,
        httpx.AsyncClient(timeout=30) as http,
    ):
        with closed_port() as closed, silent_port() as silent, logged() as log:
            path = configuration(folder, rehearsal, pictures=pictures, closed=closed, silent=silent, hooks=hooks.port)
            settings = configured(path, own)
            async with _watched(folder, settings, http) as prometheus, serving(settings, timing=TIMING) as url:
                if prometheus is not None:
                    await prometheus.ready()
                stage = Stage(url, rehearsal, http, f"http://127.0.0.1:{pictures}", closed, path, hooks)
                run = Run(stage, settings, log, prometheus)
                await play(run)
                yield run


def configured(path: Path, own: int) -> Settings:
    (path.parent / "server.secret").write_text(SERVER_SECRET)
    text = path.read_text() + EXTRA.format(port=free_port(), own=own)
    path.write_text(f'[server]\nsecret = "file:server.secret"\n\n{text}')
    return load(path, {}, today())


@asynccontextmanager
async def _watched(folder: Path, settings: Settings, http: httpx.AsyncClient) -> AsyncGenerator[Prometheus | None]:
    if not WANTED:
        yield None
        return
    assert settings.metrics.port is not None
    async with scraping(folder, settings.metrics.port, http) as prometheus:
        yield prometheus


@contextmanager
def logged() -> Generator[io.StringIO]:
    """The log as a server writes it, but without the knowledge of its secrets: what is left out is so by its shape or
    was never said."""
    out = io.StringIO()
    structlog.configure(
        processors=processors(Redaction(), as_json=True),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    try:
        yield out
    finally:
        structlog.reset_defaults()
