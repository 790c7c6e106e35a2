"""The process deaths as data: where an edit stood when its gateway was killed, and what must come of it."""

from msgspec import Struct

from gateway.rehearsal.faults import Fault, Script

PRICE_MICRO = 40_000
RUNWARE, RUNFLOW = "runware", "runflow"
HALF_BODY = "half the body"
CHARGED = "charged"
"""Points that the wire shows, not the gateway: half of the submit has passed; the bill has the charge."""


class Case(Struct, frozen=True, kw_only=True):
    """One edit. `point` is where it stands when the kill comes. `end` and `charges` are what must come of it."""

    fault: str
    adapter: str
    point: str
    script: tuple[Script, ...] = ()
    end: str = "succeeded"
    charges: int = 1
    queued: bool = False

    @property
    def name(self) -> str:
        """It names the edit's prompt, its policy and its account alike."""
        return f"{self.fault}_{self.adapter}_{self.point.replace(' ', '_')}".lower()

    @property
    def held_micro(self) -> int:
        return PRICE_MICRO if self.end == "unresolved" else 0


def once(fault: Fault, seconds: float | None = None) -> Script:
    return Script(fault, 1, None, None, seconds)


def both(fault: str, point: str, *script: Script, queued: bool = False) -> tuple[Case, Case]:
    """The same at both providers, bought once."""
    cases = (Case(fault=fault, adapter=each, point=point, script=script, queued=queued) for each in (RUNWARE, RUNFLOW))
    first, second = cases
    return first, second


def never_arrived(fault: str, point: str) -> tuple[Case, Case]:
    """Nothing reached the provider. Runware takes the same id again; at Runflow nobody can tell."""
    at_runware = Case(fault=fault, adapter=RUNWARE, point=point)
    at_runflow = Case(fault=fault, adapter=RUNFLOW, point=point, end="unresolved", charges=0)
    return at_runware, at_runflow


DEATHS: tuple[Case, ...] = (
    *both("F1", "before accept"),
    *both("F2", "answer ready"),
    *both("F3", "before open", queued=True),
    *never_arrived("F4", "after accept"),
    *never_arrived("F4", "before submit"),
    *never_arrived("F5", HALF_BODY),
    *both("F6", CHARGED, once(Fault.HANG_AFTER_ACCEPT)),
    *both("F6", "before look-up", once(Fault.ACCEPT_THEN_RESET)),
    *both("F6", "after look-up", once(Fault.CUT)),
    Case(
        fault="F6",
        adapter=RUNWARE,
        point="after resubmit",
        script=(once(Fault.ACCEPT_THEN_5XX), once(Fault.INVISIBLE, 2.0)),
    ),
    *both("F7", "before look-up", once(Fault.ACCEPT_LATE_RESET, 3.0)),
    *both("F8", "after look-up", once(Fault.ACCEPT_THEN_RESET), once(Fault.INVISIBLE, 3.0)),
    *both("F9", "after submit"),
    Case(fault="F9", adapter=RUNFLOW, point="before store"),
    *both("F11", "before poll"),
    *both("F12", "before finish"),
    *both("F13", "after finish"),
    *both("F16", "before deliver", once(Fault.EXPIRED_LINK)),
    *both("F16", "after deliver"),
    *both("F25", "before poll", once(Fault.OTHER_TASK)),
)

SLEEPERS: tuple[Case, ...] = (
    *never_arrived("F10", "before submit"),
    *both("F10", "after submit"),
    *both("F10", "before poll"),
    *both("F10", "before finish"),
)
