"""`AsyncKontext`: the protocol driven in an event loop. What its methods mean is told at `Kontext`."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from os import PathLike
from pathlib import Path
from typing import Self, TypeVar, Unpack, cast

import httpx

from gateway.client.asking import Asking
from gateway.client.edits import Edit, Image
from gateway.client.events import Event
from gateway.client.models import Model
from gateway.client.protocol import Protocol
from gateway.client.quotes import Quote
from gateway.client.retry import Retry
from gateway.client.saving import written
from gateway.client.spending import Spending
from gateway.client.steps import Call, Give, Open, Pause, Read, Reply, Send, Step, Steps, Told
from gateway.client.uploads import Upload
from gateway.client.wire import Address, lost_of, reply_of
from gateway.client.wishes import Fields, Picture, Pictures, opened, wish_of

T = TypeVar("T")
DEFAULT = Retry()


class AsyncKontext:
    """As `Kontext`, to be awaited; `events` and `list` by `async for`."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retry: Retry = DEFAULT,
        http: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._address, self._sleep = Address(url, key), sleep
        self._http, self._is_own = http or httpx.AsyncClient(), http is None
        self._protocol = Protocol(Asking(retry=retry, chance=chance, now=now), lambda: secrets.token_hex(16))

    async def edit(
        self, prompt: str, images: Pictures, *, idempotency_key: str | None = None, timeout_s: float | None = None,
        on_event: Callable[[Event], object] | None = None, **fields: Unpack[Fields],
    ) -> Edit:  # fmt: skip
        """Edit a picture, and wait until that succeeded. Raises what became of it otherwise (`errors`), and
        `StillRunningError` after `timeout_s`. `on_event` is told what happens meanwhile."""
        wish = await asyncio.to_thread(wish_of, prompt, images, fields)
        return await self._run(self._protocol.edit(wish, idempotency_key, timeout_s, on_event))

    async def quote(
        self, prompt: str, images: Pictures, *, idempotency_key: str | None = None, **fields: Unpack[Fields]
    ) -> Quote:
        """What that edit would do now, and why. With a key: what the edit with this key would do."""
        wish = await asyncio.to_thread(wish_of, prompt, images, fields)
        return await self._run(self._protocol.quote(wish, idempotency_key))

    async def submit(
        self, prompt: str, images: Pictures, *, idempotency_key: str | None = None, **fields: Unpack[Fields]
    ) -> Edit:
        """Begin an edit, and do not wait for it."""
        wish = await asyncio.to_thread(wish_of, prompt, images, fields)
        return await self._run(self._protocol.submit(wish, idempotency_key))

    async def get(self, edit_id: str) -> Edit:
        """An edit as it stands, whatever became of it."""
        return await self._run(self._protocol.get(edit_id))

    async def wait(
        self, edit_id: str, *, timeout_s: float | None = None, on_event: Callable[[Event], object] | None = None
    ) -> Edit:
        """As `edit`, for one that was begun. The end of the time is noticed within two seconds."""
        return await self._run(self._protocol.wait(edit_id, timeout_s, on_event))

    def events(self, edit_id: str, *, after: str = "") -> AsyncGenerator[Event]:
        """What becomes of an edit, as it happens, until its end; on after the event with the id `after`. A stream that
        is cut goes on where it was."""
        return cast("AsyncGenerator[Event]", self._iterate(self._protocol.events(edit_id, after)))

    async def cancel(self, edit_id: str) -> Edit:
        """Cancel an edit. What a provider has taken it goes on with (`cancel_requested`), and is paid for."""
        return await self._run(self._protocol.cancel(edit_id))

    async def erase(self, edit_id: str) -> Edit:
        """Erase an ended edit's pictures and prompt now. `content` is then `erased`, or `erasing` where the prompt is
        needed until its money is known."""
        return await self._run(self._protocol.erase(edit_id))

    def list(
        self, *, status: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None,
        policy: str | None = None, tier: str | None = None, tags: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Edit]:  # fmt: skip
        """The team's edits, newest first, fetched as they are iterated."""
        steps = self._protocol.list(status, tags or {}, since=since, until=until, policy=policy, tier=tier)
        return cast("AsyncGenerator[Edit]", self._iterate(steps))

    async def upload(self, picture: Picture) -> Upload:
        """Send a picture once, to be given to many edits."""
        return await self._run(self._protocol.upload(await asyncio.to_thread(opened, picture)))

    async def models(self) -> tuple[Model, ...]:
        """What can be bought, cheapest tier first."""
        return await self._run(self._protocol.models())

    async def usage(
        self, *, by: Sequence[str] = (), since: date | None = None, until: date | None = None, team: str | None = None
    ) -> tuple[Spending, ...]:
        """What was spent, by `team`, `key`, `model`, `tier`, `day` or `tag:NAME`. Days are UTC, both ends included."""
        return await self._run(self._protocol.usage(by, since, until, team))

    async def picture(self, image: Image) -> bytes:
        """A picture of an edit, whole."""
        return await self._run(self._protocol.picture(image))

    async def save(self, image: Image, path: str | PathLike[str]) -> Path:
        """The picture as a file. Its folder is made."""
        data = await self.picture(image)
        return await asyncio.to_thread(written, data, Path(path))

    async def aclose(self) -> None:
        if self._is_own:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"AsyncKontext({self._address.url!r})"

    # --- the driver ---------------------------------------------------------------------------------------------------

    async def _run(self, steps: Steps[T]) -> T:
        line = _Line(self._http, self._address, self._sleep)
        told: Told = None
        try:
            while True:
                told = await line.do(steps.send(told))
        except StopIteration as stop:
            return cast("T", stop.value)
        finally:
            await line.aclose()

    async def _iterate(self, steps: Steps[None]) -> AsyncGenerator[object]:
        line = _Line(self._http, self._address, self._sleep)
        told: Told = None
        try:
            while True:
                step = steps.send(told)
                if isinstance(step, Give):
                    yield step.value
                    told = None
                else:
                    told = await line.do(step)
        except StopIteration:
            return
        finally:
            await line.aclose()


class _Line:
    """Does the steps, with at most one stream open."""

    def __init__(self, http: httpx.AsyncClient, address: Address, sleep: Callable[[float], Awaitable[object]]) -> None:
        self._http, self._address, self._sleep = http, address, sleep
        self._open: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def do(self, step: Step) -> Told:
        try:
            match step:
                case Send(call):
                    return await self._send(call)
                case Open(call):
                    return await self._opened(call)
                case Read():
                    return await anext(self._chunks, None) if self._chunks else None
                case Pause(seconds):
                    await self._sleep(seconds)
                case Give():  # to nobody
                    pass
        except httpx.HTTPError as error:
            return lost_of(error)
        return None

    async def _send(self, call: Call) -> Reply:
        response = await self._http.send(self._address.request(self._http, call))
        return reply_of(response, response.content)

    async def _opened(self, call: Call) -> Reply:
        await self.aclose()
        response = await self._http.send(self._address.request(self._http, call), stream=True)
        if response.status_code == 200:
            self._open, self._chunks = response, response.aiter_bytes()
            return reply_of(response, b"")
        try:
            return reply_of(response, await response.aread())
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        if self._open is not None:
            with suppress(httpx.HTTPError):
                await self._open.aclose()
            self._open, self._chunks = None, None
