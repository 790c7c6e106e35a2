"""Wiring only: settings in, ASGI application out. Everything that is opened here is closed here, in reverse order."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import cast

from litestar import Litestar, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin

from gateway.api import (
    admin,
    audit,
    callbacks,
    cancel,
    deliveries,
    drain,
    edits,
    erase,
    events,
    health,
    keys,
    listing,
    models,
    quotes,
    replica,
    uploads,
    usage,
    webhooks,
)
from gateway.api.admission import Admission
from gateway.api.answers import Answers
from gateway.api.auth import Gate
from gateway.api.context import Context
from gateway.api.cursors import Cursors
from gateway.api.documents import add_requests
from gateway.api.door import Door
from gateway.api.examples import add_examples
from gateway.api.links import Links
from gateway.api.openai import edits as image_edits
from gateway.api.openai.errors import spoken
from gateway.api.orders import Desk
from gateway.api.problems import (
    ProblemError,
    on_error,
    on_http_error,
    on_problem,
    on_results_unavailable,
    on_store_unavailable,
)
from gateway.api.purse import Purse
from gateway.api.requests import AnyRequest
from gateway.api.statuses import add_answers
from gateway.api.switchboard import Switchboard
from gateway.books import drained, opened_book, refuse_a_lost_store
from gateway.clock import Clock, SystemClock
from gateway.current import Current
from gateway.egress import AsgiApp, Egress
from gateway.engine.attempts import Runner
from gateway.engine.callbacks import Addresses, Callbacks
from gateway.engine.charges import Charges
from gateway.engine.delivery import Delivery
from gateway.engine.engine import Engine
from gateway.engine.eraser import Eraser
from gateway.engine.handover import HandOver
from gateway.engine.health import Health
from gateway.engine.inquiry import Inquiry
from gateway.engine.intake import Intake
from gateway.engine.lanes import Lanes
from gateway.engine.late import Resolver
from gateway.engine.line import Line
from gateway.engine.loads import Loads
from gateway.engine.race import Races
from gateway.engine.reconcile import Reconciler, lease_of
from gateway.engine.retention import Retention, duties_of
from gateway.engine.room import Room
from gateway.engine.route import Route
from gateway.engine.stock import Stock
from gateway.engine.timing import Timing
from gateway.engine.wire import Wire
from gateway.engine.witness import Witness
from gateway.identity import replica_id
from gateway.keeper import Keeper
from gateway.ledger.outbox import Outbox
from gateway.local.app import create_app as create_local_app
from gateway.observe import Metrics
from gateway.observe.lag import lag_measured
from gateway.observe.tracing import open_tracer
from gateway.observe.zeroes import close_labels
from gateway.pictures import Pictures, Pool
from gateway.readings import Readings
from gateway.results import Results, ResultsUnavailable
from gateway.secret import Secret, kept_secret
from gateway.settings import BODY_BYTES, Settings
from gateway.state.acts import Acts
from gateway.state.budgets import Budgets
from gateway.state.claims import Claims
from gateway.state.connection import StoreUnavailable, connect
from gateway.state.contents import Contents
from gateway.state.corrections import Corrections
from gateway.state.deliveries import Caps, Deliveries
from gateway.state.edits import Edits
from gateway.state.endpoints import Endpoints
from gateway.state.feed import Feed
from gateway.state.health import SharedHealth
from gateway.state.listing import Listing
from gateway.state.patience import Patience
from gateway.state.rates import Rates
from gateway.state.references import References
from gateway.state.revoked import Revoked
from gateway.state.uploads import Uploads
from gateway.task import running
from gateway.webhooks.postman import Postman
from gateway.webhooks.registrar import Registrar

PREVIEW = "embedded:preview"
HANDLERS = (
    edits.create_edit,
    listing.list_edits,
    events.follow_edit,
    edits.read_edit,
    edits.read_image,
    cancel.cancel_edit,
    erase.erase_content,
    quotes.create_quote,
    uploads.create_upload,
    uploads.read_upload,
    uploads.delete_upload,
    image_edits.create_image_edit,
    models.list_models,
    models.read_model,
    usage.read_usage,
    webhooks.create_endpoint,
    webhooks.list_endpoints,
    webhooks.read_endpoint,
    webhooks.delete_endpoint,
    webhooks.rotate_secret,
    webhooks.enable_endpoint,
    deliveries.list_deliveries,
    deliveries.redeliver,
    callbacks.receive_callback,
    admin.list_unresolved,
    admin.resolve_attempt,
    admin.release_edit,
    admin.list_corrections,
    drain.list_providers,
    drain.drain_provider,
    drain.restore_provider,
    keys.revoke_key,
    audit.list_acts,
    replica.read_replica,
    replica.drain_replica,
    replica.restore_replica,
    health.healthz,
    health.readyz,
    health.metrics,
)


def create_app(context: Context) -> Litestar:
    """The application over rooms that are open."""

    def provide_context() -> Context:
        return context

    def on_store(request: AnyRequest, error: StoreUnavailable) -> Response[bytes]:
        context.metrics.store_errors.labels("request").inc()
        return on_store_unavailable(request, error)

    def on_results(request: AnyRequest, error: ResultsUnavailable) -> Response[bytes]:
        context.metrics.results_errors.labels("request").inc()
        return on_results_unavailable(request, error)

    app = Litestar(
        route_handlers=HANDLERS,
        dependencies={"context": Provide(provide_context, sync_to_thread=False)},
        exception_handlers={
            ProblemError: spoken(on_problem, context.clock.random_bytes),
            HTTPException: spoken(on_http_error, context.clock.random_bytes),
            StoreUnavailable: spoken(on_store, context.clock.random_bytes),
            ResultsUnavailable: spoken(on_results, context.clock.random_bytes),
            Exception: spoken(on_error, context.clock.random_bytes),
        },
        openapi_config=_openapi(),
        # The framework's own log would hold request bodies, and stack traces in a form of its own.
        logging_config=None,
        request_max_body_size=BODY_BYTES,
    )
    add_requests(app.openapi_schema)
    add_answers(app.openapi_schema)
    add_examples(app.openapi_schema)
    return app


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Kontext Gateway",
        version=version("kontext-gateway"),
        path="/schema",
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
    timing = timing or _timing(settings)
    async with AsyncExitStack() as stack:
        yield await _open(settings, clock, timing, stack)


def _timing(settings: Settings) -> Timing:
    """An attempt is compared a round after its end, when its provider's books have it."""
    return Timing(
        beat_s=settings.state.beat_s,
        dead_after_s=settings.state.dead_after_s,
        reconcile_s=settings.reconcile_s,
        compare_after_s=settings.reconcile_s,
    )


async def _open(settings: Settings, clock: Clock, timing: Timing, stack: AsyncExitStack) -> Context:
    store = await connect(
        settings.state.url, folder=settings.state_dir, engine=settings.engine, durability=settings.state.durability
    )
    stack.push_async_callback(store.aclose)
    book = await stack.enter_async_context(opened_book(settings.ledger_url))
    await refuse_a_lost_store(store, book, settings, clock)
    metrics = Metrics(version("kontext-gateway"), settings.revision)
    close_labels(metrics, settings.offers, settings.policies)
    metrics.reloaded_at.set(clock.now_ms() / 1000)
    outbox = Outbox(store, book, clock, failed=metrics.ledger_errors.inc)
    await stack.enter_async_context(drained(outbox))
    results = Results.open(settings.results_url)
    egress = Egress.open(allow_hosts=settings.allow_hosts, proxy=settings.proxy.reveal() if settings.proxy else None)
    stack.push_async_callback(egress.aclose)
    _mount(egress)
    pool = Pool()
    pictures = Pictures(pool)
    stack.push_async_callback(pictures.aclose)
    await pictures.warm()

    current = Current(settings)
    replica = replica_id(clock.random_bytes(6))
    keep_ms, dead_ms = int(settings.retention_s * 1000), int(timing.dead_after_s * 1000)
    prompts_ms, confirmations = int(settings.prompts_s * 1000), settings.state.confirmations
    kept = Edits(store, replica, dead_ms=dead_ms, keep_ms=keep_ms, prompts_ms=prompts_ms, min_replicas=confirmations)
    room = Room.of_picture_bytes(current, clock, metrics)
    wire = Wire(egress, results, pictures, clock)
    tracer = open_tracer(clock.random_bytes, export=settings.traces)
    stack.push_async_callback(tracer.aclose)
    witness = Witness(metrics, current, tracer)
    heard = Callbacks()
    runner = Runner(wire, kept, clock, witness, timing, heard)
    patience = Patience(clock, settings.state.patience_s)
    keeper = Keeper(results, References(store), patience, clock, settings.retention_s)
    delivery = Delivery(wire, pictures, keeper, room, clock, timing)
    loads = Loads(current, wire, metrics, clock)
    await loads.start()
    stack.push_async_callback(loads.aclose)
    checkup = Health(current, SharedHealth(store, replica), metrics, clock, loads)
    await checkup.start()
    stack.push_async_callback(checkup.aclose)
    corrections = Corrections(store, keep_ms=keep_ms, min_replicas=confirmations)
    secrets = secrets_of(settings, clock)
    addresses = Addresses(secrets)
    lanes = Lanes(current, kept, runner, delivery, checkup, witness, addresses)
    races = Races(kept, corrections, lanes, checkup, witness, clock, timing)
    line = Line(current, clock)
    route = Route(current, kept, lanes, line, races, checkup, witness, clock, timing)
    handover = HandOver(egress, results, clock)
    engine = Engine(current, kept, route, handover, checkup, witness, metrics, clock, timing, patience)
    await engine.start()
    stack.push_async_callback(engine.aclose)
    feed = Feed(store, replica, clock)
    switchboard = Switchboard(addresses, heard, feed, replica, metrics)
    await stack.enter_async_context(feed.running(engine.hear_cancel, switchboard.passed_on))
    inquiry = Inquiry(wire, clock)
    resolver = Resolver(current, corrections, inquiry, delivery, handover, witness, clock, timing)
    charges = Charges(current, book, kept, corrections, inquiry, witness, clock, timing)
    lease = lease_of(store, replica, timing)
    reconciler = Reconciler(lease, corrections, resolver, charges, metrics, clock, timing)
    await stack.enter_async_context(reconciler.running())
    contents = Contents(store, prompts_ms=prompts_ms)
    eraser = Eraser(contents, keeper, metrics)
    duties = duties_of(store, replica, timing, compacts=settings.state.url == "embedded:")
    retention = Retention(duties, kept, contents, keeper, eraser, metrics, clock, timing)
    await stack.enter_async_context(retention.running())
    endpoints, outgoing = Endpoints(store), Deliveries(store, Caps(loan_ms=round(1000 * timing.loan_s)))
    await stack.enter_async_context(Postman(outgoing, egress, metrics, clock).running())
    registrar = Registrar(endpoints, egress, clock)
    readings = Readings(current, Budgets(store), outbox, endpoints, outgoing, pool, line, metrics, clock)
    await stack.enter_async_context(running(readings.go_on(timing.read_s), "readings"))
    await stack.enter_async_context(lag_measured(metrics))

    revoked = Revoked(store)
    await revoked.read()
    await stack.enter_async_context(running(revoked.go_on(clock), "revocations"))
    links = Links(secrets)
    life_ms = int(settings.uploads_s * 1000)
    stock = Stock(Uploads(store, life_ms=life_ms), kept, keeper, patience, clock)
    purse = Purse(current, Budgets(store), clock)
    return Context(
        current=current,
        clock=clock,
        gate=Gate(current, revoked, clock),
        door=Door(current, engine, room, metrics),
        admission=Admission(Claims(store), Rates(store), clock.random_bytes, patience),
        desk=Desk(current, Intake(egress, pictures, keeper, stock, room), secrets[-1], purse, registrar, patience),
        engine=engine,
        health=checkup,
        edits=kept,
        eraser=eraser,
        results=results,
        links=links,
        cursors=Cursors(secrets),
        listing=Listing(store),
        feed=feed,
        answers=Answers(current, links, results, settings.retention_s),
        metrics=metrics,
        book=book,
        corrections=corrections,
        revoked=revoked,
        acts=Acts(store),
        endpoints=endpoints,
        registrar=registrar,
        deliveries=outgoing,
        switchboard=switchboard,
        stock=stock,
    )


def _mount(egress: Egress) -> None:
    """The preview lives in this process and is reached like any provider: where none names it, by nobody."""
    egress.mount(PREVIEW, cast("AsgiApp", create_local_app()), prefix="/v1")


def secrets_of(settings: Settings, clock: Clock) -> tuple[Secret, ...]:
    """The configured secrets, or with an embedded state the one that is made beside it once."""
    return settings.secrets or (kept_secret(settings.secret_file, clock.random_bytes),)
