"""Wiring only: settings in, ASGI application out. Everything that is opened here is closed here, in reverse order."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import cast

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin

from gateway.api import edits, health, models
from gateway.api.answers import Answers
from gateway.api.auth import Gate
from gateway.api.context import Context
from gateway.api.documents import components
from gateway.api.links import Links
from gateway.api.orders import Desk
from gateway.api.problems import ProblemError, on_error, on_http_error, on_problem, on_store_unavailable
from gateway.clock import Clock, SystemClock
from gateway.egress import AsgiApp, Egress
from gateway.engine.attempts import Runner
from gateway.engine.delivery import Delivery
from gateway.engine.engine import Engine
from gateway.engine.handover import HandOver
from gateway.engine.intake import Intake
from gateway.engine.route import Route
from gateway.engine.timing import Timing
from gateway.engine.wire import Wire
from gateway.engine.witness import Witness
from gateway.identity import replica_id
from gateway.local.app import create_app as create_local_app
from gateway.observe import Metrics
from gateway.pictures import Pictures, Pool
from gateway.results import Results
from gateway.secret import Secret, kept_secret
from gateway.settings import Settings
from gateway.state.connection import StoreUnavailable, connect
from gateway.state.edits import Edits

PREVIEW = "embedded:preview"
BODY_BYTES = 64_000_000
HANDLERS = (
    edits.create_edit,
    edits.read_edit,
    edits.read_image,
    models.list_models,
    health.healthz,
    health.readyz,
    health.metrics,
)


def create_app(context: Context) -> Litestar:
    """The application over rooms that are open."""

    def provide_context() -> Context:
        return context

    return Litestar(
        route_handlers=HANDLERS,
        dependencies={"context": Provide(provide_context, sync_to_thread=False)},
        exception_handlers={
            ProblemError: on_problem,
            HTTPException: on_http_error,
            StoreUnavailable: on_store_unavailable,
            Exception: on_error,
        },
        openapi_config=_openapi(),
        # The framework's own log would hold request bodies, and stack traces in a form of its own.
        logging_config=None,
        request_max_body_size=BODY_BYTES,
        multipart_form_part_limit=64,
    )


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Kontext Gateway",
        version=version("kontext-gateway"),
        path="/schema",
        components=components(),
        render_plugins=[JsonRenderPlugin(path="/"), YamlRenderPlugin(path="/openapi.yaml")],
        use_handler_docstrings=True,
    )


@asynccontextmanager
async def opened(
    settings: Settings, clock: Clock | None = None, timing: Timing | None = None
) -> AsyncGenerator[Context]:
    """Every room, opened in the order in which they stand on each other and closed in reverse.

    Raises `StoreRefused`, `EngineRefused` and `StoreUnavailable` with words for whoever starts the process.
    """
    clock = clock or SystemClock()
    timing = timing or Timing(beat_s=settings.state.beat_s, dead_after_s=settings.state.dead_after_s)
    async with AsyncExitStack() as stack:
        yield await _open(settings, clock, timing, stack)


async def _open(settings: Settings, clock: Clock, timing: Timing, stack: AsyncExitStack) -> Context:
    store = await connect(
        settings.state.url, folder=settings.state_dir, engine=settings.engine, durability=settings.state.durability
    )
    stack.push_async_callback(store.aclose)
    results = Results.open(settings.results_url)
    egress = Egress.open(allow_hosts=settings.allow_hosts)
    stack.push_async_callback(egress.aclose)
    _mount(settings, egress)
    pictures = Pictures(Pool())
    stack.push_async_callback(pictures.aclose)
    await pictures.warm()

    metrics = Metrics(version("kontext-gateway"), settings.revision)
    replica = replica_id(clock.random_bytes(6))
    keep_ms, dead_ms = int(settings.retention_s * 1000), int(timing.dead_after_s * 1000)
    kept = Edits(store, replica, dead_ms=dead_ms, keep_ms=keep_ms)
    wire = Wire(egress, results, clock, settings.providers)
    runner = Runner(wire, kept, clock, metrics, timing)
    delivery = Delivery(wire, pictures, results, clock, timing)
    witness = Witness(metrics, settings.offers)
    route = Route(settings, kept, runner, delivery, witness, clock, timing)
    engine = Engine(settings, kept, route, HandOver(egress, results, clock), witness, metrics, clock, timing)
    await engine.start()
    stack.push_async_callback(engine.aclose)

    links = Links(secrets_of(settings, clock))
    return Context(
        settings=settings,
        clock=clock,
        gate=Gate(settings, clock),
        desk=Desk(settings, Intake(egress, pictures, results)),
        engine=engine,
        edits=kept,
        results=results,
        links=links,
        answers=Answers(settings.offers, links, results, settings.retention_s),
        metrics=metrics,
    )


def _mount(settings: Settings, egress: Egress) -> None:
    """The preview lives in this process and is reached like any provider."""
    if any(provider.base_url == PREVIEW for provider in settings.providers.values()):
        egress.mount(PREVIEW, cast("AsgiApp", create_local_app()), prefix="/v1")


def secrets_of(settings: Settings, clock: Clock) -> tuple[Secret, ...]:
    """The configured secrets, or with an embedded state the one that is made beside it once."""
    return settings.secrets or (kept_secret(settings.state_dir / "secret", clock.random_bytes),)
