"""The server with the engine behind it, until it is told to stop or the weights turn out to be unusable."""

import socket
from collections.abc import Callable

import uvicorn

from gateway.local.app import Config, create_app
from gateway.local.dev import libraries, weights
from gateway.local.dev.engine import KontextDev
from gateway.local.dev.options import Options
from gateway.local.dev.weights import BadWeights

SHUTDOWN_S = 5


def serve(host: str, port: int, queue: int, options: Options, say: Callable[[str], None]) -> str | None:
    """Why it ended by itself, or None after a signal.

    Raises:
        BadWeights: before anything is started.
    """
    weights.find(options.weights, options.gguf)
    for name, how in libraries.missing(options).items():
        raise BadWeights(f"{name} is not installed: {how}")
    listener = socket.create_server((host, port))
    failures: list[str] = []

    def fatal(why: str) -> None:
        failures.append(why)
        server.should_exit = True

    engine = KontextDev(options, fatal)
    app = create_app(engine, Config(workers=1 + queue, waiting=0))
    config = uvicorn.Config(app, access_log=False, timeout_graceful_shutdown=SHUTDOWN_S)
    server = uvicorn.Server(config)
    address = f"http://{host}:{listener.getsockname()[1]}"
    say(f"local backend (kontext-dev) at {address}/v1   (base_url of a provider with adapter openai_images)")
    say(f"loading {options.weights}; {address}/health says when it is ready")
    engine.start()
    try:
        server.run([listener])
    finally:
        engine.stop()
    return failures[0] if failures else None
