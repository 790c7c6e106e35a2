"""A gateway that stands still at the points where it is to die.

    python victim.py CONFIG '{"<prompt>": "<point>"}'

The edit of each prompt goes until its point and no further, and a line says that it is there. Then whoever started this
process kills it, or freezes it, wakes it and lets it go on by a line on its standard input. The gateway itself knows
nothing of this: the public seams are wrapped here.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis

from adapters.contract import Edit, HttpCall, Step
from gateway.clock import SystemClock, day_of
from gateway.configuration import load
from gateway.engine.delivery import Delivery
from gateway.engine.engine import Engine
from gateway.engine.order import Order
from gateway.engine.wire import Wire
from gateway.observe import configure_logging
from gateway.server import run
from gateway.settings import Settings, Source
from gateway.state.claims import Claims
from gateway.state.deliveries import Caps, Deliveries, Parcel
from gateway.state.edits import Edits
from gateway.state.records import EditRecord
from gateway.webhooks.postman import Postman

CREATION_MS = 2_000  # a claim of the dead must lapse before its key can be used again
LOAN_MS = 3_000  # and what it had on its way must be due again, but not while it stands there

Where = Callable[[tuple[Any, ...]], "str | None"]
"""From the arguments of a call to the prompt of the edit that it is about; None where it is not this point's call."""


class Stops:
    """Which edit stops where, and the gate at which they stand."""

    def __init__(self, points: dict[str, str]) -> None:
        self._points = points
        self._open = asyncio.Event()

    async def at(self, point: str, prompt: str | None) -> None:
        if prompt is None or self._points.get(prompt) != point:
            return
        del self._points[prompt]  # once: after it was let go, the edit goes on
        print(f"at {prompt}", flush=True)
        await self._open.wait()

    def let_go_when_told(self, loop: asyncio.AbstractEventLoop) -> None:
        def listen() -> None:
            sys.stdin.readline()
            loop.call_soon_threadsafe(self._open.set)

        threading.Thread(target=listen, daemon=True).start()


def of_record(arguments: tuple[Any, ...]) -> str | None:
    record: EditRecord = arguments[0]
    return record.edit.prompt


def of_order(arguments: tuple[Any, ...]) -> str | None:
    order: Order = arguments[0]
    return order.edit.prompt


def of_parcel(arguments: tuple[Any, ...]) -> str | None:
    """An edit's own address ends in its prompt."""
    parcel: Parcel = arguments[0]
    return parcel.delivery.url.rpartition("/")[2]


def of_call(*steps: Step) -> Where:
    def where(arguments: tuple[Any, ...]) -> str | None:
        edit: Edit = arguments[2]
        call: HttpCall = arguments[3]
        return edit.prompt if call.step in steps else None

    return where


# seam -> the points before it and after it, as (name of the point, which calls it is about)
SEAMS: dict[tuple[type, str], tuple[tuple[tuple[str, Where], ...], tuple[tuple[str, Where], ...]]] = {
    (Edits, "accept"): ((("before accept", of_record),), (("after accept", of_record),)),
    (Engine, "accept"): ((), (("answer ready", of_order),)),
    (Edits, "open"): ((("before open", of_record),), ()),
    (Edits, "store"): ((("before store", of_record),), ()),
    (Edits, "finish"): ((("before finish", of_record),), (("after finish", of_record),)),
    (Delivery, "deliver"): ((("before deliver", of_record),), (("after deliver", of_record),)),
    (Postman, "post"): ((("before webhook", of_parcel),), (("after webhook", of_parcel),)),
    (Wire, "send"): (
        (
            ("before submit", of_call(Step.SUBMIT)),
            ("before poll", of_call(Step.POLL)),
            ("before look-up", of_call(Step.LOOK_UP)),
        ),
        (
            ("after submit", of_call(Step.SUBMIT)),
            ("after resubmit", of_call(Step.RESUBMIT)),
            ("after look-up", of_call(Step.LOOK_UP)),
        ),
    ),
}
POINTS = frozenset(name for before, after in SEAMS.values() for name, _ in (*before, *after))


def wrap(stops: Stops) -> None:
    for (owner, name), (before, after) in SEAMS.items():
        setattr(owner, name, _stopping(getattr(owner, name), stops, before, after))


def _stopping(
    method: Callable[..., Awaitable[Any]],
    stops: Stops,
    before: tuple[tuple[str, Where], ...],
    after: tuple[tuple[str, Where], ...],
) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def stopping(self: object, *arguments: Any, **named: Any) -> Any:
        for point, where in before:
            await stops.at(point, where(arguments))
        answer = await method(self, *arguments, **named)
        for point, where in after:
            await stops.at(point, where(arguments))
        return answer

    return stopping


def shorten_loans() -> None:
    made = Deliveries.__init__

    def shorter(self: Deliveries, store: Redis, caps: Caps, clock: Callable[[], int] | None = None) -> None:
        made(self, store, replace(caps, loan_ms=LOAN_MS), clock)

    Deliveries.__init__ = shorter


def main(config: Path, points: dict[str, str]) -> None:
    assert set(points.values()) <= POINTS
    settings = load(config, {}, day_of(SystemClock().now_ms()))
    stops = Stops(points)
    wrap(stops)
    assert Claims.__init__.__kwdefaults__ is not None
    Claims.__init__.__kwdefaults__["creation_ms"] = CREATION_MS
    shorten_loans()

    def announce(_: Settings, url: str) -> None:
        print(url, flush=True)
        stops.let_go_when_told(asyncio.get_running_loop())

    configure_logging(as_json=True)
    run(settings, "127.0.0.1", 0, announce, Source(None, lambda: settings))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
