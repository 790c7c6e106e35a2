"""Callbacks in: where a provider is asked to say that it is done, and what is heard there.

The address is made from the edit and the number of its attempt, and signed by us, so a made-up one is known without
asking the store. Whoever knows it can make us poll a few times sooner, and nothing else: only a signature of the
provider's own makes a callback count as a reply.
"""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from hmac import compare_digest, digest
from typing import Any

from msgspec import Struct

from adapters.contract import HttpReply
from gateway.secret import Secret
from gateway.settings import Provider, Settings
from gateway.state.records import AttemptRecord

MOST_BEYOND = 3
"""So many hints are heeded beyond one for each picture, which is how often a provider may call."""

_PURPOSE = "callback"
_NAME = "{}.{}"


class Callback(Struct, frozen=True):
    """For attempt `number` of an edit. `reply` is what its provider signed; None is a hint."""

    edit: str
    number: int
    reply: HttpReply | None = None


class Addresses:
    """`secrets`: the first signs, all verify. Without any, nobody is asked to call."""

    def __init__(self, secrets: tuple[Secret, ...] = ()) -> None:
        self._keys = tuple(secret.derive(_PURPOSE) for secret in secrets)

    def of(self, settings: Settings, provider: Provider, edit: str, number: int) -> str | None:
        """Where `provider` is to call, or None where it is not asked to."""
        root = settings.server.public_url
        if not (root and provider.callbacks and self._keys):
            return None
        name = _NAME.format(edit, number)
        return f"{root.rstrip('/')}/callbacks/{provider.name}/{name}.{_signature(self._keys[0], provider.name, name)}"

    def read(self, provider: str, token: str) -> Callback | None:
        """Whose callback this is; None for an address that we did not make."""
        name, _, signature = token.rpartition(".")
        edit, _, number = name.rpartition(".")
        made = (_signature(key, provider, name) for key in self._keys)
        if not any(compare_digest(one.encode(), signature.encode()) for one in made):
            return None
        return Callback(edit, int(number))


def _signature(key: bytes, provider: str, name: str) -> str:
    return digest(key, f"{provider}/{name}".encode(), "sha256").hex()[:32]


class Ear:
    """What one attempt hears. `most`: so many callbacks are heeded, whatever comes."""

    def __init__(self, most: int) -> None:
        self._left, self._news = most, asyncio.Event()
        self._last: Callback | None = None

    def hear(self, callback: Callback) -> None:
        """The last one counts, except that a hint does not push a signed one aside."""
        if self._left == 0:
            return
        self._left -= 1
        if self._last is None or callback.reply is not None:
            self._last = callback
        self._news.set()

    async def pause(self, sleep: Coroutine[Any, Any, None]) -> Callback | None:
        """Sleeps; or less, and gives what was heard meanwhile or before."""
        if self._left == 0 and self._last is None:
            await sleep
            return None
        tasks = (asyncio.ensure_future(sleep), asyncio.ensure_future(self._news.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        heard, self._last = self._last, None
        self._news.clear()
        return heard


class Callbacks:
    """The ears of all attempts that this replica follows."""

    def __init__(self) -> None:
        self._ears: dict[tuple[str, int], Ear] = {}

    @contextmanager
    def listening(self, edit: str, attempt: AttemptRecord) -> Generator[Ear]:
        most = attempt.pictures + MOST_BEYOND if attempt.callback_url else 0
        ear = self._ears[edit, attempt.number] = Ear(most)
        try:
            yield ear
        finally:
            self._ears.pop((edit, attempt.number), None)

    def hear(self, callback: Callback) -> None:
        """One for an attempt that is not followed here, or not any more, is nothing."""
        ear = self._ears.get((callback.edit, callback.number))
        if ear is not None:
            ear.hear(callback)
