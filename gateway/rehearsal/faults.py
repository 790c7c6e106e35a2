"""Scripted faults: what goes wrong, at which step, how often.

A script is a list per provider. Each call takes, from every group, the first scripted fault that fits its step and
model; so faults of one group follow each other (busy twice, then down) while faults of different groups combine
(slow, and the answer lost).
"""

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from msgspec import Struct

from gateway.rehearsal.exchange import Manner, Provider, Reply, Step


class Group(StrEnum):
    ANSWER = "answer"  # how this call is answered
    PACE = "pace"  # how long the picture takes
    SIGHT = "sight"  # whether polls and look-ups see the task
    ENDING = "ending"  # how the task ends
    PICTURE = "picture"  # what its links serve


class Fault(StrEnum):
    """Every fault. The docstring of a member says what it does."""

    def __new__(cls, value: str, says: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.__doc__ = says
        return member

    # Nothing is accepted.
    DOWN = "down", "Every call is answered 503; nothing is accepted."
    DOWN_HTML = "down_html", "Every call is answered 502 with an HTML page; nothing is accepted."
    HANG = "hang", "No call is answered until released or the caller leaves; nothing is accepted."
    REFUSE_KEY = "refuse_key", "Every call is answered 401: the key is refused."
    RESET_BEFORE_ACCEPT = "reset_before_accept", "A submit is reset before it is accepted."
    ERROR_BEFORE_ACCEPT = "error_before_accept", "A submit is answered 500 before it is accepted."
    NO_CREDIT = "no_credit", "A submit is refused for lack of credit (Runware 400, Runflow 402)."
    RATE_LIMITED = "rate_limited", "A submit is answered 429; with `seconds`, a Retry-After says so."
    CONCURRENT = "concurrent", "A submit is refused: too many in flight (Runware 400, Runflow 429)."
    BUSY = "busy", "A submit is refused: no server (Runware 400 `noAvailableServer`, Runflow 503 `MODEL_UNAVAILABLE`)."
    ERRORS_UNDER_200 = "errors_under_200", "A submit is refused like `busy`, but under HTTP 200."
    MODERATED_ON_SUBMIT = "moderated_on_submit", "A submit is refused by moderation."
    # Accepted and billed; the answer does not say so.
    ACCEPT_THEN_RESET = "accept_then_reset", "A submit is accepted and billed, then reset: the answer is lost."
    ACCEPT_THEN_5XX = "accept_then_5xx", "A submit is accepted and billed, then answered 500."
    HANG_AFTER_ACCEPT = "hang_after_accept", "A submit is accepted and billed, then never answered."
    ACCEPT_LATE = "accept_late", "A submit is answered 503 now, and accepted and billed `seconds` (5) later."
    ACCEPT_LATE_RESET = "accept_late_reset", "A submit is reset now, and accepted and billed `seconds` (5) later."
    SYNC_TIMEOUT = "sync_timeout", "A submit is accepted and billed, then answered 504; the picture comes later."
    GARBAGE = "garbage", "A submit is accepted and billed, then answered 200 with an HTML page."
    CUT = "cut", "A submit is accepted and billed, then its answer breaks off in the middle."
    # Polls.
    POLL_TROUBLE = "poll_trouble", "A poll is answered 500."
    POLL_RESET = "poll_reset", "A poll is reset."
    OTHER_TASK = "other_task", "A poll's answer is about somebody else's task (at Runware in front of the asked one)."
    # The task.
    SLOW = "slow", "The picture takes `seconds`, or ten times as long as usual."
    INVISIBLE = "invisible", "Polls and look-ups do not see the accepted task for `seconds` (5)."
    TASK_FAILED = "task_failed", "The task is accepted, not billed, and a poll says that it failed."
    MODERATED_ON_POLL = "moderated_on_poll", "The task is accepted, not billed, and a poll says that it was moderated."
    PARTIAL = "partial", "One picture fewer than asked comes (never fewer than one), and only those are billed."
    CANCELLED = "cancelled", "The run ends as cancelled, not billed (Runware: an error `taskCancelled`)."
    ODD_STATUS = "odd_status", "While it runs, the task has a status that no document names."
    # The picture.
    BAD_PICTURE = "bad_picture", "The result link serves bytes that are no picture."
    MISSING_PICTURE = "missing_picture", "The result link answers 404."
    EXPIRED_LINK = "expired_link", "The first result link answers 403; the next poll gives a good one."


CALLS = frozenset(Step) - {Step.FETCH}
SUBMITS = frozenset({Step.SUBMIT})
POLLS = frozenset({Step.POLL})

GROUPS: dict[Fault, Group] = dict.fromkeys(Fault, Group.ANSWER) | {
    Fault.SLOW: Group.PACE,
    Fault.INVISIBLE: Group.SIGHT,
    Fault.TASK_FAILED: Group.ENDING,
    Fault.MODERATED_ON_POLL: Group.ENDING,
    Fault.PARTIAL: Group.ENDING,
    Fault.CANCELLED: Group.ENDING,
    Fault.ODD_STATUS: Group.ENDING,
    Fault.BAD_PICTURE: Group.PICTURE,
    Fault.MISSING_PICTURE: Group.PICTURE,
    Fault.EXPIRED_LINK: Group.PICTURE,
}
STEPS: dict[Fault, frozenset[Step]] = dict.fromkeys(Fault, SUBMITS) | {
    Fault.DOWN: CALLS,
    Fault.DOWN_HTML: CALLS,
    Fault.HANG: CALLS,
    Fault.REFUSE_KEY: CALLS,
    Fault.POLL_TROUBLE: POLLS,
    Fault.POLL_RESET: POLLS,
    Fault.OTHER_TASK: POLLS,
}
"""The steps that a fault meets unless its script names one."""

DEFAULT_SECONDS = 5.0


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """One scripted fault. `times` None: until reset. `model`: the provider's id or our short name (`kontext-pro`).

    `step` moves the fault to another step (`cut` on a `poll`); faults of a task always act at its submit.
    """

    fault: Fault
    times: int | None = None
    model: str | None = None
    step: Step | None = None
    seconds: float | None = None

    def fits(self, step: Step, models: Iterable[str]) -> bool:
        steps = STEPS[self.fault] if self.step is None else {self.step}
        return step in steps and (self.model is None or self.model in models)


class Faults:
    """The scripts of both providers, and the callers kept hanging."""

    def __init__(self) -> None:
        self._scripts: dict[Provider, list[Script]] = {provider: [] for provider in Provider}
        self._released = asyncio.Event()

    def __repr__(self) -> str:
        lines = [f"{provider}: {script}" for provider, script in self.scripted()]
        return f"Faults({'; '.join(lines) or 'none'})"

    def add(
        self,
        provider: Provider | str,
        fault: Fault | str,
        *,
        times: int | None = None,
        model: str | None = None,
        step: Step | str | None = None,
        seconds: float | None = None,
    ) -> None:
        """Append to the provider's script. `times=None` means until reset."""
        script = Script(Fault(fault), times, model, None if step is None else Step(step), seconds)
        self._scripts[Provider(provider)].append(script)

    def put(self, provider: Provider | str, scripts: Iterable[Script]) -> None:
        """Replace the provider's script."""
        self._scripts[Provider(provider)] = list(scripts)

    def reset(self, provider: Provider | str | None = None) -> None:
        """Drop the scripts (of one provider, or all) and let go of whoever hangs."""
        for each in [Provider(provider)] if provider else list(Provider):
            self._scripts[each] = []
        self.release()

    def scripted(self) -> list[tuple[Provider, Script]]:
        return [(provider, script) for provider, scripts in self._scripts.items() for script in scripts]

    def draw(self, provider: Provider, group: Group, step: Step, models: Iterable[str] = ()) -> Script | None:
        """The fault of `group` that meets this call, counted as used; `None` if none does."""
        scripts = self._scripts[provider]
        for place, script in enumerate(scripts):
            if GROUPS[script.fault] is group and script.fits(step, models):
                _use(scripts, place)
                return script
        return None

    def release(self) -> None:
        """Let go of every caller kept hanging now: their connections are closed without an answer."""
        self._released.set()
        self._released = asyncio.Event()

    async def hold(self) -> None:
        """Wait for the next `release`."""
        await self._released.wait()


def _use(scripts: list[Script], place: int) -> None:
    times = scripts[place].times
    if times is None:
        return
    if times > 1:
        used = scripts[place]
        scripts[place] = Script(used.fault, times - 1, used.model, used.step, used.seconds)
    else:
        del scripts[place]


PAGE = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n"

INSTEAD: dict[Fault, Reply] = {
    Fault.DOWN_HTML: Reply(502, PAGE, "text/html"),
    Fault.HANG: Reply(0, manner=Manner.HANG),
    Fault.RESET_BEFORE_ACCEPT: Reply(0, manner=Manner.RESET),
    Fault.POLL_RESET: Reply(0, manner=Manner.RESET),
}
"""Answers that are alike at both providers and come before the call is looked at."""

LOST: dict[Fault, Reply] = {
    Fault.ACCEPT_THEN_RESET: Reply(0, manner=Manner.RESET),
    Fault.ACCEPT_LATE_RESET: Reply(0, manner=Manner.RESET),
    Fault.HANG_AFTER_ACCEPT: Reply(0, manner=Manner.HANG),
    Fault.GARBAGE: Reply(200, PAGE, "text/html"),
}
"""Answers that replace the true one after the call has taken effect. `cut` is the true one, broken off."""
