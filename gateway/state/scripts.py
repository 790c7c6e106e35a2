"""The atomic steps by name: each is a file in `lua/`, sent by its digest and taught to a store that does not know it.

A step looks before it writes, and a repeat of it changes nothing: the client library repeats what lost its reply.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib.resources import files
from typing import TypeAlias, cast

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from gateway.state.connection import unavailable

Reply: TypeAlias = "Sequence[bytes | int | Reply]"


class Step(StrEnum):
    """The file's name in `lua/`, whose first lines say what goes in and what comes out."""

    ACCEPT = "accept"
    OPEN = "open"
    STORE = "store"
    CLOSE = "close"
    FINISH = "finish"
    BEAT = "beat"
    RETIRE = "retire"
    CLAIM = "claim"


class Scripts:
    """Runs steps on one store. `clock` (ms) replaces the store's own time; production gives none."""

    def __init__(self, store: Redis, clock: Callable[[], int] | None = None) -> None:
        self._clock = clock
        self._scripts = {step: _register(store, step) for step in Step}

    async def run(self, step: Step, keys: Sequence[str], *args: str | bytes | int) -> Reply:
        """The step's reply. Raises `StoreUnavailable`: then the step may or may not have taken effect."""
        now = "" if self._clock is None else self._clock()
        # Replicas: a step that moves money is followed here by WAIT, in one pipeline on one connection.
        with unavailable():
            return cast("Reply", await self._scripts[step](keys=keys, args=(now, *args)))


def _register(store: Redis, step: Step) -> AsyncScript:
    folder = files("gateway.state") / "lua"
    prelude = (folder / "prelude.lua").read_text("utf-8")
    return store.register_script(prelude + (folder / f"{step}.lua").read_text("utf-8"))
