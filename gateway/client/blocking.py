"""`Kontext`: the protocol driven on the calling thread."""

import random
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
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


class Kontext:
    """A gateway at `url`, asked with `key`. Threads may share it. `http` is yours to close, if you bring one;
    `sleep`, `chance` and `now` are the world, for tests."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retry: Retry = DEFAULT,
        http: httpx.Client | None = None,
        sleep: Callable[[float], object] = time.sleep,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._address, self._sleep = Address(url, key), sleep
        self._http, self._is_own = http or httpx.Client(), http is None
        self._protocol = Protocol(Asking(retry=retry, chance=chance, now=now), lambda: secrets.token_hex(16))

    def edit(
        self, prompt: str, images: Pictures, *, idempotency_key: str | None = None, timeout_s: float | None = None,
        on_event: Callable[[Event], object] | None = None, **fields: Unpack[Fields],
    ) -> Edit:  # fmt: skip
        """Edit a picture, and wait until that succeeded. Raises what became of it otherwise (`errors`), and
        `StillRunningError` after `timeout_s`. `on_event` is told what happens meanwhile."""
        wish = wish_of(prompt, images, fields)
        return self._run(self._protocol.edit(wish, idempotency_key, timeout_s, on_event))

    def quote(
        self, prompt: str, images: Pictures, *, idempotency_key: str | None = None, **fields: Unpack[Fields]
    ) -> Quote:
        """What that edit would do now, and why. With a key: what the edit with this key would do."""
        return self._run(self._protocol.quote(wish_of(prompt, images, fields), idempotency_key))

    def submit(
        self, prompt: str, images: Pictures, *, idempotency_key: str | None = None, **fields: Unpack[Fields]
    ) -> Edit:
        """Begin an edit, and do not wait for it."""
        return self._run(self._protocol.submit(wish_of(prompt, images, fields), idempotency_key))

    def get(self, edit_id: str) -> Edit:
        """An edit as it stands, whatever became of it."""
        return self._run(self._protocol.get(edit_id))

    def wait(
        self, edit_id: str, *, timeout_s: float | None = None, on_event: Callable[[Event], object] | None = None
    ) -> Edit:
        """As `edit`, for one that was begun. The end of the time is noticed within two seconds."""
        return self._run(self._protocol.wait(edit_id, timeout_s, on_event))

    def events(self, edit_id: str, *, after: str = "") -> Generator[Event]:
        """What becomes of an edit, as it happens, until its end; on after the event with the id `after`. A stream that
        is cut goes on where it was."""
        return cast("Generator[Event]", self._iterate(self._protocol.events(edit_id, after)))

    def cancel(self, edit_id: str) -> Edit:
        """Cancel an edit. What a provider has taken it goes on with (`cancel_requested`), and is paid for."""
        return self._run(self._protocol.cancel(edit_id))

    def erase(self, edit_id: str) -> Edit:
        """Erase an ended edit's pictures and prompt now. `content` is then `erased`, or `erasing` where the prompt is
        needed until its money is known."""
        return self._run(self._protocol.erase(edit_id))

    def list(
        self, *, status: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None,
        policy: str | None = None, tier: str | None = None, tags: Mapping[str, str] | None = None,
    ) -> Generator[Edit]:  # fmt: skip
        """The team's edits, newest first, fetched as they are iterated."""
        steps = self._protocol.list(status, tags or {}, since=since, until=until, policy=policy, tier=tier)
        return cast("Generator[Edit]", self._iterate(steps))

    def upload(self, picture: Picture) -> Upload:
        """Send a picture once, to be given to many edits."""
        return self._run(self._protocol.upload(opened(picture)))

    def models(self) -> tuple[Model, ...]:
        """What can be bought, cheapest tier first."""
        return self._run(self._protocol.models())

    def usage(
        self, *, by: Sequence[str] = (), since: date | None = None, until: date | None = None, team: str | None = None
    ) -> tuple[Spending, ...]:
        """What was spent, by `team`, `key`, `model`, `tier`, `day` or `tag:NAME`. Days are UTC, both ends included."""
        return self._run(self._protocol.usage(by, since, until, team))

    def picture(self, image: Image) -> bytes:
        """A picture of an edit, whole."""
        return self._run(self._protocol.picture(image))

    def save(self, image: Image, path: str | PathLike[str]) -> Path:
        """The picture as a file. Its folder is made."""
        return written(self.picture(image), Path(path))

    def close(self) -> None:
        if self._is_own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Kontext({self._address.url!r})"

    # --- the driver ---------------------------------------------------------------------------------------------------

    def _run(self, steps: Steps[T]) -> T:
        line = _Line(self._http, self._address, self._sleep)
        told: Told = None
        try:
            while True:
                told = line.do(steps.send(told))
        except StopIteration as stop:
            return cast("T", stop.value)
        finally:
            line.close()

    def _iterate(self, steps: Steps[None]) -> Generator[object]:
        line = _Line(self._http, self._address, self._sleep)
        told: Told = None
        try:
            while True:
                step = steps.send(told)
                if isinstance(step, Give):
                    yield step.value
                    told = None
                else:
                    told = line.do(step)
        except StopIteration:
            return
        finally:
            line.close()


class _Line:
    """Does the steps, with at most one stream open."""

    def __init__(self, http: httpx.Client, address: Address, sleep: Callable[[float], object]) -> None:
        self._http, self._address, self._sleep = http, address, sleep
        self._open: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def do(self, step: Step) -> Told:
        try:
            match step:
                case Send(call):
                    return self._send(call)
                case Open(call):
                    return self._opened(call)
                case Read():
                    return next(self._chunks, None)
                case Pause(seconds):
                    self._sleep(seconds)
                case Give():  # to nobody
                    pass
        except httpx.HTTPError as error:
            return lost_of(error)
        return None

    def _send(self, call: Call) -> Reply:
        response = self._http.send(self._address.request(self._http, call))
        return reply_of(response, response.content)

    def _opened(self, call: Call) -> Reply:
        self.close()
        response = self._http.send(self._address.request(self._http, call), stream=True)
        if response.status_code == 200:
            self._open, self._chunks = response, response.iter_bytes()
            return reply_of(response, b"")
        try:
            return reply_of(response, response.read())
        finally:
            response.close()

    def close(self) -> None:
        if self._open is not None:
            with suppress(httpx.HTTPError):
                self._open.close()
            self._open, self._chunks = None, iter(())
