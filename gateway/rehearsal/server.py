"""Serving the stand-ins: inside a test (`async with Rehearsal.serve() as r`), or alone (`run`, for the command).

uvicorn parses and writes HTTP. Its `Server` is left out: it takes the process's signals and stops in tenths of a
second, and the transport has to be within reach, since a reset or a cut answer is made below HTTP.
"""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.rehearsal.app import TRANSPORT, App
from gateway.rehearsal.backstage import KEY, Backstage
from gateway.rehearsal.bill import Bill
from gateway.rehearsal.callbacks import Callbacks
from gateway.rehearsal.clock import LONGEST_NAP_S, Clock
from gateway.rehearsal.control import Control
from gateway.rehearsal.faults import Faults
from gateway.rehearsal.log import Log
from gateway.rehearsal.runflow import Runflow, RunflowSwitches
from gateway.rehearsal.runware import Runware, RunwareSwitches

HOST = "127.0.0.1"
PORT = 9090
STOP_WITHIN_S = 5.0
RUNWARE = RunwareSwitches()
RUNFLOW = RunflowSwitches()


class Rehearsal:
    """Both stand-ins, their bill, their log and their script. `url` is set while it is being served.

    `seconds`: how long an edit takes, for all offers or by offer (`{"runware/kontext-pro": 0.2}`). `fast`: one ready
    picture per size and format instead of a true edit. `clock` must count seconds and never go back.
    """

    def __init__(
        self,
        *,
        key: str = KEY,
        seconds: float | Mapping[str, float] | None = None,
        fast: bool = False,
        clock: Clock = time.monotonic,
        runware: RunwareSwitches = RUNWARE,
        runflow: RunflowSwitches = RUNFLOW,
    ) -> None:
        epoch = time.time() - clock()
        self._stage = Backstage(clock, epoch=epoch, key=key, seconds=seconds, fast=fast)
        self.url = ""
        self.key = key
        self.log = Log()
        self.runware = Runware(self._stage, runware)
        self.runflow = Runflow(self._stage, runflow)
        self.app = App(self._stage, self.runware, self.runflow, self.log)
        self._control = Control(self._stage, self.runware, self.runflow, self.log)

    def __repr__(self) -> str:
        return f"Rehearsal({self.url or 'not served'}, {self.bill!r}, {self.faults!r})"

    @property
    def bill(self) -> Bill:
        return self._stage.bill

    @property
    def faults(self) -> Faults:
        return self._stage.faults

    @property
    def runware_url(self) -> str:
        return f"{self.url}/runware/v1"

    @property
    def runflow_url(self) -> str:
        return f"{self.url}/runflow"

    @property
    def callbacks(self) -> Callbacks:
        return self._stage.callbacks

    def reset(self) -> None:
        """Forget everything: scripts, bill, log, tasks, pictures."""
        self._control.reset()

    def summary(self) -> str:
        return self._control.summary()

    @classmethod
    @asynccontextmanager
    async def serve(
        cls,
        *,
        host: str = HOST,
        port: int = 0,
        key: str = KEY,
        seconds: float | Mapping[str, float] | None = None,
        fast: bool = False,
        clock: Clock = time.monotonic,
        runware: RunwareSwitches = RUNWARE,
        runflow: RunflowSwitches = RUNFLOW,
    ) -> AsyncGenerator["Rehearsal"]:
        """A rehearsal that answers at `url`; port 0 takes a free one. The settings are the constructor's."""
        rehearsal = cls(key=key, seconds=seconds, fast=fast, clock=clock, runware=runware, runflow=runflow)
        async with rehearsal.served(host, port):
            yield rehearsal

    @asynccontextmanager
    async def served(self, host: str = HOST, port: int = 0) -> AsyncGenerator[str]:
        """Listen until the block is left. Raises `OSError` where the port is taken."""
        config = uvicorn.Config(
            self.app, lifespan="off", log_config=None, access_log=False, http=_Protocol, timeout_keep_alive=75
        )
        config.load()
        state = ServerState()
        # By host and port: asyncio sets TCP_NODELAY only on sockets that say they are TCP, and one made by
        # `socket.create_server` does not. Without it every answer waits 40 ms for the caller's acknowledgement.
        server = await asyncio.get_running_loop().create_server(
            lambda: _Protocol(config=config, server_state=state, app_state={}), host, port
        )
        self.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield self.url
        finally:
            server.close()
            await self._stage.callbacks.aclose()
            await self._stop(state)
            self.url = ""

    async def _stop(self, state: ServerState) -> None:
        """Let go of who hangs, let answers under way be written, then close what is left."""
        for connection in list(state.connections):
            connection.shutdown()
        tries = int(STOP_WITHIN_S / LONGEST_NAP_S)
        while state.tasks and (tries := tries - 1):
            self.faults.release()  # more than once: a caller is held a moment after its fault was drawn
            await asyncio.wait(set(state.tasks), timeout=LONGEST_NAP_S)
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, handing its transport to the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # ASGI allows any object as an extension; uvicorn's types know only dictionaries.
        extensions = cast("dict[str, dict[object, object]]", {TRANSPORT: self.transport})
        self.scope["extensions"] = extensions


def run(
    host: str = HOST,
    port: int = PORT,
    *,
    seconds: float | Mapping[str, float] | None = None,
    fast: bool = False,
    started: Callable[[Rehearsal], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `started` is called once it listens. Raises `OSError` where the port is taken."""
    rehearsal = Rehearsal(seconds=seconds, fast=fast)
    config = uvicorn.Config(rehearsal.app)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_until_signalled(rehearsal, host, port, started))


async def _until_signalled(
    rehearsal: Rehearsal, host: str, port: int, started: Callable[[Rehearsal], None] | None
) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with rehearsal.served(host, port):
        if started:
            started(rehearsal)
        await stopped.wait()
