"""Tasks that last as long as a block, and how they are ended."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_AGAIN_S = 0.5


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], name: str) -> AsyncGenerator[None]:
    """`work` never ends by itself, and is cancelled at the block's end."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        await end(task)


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancels until they are over. One cancel may be swallowed, where what a task waits for ends in the same moment
    (`asyncio.wait_for` before Python 3.12, and whoever is built on it), and a task that loops would then go on."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_AGAIN_S)
