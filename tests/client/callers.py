"""Both drivers behind one face, so that every test is about both; their pauses are noted and not slept."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self

from gateway.client import AsyncKontext, Kontext, Retry
from tests.end_to_end.stage import KEY

DRIVERS = ("sync", "async")
CHANCE = 0.5
_PROMPTS = itertools.count(1)


def prompt() -> str:
    """One of its own for each edit, since a refusal sticks to what was refused."""
    return f"Make the mug yellow, take {next(_PROMPTS)}"


class Caller:
    """`caller("edit", …)` is `Kontext.edit(…)` or its twin; what gives several gives a list. `on_pause` is awaited
    instead of sleeping, in the loop of the test."""

    def __init__(self, driver: str, url: str, key: str = KEY, **world: Any) -> None:
        self.pauses: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._on_pause: Callable[[], Awaitable[None]] = world.pop("on_pause", _nothing)
        world.setdefault("retry", Retry(patience_s=1_000))
        world = {"chance": lambda: CHANCE, **world}
        self.client: Kontext | AsyncKontext = (
            Kontext(url, key, sleep=self._noted_at_once, **world)
            if driver == "sync"
            else AsyncKontext(url, key, sleep=self._noted, **world)
        )

    async def _noted(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self._on_pause()

    def _noted_at_once(self, seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(self._noted(seconds), self._loop).result()

    async def __call__(self, method: str, *words: Any, **more: Any) -> Any:
        if isinstance(self.client, Kontext):
            return await asyncio.to_thread(self._at_once, method, *words, **more)
        told = getattr(self.client, method)(*words, **more)
        return [one async for one in told] if isinstance(told, AsyncIterator) else await told

    def _at_once(self, method: str, *words: Any, **more: Any) -> Any:
        told = getattr(self.client, method)(*words, **more)
        return list(told) if isinstance(told, Iterator) else told

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if isinstance(self.client, Kontext):
            self.client.close()
        else:
            await self.client.aclose()


async def _nothing() -> None:
    pass
