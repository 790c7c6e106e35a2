"""The gateway's process: uvicorn with our application, on one address, until it is told to stop."""

import asyncio
import resource
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, cast

import uvicorn

from gateway.api.context import Context
from gateway.api.farewell import Farewell
from gateway.api.traffic import App, Traffic
from gateway.app import create_app, opened
from gateway.books import BooksRefused
from gateway.connections import Clients, Connection, Forwarded
from gateway.engine.timing import Timing
from gateway.exposition import Exposition
from gateway.ledger.connection import LedgerRefused, LedgerUnavailable
from gateway.observe import Metrics, log
from gateway.reload import Reloader
from gateway.results import ResultsRefused
from gateway.safety import dangers
from gateway.sections import ClientsSection
from gateway.settings import Settings, Source
from gateway.state.connection import StoreRefused, StoreUnavailable
from gateway.state.embedded import EngineRefused

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

GRACE_S = 20
BACKLOG = 2048
"""Connections that wait to be taken."""


class ServerRefused(Exception):  # noqa: N818 - the name is the fact
    """The gateway cannot start here; the message says why and what to set instead."""


def run(settings: Settings, host: str, port: int, announce: Callable[[Settings, str], None], source: Source) -> None:
    """Serves until SIGINT or SIGTERM. `announce` is told the address once requests are taken; `source` is read again
    when it changes, and on SIGHUP."""
    if settings.development_key is not None and host not in ("127.0.0.1", "::1", "localhost"):
        raise ServerRefused(f"without a configuration only loopback is served, not {host}; write a kontext.toml")
    if found := dangers(settings, host):
        raise ServerRefused("\n".join(map(str, found)))
    _allow_many_connections()
    with closing(bound(host, port)) as sock, asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(_serve(settings, sock, announce, source))


def _allow_many_connections() -> None:
    """As many open files as the system lets this process have: its usual limit is made for other programs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def bound(host: str, port: int) -> socket.socket:
    """A socket that a server can listen on. Raises `ServerRefused`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, or asyncio would not set TCP_NODELAY, and every answer would wait 40 ms for its body.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # its connections have it too: a half of one is noticed
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise _not_listened(host, port, error) from None
    return sock


def listen(sock: socket.socket) -> None:
    """Two sockets may be bound to one port as long as neither listens, and uvloop says nothing where the second one
    then cannot: that gateway would announce itself and hear nobody. Raises `ServerRefused`."""
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        host, port = sock.getsockname()[:2]
        raise _not_listened(host, port, error) from None


def _not_listened(host: str, port: int, error: OSError) -> ServerRefused:
    return ServerRefused(f"{host}:{port} cannot be listened on ({error.strerror}); choose another by --port")


class _Server(uvicorn.Server):
    """Tells when requests are taken, and leaves the process's signals to whoever runs it. `leave` runs between a signal
    and the end of listening: uvicorn alone closes its listener at once."""

    def __init__(
        self, config: uvicorn.Config, announce: Callable[[], None], leave: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(config)
        self._announce, self._leave = announce, leave
        self._leaving: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal lets callers go, then ends; a second one ends at once."""
        if self._leave is None or self._leaving is not None:
            super().handle_exit(sig, frame)
        else:
            self._leaving = asyncio.get_running_loop().create_task(self._left(self._leave()))

    async def _left(self, leaving: Awaitable[None]) -> None:
        try:
            await leaving
        finally:
            self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Not uvicorn's own: it raises the signal again once it has served, and the process would be gone before its
        rooms are closed."""
        yield


async def _serve(
    settings: Settings, sock: socket.socket, announce: Callable[[Settings, str], None], source: Source
) -> None:
    host, port = sock.getsockname()[:2]
    try:
        async with opened(settings) as context:
            server = _Server(
                _config(_watched(context), settings.clients),
                lambda: announce(settings, f"http://{host}:{port}"),
                lambda: _leave(context),
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
            reloader = Reloader(context.current, source, context.metrics, context.clock)
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.ask)
            async with _exposed(settings, context.metrics), reloader.running():
                listen(sock)
                await server.serve(sockets=[sock])
    except (StoreRefused, EngineRefused, BooksRefused, LedgerRefused, ResultsRefused) as refused:
        raise ServerRefused(str(refused)) from None
    except (StoreUnavailable, LedgerUnavailable) as silent:
        place = "[state]" if isinstance(silent, StoreUnavailable) else "[ledger]"
        raise ServerRefused(f"{silent} Is what {place} url names running, and reached from here?") from None


async def _leave(context: Context) -> None:
    """Not ready and open for `drain_s`. In its first half new edits are still taken, since whoever balances load has to
    notice; in its second they get a 503, waiting callers their edit's address, and event streams end and go on at
    another replica."""
    half_s = context.settings.server.drain_s / 2
    log.info("leaving", drain_s=2 * half_s)
    context.engine.presence.warn()
    await context.clock.sleep(half_s)
    context.engine.presence.leave()
    context.feed.hang_up()
    await context.clock.sleep(half_s)


def _watched(context: Context) -> App:
    watched = Traffic(cast("App", create_app(context)), context.metrics)
    return Farewell(watched, lambda: context.engine.presence.is_ready)


def _config(app: App, limits: ClientsSection) -> uvicorn.Config:
    proxies = list(limits.trusted_proxies)
    app = Forwarded(app, Clients(limits)) if proxies else app
    connection = partial(Connection, Clients(limits))
    return uvicorn.Config(
        cast("ASGIApplication", app),
        http=cast("type[Connection]", connection),
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        lifespan="off",
        access_log=False,
        log_config=None,  # its lines go the way of all others, through the redaction
        log_level="warning",
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
    )


@asynccontextmanager
async def serving(
    settings: Settings, host: str = "127.0.0.1", port: int = 0, *, timing: Timing | None = None
) -> AsyncGenerator[str]:
    """A gateway inside this event loop, until the block is left. Yields its address; port 0 takes a free one."""
    with closing(bound(host, port)) as sock:
        address = f"http://{host}:{sock.getsockname()[1]}"
        async with (
            opened(settings, timing=timing) as context,
            _exposed(settings, context.metrics),
            listening(_watched(context), sock, settings.clients),
        ):
            yield address


@asynccontextmanager
async def _exposed(settings: Settings, metrics: Metrics) -> AsyncGenerator[None]:
    """The metrics' own port, where the configuration names one."""
    if settings.metrics.port is None:
        yield
        return
    with closing(bound(settings.metrics.host, settings.metrics.port)) as sock:
        async with listening(Exposition(metrics), sock, settings.clients):
            yield


@asynccontextmanager
async def listening(app: App, sock: socket.socket, limits: ClientsSection) -> AsyncGenerator[None]:
    """`app` takes requests while the block runs. Raises `ServerRefused`."""
    listen(sock)
    up = asyncio.Event()
    server = _Server(_config(app, limits), up.set)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    await up.wait()
    try:
        yield
    finally:
        server.should_exit = True
        await task
