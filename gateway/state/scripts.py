"""The atomic steps by name: each is a file in `lua/`, sent by its digest and taught to a store that does not know it.

A step looks before it writes, and a repeat of it changes nothing: the client library repeats what lost its reply.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TypeAlias, cast

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError

from gateway.state.connection import StoreUnavailable, unavailable
from gateway.state.keys import CONFIRM

Reply: TypeAlias = "Sequence[bytes | int | Reply]"


class Step(StrEnum):
    """The file's name in `lua/`, whose first lines say what goes in and what comes out."""

    ACCEPT = "accept"
    OPEN = "open"
    STORE = "store"
    CLOSE = "close"
    FINISH = "finish"
    RESOLVE = "resolve"
    RELEASE = "release"
    CORRECT = "correct"
    UNDO = "undo"
    CANCEL = "cancel"
    BEAT = "beat"
    RETIRE = "retire"
    CLAIM = "claim"
    CLAIM_KEY = "claim_key"
    RENEW_KEY = "renew_key"
    DROP_KEY = "drop_key"
    ADMIT = "admit"
    RESTORE = "restore"
    TURN = "turn"
    UPLOAD = "upload"
    ENLIST = "enlist"
    DELIST = "delist"
    AMEND = "amend"
    ENABLE = "enable"
    COLLECT = "collect"
    TRIED = "tried"
    REDELIVER = "redeliver"
    REFER = "refer"
    RELEASE_PICTURE = "release_picture"
    SWEEP = "sweep"
    SWEPT = "swept"
    LAPSED = "lapsed"
    ERASE = "erase"
    EMPTY = "empty"


LIBRARIES = ("prelude", "money", "ending", "telling", "posting", "references")
"""Put before every step, in this order: Redis scripts cannot include one another."""

_WAIT_MS = 500
_MOVES_MONEY = frozenset(
    {Step.ACCEPT, Step.OPEN, Step.CLOSE, Step.FINISH, Step.RESOLVE, Step.RELEASE, Step.CORRECT, Step.RESTORE}
)


class TooFewReplicas(StoreUnavailable):
    """The step took effect, but fewer replicas of the store than asked confirmed it in time."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("The store took the step, and too few of its replicas confirmed it in time.")
        self.reply = reply


class Scripts:
    """Runs steps on one store. `clock` (ms) replaces the store's own time; production gives none.

    `min_replicas`: how many replicas of the store must confirm a step that moves money.
    """

    def __init__(self, store: Redis, clock: Callable[[], int] | None = None, *, min_replicas: int = 0) -> None:
        self._store = store
        self._clock = clock
        self._min_replicas = min_replicas
        self._scripts = {step: _register(store, step) for step in Step}

    async def run(self, step: Step, keys: Sequence[str], *args: str | bytes | int) -> Reply:
        """The step's reply. Raises `StoreUnavailable`: then the step may or may not have taken effect."""
        now = "" if self._clock is None else self._clock()
        with unavailable():
            if self._min_replicas and step in _MOVES_MONEY:
                return await self._run_and_wait(step, keys, (now, *args))
            return cast("Reply", await self._scripts[step](keys=keys, args=(now, *args)))

    async def _run_and_wait(self, step: Step, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Reply:
        """WAIT counts the writes of its own connection: so all in one pipeline. A primary that has just begun to lead
        knows no script, and a pipeline does not teach it between its tries."""
        try:
            return await self._confirmed(step, keys, args)
        except NoScriptError:
            script = self._scripts[step]
            await self._store.script_load(script.script)
            return await self._confirmed(step, keys, args)

    async def _confirmed(self, step: Step, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Reply:
        """The reply of a step that enough replicas confirmed. A repeat of a step writes nothing, and
        WAIT would then ask for nothing: the mark is a write behind whatever the step wrote, now or the first time."""
        pipeline = self._store.pipeline(transaction=False)
        await self._scripts[step](keys=keys, args=args, client=pipeline)
        pipeline.set(CONFIRM, 1)
        pipeline.wait(self._min_replicas, _WAIT_MS)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
        reply, _, confirmed = cast("tuple[Reply, object, int]", await pipeline.execute())
        if confirmed < self._min_replicas and reply[0] == b"ok":
            raise TooFewReplicas(reply)
        return reply


def _register(store: Redis, step: Step) -> AsyncScript:
    return store.register_script("".join(source(name) for name in (*LIBRARIES, step)))


@cache
def source(name: str) -> str:
    """A Lua file, read once a process."""
    return (files("gateway.state") / "lua" / f"{name}.lua").read_text("utf-8")
