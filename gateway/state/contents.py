"""What an edit holds that is somebody's own: its prompt, and the calls and words that quote it. It is taken out of the
record some time after the edit's end, or as soon as its caller asks; digests, money and routing stay.

Every edit is looked at when it may be time (`lapsed`), so that nothing has to be told of its end. An edit of which an
attempt is unresolved keeps all of it: finding out what was charged needs the prompt and the call.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import cast

from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from adapters.contract import Edit, HttpCall
from gateway.state import keys
from gateway.state.connection import unavailable
from gateway.state.documents import read_edit, write_attempt, write_edit, write_end
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Wish
from gateway.state.scripts import Reply, Scripts, Step

_PAGE = 1000
DAY_MS = 86_400_000


class Emptied(StrEnum):
    """What became of it. `CHANGED`: somebody wrote the record meanwhile; it is found again."""

    OK = "ok"
    GOES_ON = "goes_on"
    UNRESOLVED = "unresolved"
    CHANGED = "changed"
    GONE = "gone"


class Contents:
    """`prompts_ms`: for how long after its end an edit keeps its prompt. Raises `StoreUnavailable`."""

    def __init__(self, store: Redis, *, prompts_ms: int = DAY_MS, clock: Callable[[], int] | None = None) -> None:
        self._store = store
        self._scripts = Scripts(store, clock)
        self._prompts_ms = prompts_ms

    async def lapsed(self, most: int) -> tuple[int, tuple[str, ...]]:
        """How many edits of up to `most` were looked at, and those whose content is to go."""
        reply = await self._scripts.run(Step.LAPSED, (keys.CONTENTS,), most, self._prompts_ms, keys.EDIT)
        found = cast("list[bytes]", reply[3])
        return cast("int", reply[2]), tuple(edit_id.decode() for edit_id in found)

    async def erase(self, edit_id: str) -> bool:
        """Asks for the content to go, pictures too. False for an edit that goes on, or that the store does not hold."""
        reply = await self._scripts.run(Step.ERASE, (keys.EDIT + edit_id, keys.CONTENTS), edit_id)
        return reply[0] == b"ok"

    async def empty(self, edit_id: str) -> Emptied:
        """Takes the content out of the record. A repeat changes nothing."""
        with unavailable():
            fields = await cast("Awaitable[dict[bytes, bytes]]", self._store.hgetall(keys.EDIT + edit_id))
        bare = _documents(without_content(read_edit(fields))) if fields else {}
        words = [word for name, document in bare.items() for word in (name, fields[name.encode()], document)]
        names = (keys.EDIT + edit_id, keys.CONTENTS, keys.EMPTIED)
        reply: Reply = await self._scripts.run(Step.EMPTY, names, edit_id, *words)
        return Emptied(cast("bytes", reply[0]).decode())

    async def adopt(self, now_ms: int) -> None:
        """Lets every ended edit be looked at now: those that another release accepted, too."""
        start = 0
        while names := await self._listed(start):
            with unavailable():
                await self._store.zadd(keys.CONTENTS, dict.fromkeys(names, now_ms), nx=True)
            start += len(names)

    async def _listed(self, start: int) -> list[str]:
        """A page of the ended edits whose records are still there: each as its list and its id."""
        with unavailable():
            found = self._store.zrange(keys.LISTED, start, start + _PAGE - 1)  # pyright: ignore[reportUnknownMemberType] - redis-py's own
            return [name.decode().rpartition(" ")[2] for name in await cast("Awaitable[list[bytes]]", found)]

    async def tell_whole(self, now_ms: int) -> None:
        """Everything that was due is gone."""
        with unavailable():
            await self._store.set(keys.SWEPT, now_ms)

    async def whole_ms(self, now_ms: int) -> int:
        """When that was last said; from now on, where it never was."""
        with unavailable():
            await self._store.set(keys.SWEPT, now_ms, nx=True)
            return int(await self._store.get(keys.SWEPT) or now_ms)

    async def has_holes(self) -> bool:
        """Whether something was taken out since the last `compact`."""
        with unavailable():
            return bool(await self._store.exists(keys.EMPTIED))

    async def compact(self) -> None:
        """Lets the engine write its append-only file anew: until then what was taken out is still in it, on disk."""
        with unavailable():
            await self._store.delete(keys.EMPTIED)
            with suppress(ResponseError):  # one is under way
                await self._store.bgrewriteaof()  # pyright: ignore[reportUnknownMemberType] - redis-py's own


def _documents(record: EditRecord) -> dict[str, bytes]:
    attempts = {f"attempt:{attempt.number}": write_attempt(attempt) for attempt in record.attempts}
    end = {} if record.end is None else {"end": write_end(record.end)}
    return {"document": write_edit(record), **end, **attempts}


def without_content(record: EditRecord) -> EditRecord:
    """The record as it may stay."""
    return replace(
        record,
        edit=_wordless(record.edit),
        wish=_unaddressed(record.wish),
        attempts=tuple(_uncalled(attempt) for attempt in record.attempts),
        end=record.end and _unnoted(record.end),
    )


def _wordless(edit: Edit) -> Edit:
    """What a provider kept of the prompt cannot be compared any more: as with a prompt that it was free to change."""
    return replace(edit, prompt="", negative_prompt=None, enhance_prompt=True)


def _unaddressed(wish: Wish) -> Wish:
    """An address to put the picture may carry a signature of its own."""
    return replace(wish, output=replace(wish.output, upload_url=None))


def _uncalled(attempt: AttemptRecord) -> AttemptRecord:
    """The message of a success holds notes, which may quote the prompt; that of a failure is in our words."""
    quotes = attempt.state is AttemptState.SETTLED and attempt.failure is None
    call = HttpCall(step=attempt.call.step, method=attempt.call.method, url="")
    return replace(attempt, call=call, message="" if quotes else attempt.message)


def _unnoted(end: End) -> End:
    return replace(end, notes=())
