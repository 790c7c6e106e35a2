"""Any ASGI application on a port of its own, inside the test's event loop."""

import socket
from asyncio import create_task
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


@asynccontextmanager
async def listening(app: Any) -> AsyncGenerator[int]:  # Any: ASGI apps are typed in as many ways as there are
    """The port at which `app` takes requests."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None))
        running = create_task(server.serve([listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running
