"""What both stand-ins share: the clock, the bill, the faults, the studio, and a task from its acceptance to its end.

A task is decided when it is accepted, and every later answer is computed from the clock. Nothing runs in the
background but calls that were asked for; a task accepted late is one whose moment of acceptance still lies ahead.
"""

import secrets
import uuid
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.rehearsal.bill import Bill, Entry
from gateway.rehearsal.callbacks import Callbacks
from gateway.rehearsal.clock import Clock
from gateway.rehearsal.exchange import Provider, Step
from gateway.rehearsal.faults import DEFAULT_SECONDS, Fault, Faults, Group, Script
from gateway.rehearsal.files import File, Files
from gateway.rehearsal.pictures import Recipe, Studio

KEY = "rehearsal_key"
SECONDS: dict[str, float] = {
    "runware/kontext-pro": 2.0,
    "runware/kontext-max": 2.5,
    "runware/kontext-dev": 3.0,
    "runflow/kontext-pro": 2.2,
    "runflow/kontext-max": 2.7,
}
"""How long one edit takes, by offer."""

SLOW_FACTOR = 10
ENDINGS_WITHOUT_PICTURE = frozenset({Fault.TASK_FAILED, Fault.MODERATED_ON_POLL, Fault.CANCELLED})


class Order(Struct, frozen=True, kw_only=True):
    """What one accepted request asks for. `key` is the id that the caller chose; `name` our name of the model."""

    provider: Provider
    id: str
    key: str
    name: str
    models: tuple[str, ...]
    recipe: Recipe
    count: int
    price_micro_usd: int
    signed_links: bool = False


class Task(Struct, frozen=True, kw_only=True):
    """An accepted order. All moments are readings of the clock; nothing of it exists before `accepted_at`."""

    order: Order
    accepted_at: float
    visible_at: float
    seconds: float
    ending: Fault | None
    files: tuple[File, ...]
    stale_first_link: bool

    @property
    def ready_at(self) -> float:
        return self.accepted_at + self.seconds

    @property
    def cost_micro_usd(self) -> int:
        return len(self.files) * self.order.price_micro_usd

    def visible(self, now: float) -> bool:
        return now >= self.visible_at

    def ended(self, now: float) -> bool:
        return now >= self.ready_at

    def files_at(self, now: float) -> tuple[File, ...]:
        """The pictures that are ready: one by one in the second half of the time, the last at its end."""
        if self.ended(now):
            return self.files
        share = (now - self.accepted_at) / self.seconds
        return tuple(
            file for number, file in enumerate(self.files, 1) if share >= 0.5 + 0.5 * number / self.order.count
        )


class Backstage:
    def __init__(
        self, clock: Clock, *, epoch: float, key: str, seconds: float | Mapping[str, float] | None, fast: bool
    ) -> None:
        self.clock = clock
        self.epoch = epoch
        self.key = key
        self.faults = Faults()
        self.bill = Bill(clock)
        self.studio = Studio(fast=fast)
        self.files = Files(clock, self.studio)
        self.callbacks = Callbacks(clock)
        self._seconds = SECONDS | (
            dict.fromkeys(SECONDS, seconds) if isinstance(seconds, (int, float)) else {**(seconds or {})}
        )

    def accept(self, order: Order, *, delay_s: float = 0.0, at_once: bool = False) -> Task:
        """Take an order: draw what will go wrong with it, file its pictures, bill them. `at_once`: ready now."""
        accepted_at = self.clock() + delay_s
        ending = self._drawn(Group.ENDING, order)
        hidden = self._drawn(Group.SIGHT, order)
        flaw = self._drawn(Group.PICTURE, order)
        pace = self._drawn(Group.PACE, order)
        task = Task(
            order=order,
            accepted_at=accepted_at,
            visible_at=accepted_at + (_seconds(hidden) if hidden else 0.0),
            seconds=0.0 if at_once else self._duration(order, pace),
            ending=ending.fault if ending else None,
            files=_filed(order, _delivered(order.count, ending), flaw.fault if flaw else None),
            stale_first_link=flaw is not None and flaw.fault is Fault.EXPIRED_LINK,
        )
        self._book(task)
        return task

    def _book(self, task: Task) -> None:
        for file in task.files:
            self.files.keep(file)
        if task.files:
            order = task.order
            self.bill.charge(
                Entry(
                    provider=order.provider,
                    id=order.id,
                    key=order.key,
                    model=order.name,
                    pictures=len(task.files),
                    cost_micro_usd=task.cost_micro_usd,
                    at=task.accepted_at,
                )
            )

    def _drawn(self, group: Group, order: Order) -> Script | None:
        return self.faults.draw(order.provider, group, Step.SUBMIT, order.models)

    def _duration(self, order: Order, pace: Script | None) -> float:
        usual = self._seconds[f"{order.provider}/{order.name}"]
        if pace is None:
            return usual
        return usual * SLOW_FACTOR if pace.seconds is None else pace.seconds


def delay_of(script: Script) -> float:
    """How long after its submit a task is accepted: nothing, but for the late ones."""
    late = script.fault in {Fault.ACCEPT_LATE, Fault.ACCEPT_LATE_RESET}
    return _seconds(script) if late else 0.0


def new_id() -> str:
    """A fresh UUID, version 4: ids of pictures and assets are the provider's to choose."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def _seconds(script: Script) -> float:
    return DEFAULT_SECONDS if script.seconds is None else script.seconds


def _delivered(count: int, ending: Script | None) -> int:
    if ending is not None and ending.fault in ENDINGS_WITHOUT_PICTURE:
        return 0
    return max(1, count - 1) if ending is not None and ending.fault is Fault.PARTIAL else count


def _filed(order: Order, delivered: int, flaw: Fault | None) -> tuple[File, ...]:
    signed = order.signed_links or flaw is Fault.EXPIRED_LINK
    return tuple(
        File(
            name=new_id(),
            provider=order.provider,
            owner=order.id,
            recipe=msgspec.structs.replace(order.recipe, number=number),
            signed=signed,
            fault=flaw,
        )
        for number in range(delivered)
    )
