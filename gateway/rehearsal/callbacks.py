"""Calling back, as the documents say: when work has ended, a POST to the address that the caller gave; again after
growing pauses where it is not answered 2xx in five seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import httpx
from msgspec import Struct

from gateway.rehearsal.clock import Clock, wait_until
from gateway.rehearsal.exchange import Provider

ANSWER_WITHIN_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
MOST_TRIES = 6


class Post(Struct, frozen=True):
    """One call: its body, and the headers beside it."""

    body: bytes
    headers: dict[str, str] = {}


class Called(Struct, frozen=True):
    """A try, and what it was answered; None where no answer came."""

    provider: Provider
    url: str
    post: Post
    status: int | None


class Callbacks:
    """`promised` are the addresses that were given, `made` is every try, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self.promised: list[str] = []
        self.made: list[Called] = []

    def promise(
        self, provider: Provider, url: str, moment: float, posts: Callable[[], Awaitable[Sequence[Post]]]
    ) -> None:
        """Calls at `moment` of the clock, with what there is to say by then."""
        self.promised.append(url)
        task = asyncio.create_task(self._keep(provider, url, moment, posts), name=f"callback {provider}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def clear(self) -> None:
        """Nobody is called any more."""
        self.made.clear()
        self.promised.clear()
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        tasks = tuple(self._tasks)
        self.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(
        self, provider: Provider, url: str, moment: float, posts: Callable[[], Awaitable[Sequence[Post]]]
    ) -> None:
        await wait_until(self._clock, moment)
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S, trust_env=False) as http:
            for post in await posts():
                await self._call(http, provider, url, post)

    async def _call(self, http: httpx.AsyncClient, provider: Provider, url: str, post: Post) -> None:
        pause_s = FIRST_PAUSE_S
        for _ in range(MOST_TRIES):
            status = await _status(http, url, post)
            self.made.append(Called(provider, url, post, status))
            if status is not None and 200 <= status < 300:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


async def _status(http: httpx.AsyncClient, url: str, post: Post) -> int | None:
    headers = {"content-type": "application/json", **post.headers}
    try:
        return (await http.post(url, content=post.body, headers=headers)).status_code
    except httpx.HTTPError:
        return None
