"""Is a backend worth a try now? One small machine per offer and one per provider account, as a table.

    closed ──5 in a row, or > 50 % of >= 20 in 10 s──▶ open ──30 s × n──▶ half-open ──one edit──▶ probing ──▶ closed
                                                        ▲────────────────── it failed ──────────────┘

The probe is a real edit that was waiting anyway, never a bought test picture. Ejection grows with repeats. An account
without a valid key or without credit is not an outage: each has a state of its own, because each has its own cure.
States change by events alone; `due` turns a wait that is over into its event. Numbers: Envoy's outlier detection,
stretched to edits of 10 s.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import FailureKind
from policies.window import Window, counted, totals

CONSECUTIVE = 5
LEAST_SEEN = 20
SHARE_FAILED = 0.5
OPEN_S = 30.0
LONGEST_OPEN_S = 300.0
CREDENTIAL_S = 300.0
CREDIT_S = 60.0
PROBE_S = 120.0
"""A probe that has said nothing for so long is taken as gone, and its permit is free again."""
LAST_RESORT_S = 5.0
"""Where every offer is out, one edit may look at the least sick this often."""
FORGET_S = 300.0
"""Closed for so long, earlier ejections are forgotten."""
JITTER = 0.1


class State(StrEnum):
    CLOSED = "closed"  # edits flow
    OPEN = "open"  # an outage; cured by time
    HALF_OPEN = "half_open"  # one waiting edit may look
    PROBING = "probing"  # that edit is on its way
    NO_CREDENTIAL = "no_credential"  # the key is refused; cured by another key
    NO_CREDIT = "no_credit"  # the account is empty; cured by money


class Event(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CREDENTIAL = "credential"
    CREDIT = "credit"
    PROBE = "probe"  # an edit took the permit of a half-open circuit
    DUE = "due"  # the state's wait is over
    RESTORED = "restored"  # an operator said so, or another key was loaded


class Scope(StrEnum):
    """Whose machine hears of a failure."""

    OFFER = "offer"
    ACCOUNT = "account"


# What a failure says, and of whom. None: nothing about health (the request's own fault, or pressure of ours).
EVENTS: dict[FailureKind, tuple[Scope, Event] | None] = {
    FailureKind.INVALID: None,
    FailureKind.UNSUPPORTED: None,
    FailureKind.MODERATED: None,
    FailureKind.CREDENTIAL: (Scope.ACCOUNT, Event.CREDENTIAL),
    FailureKind.CREDIT: (Scope.ACCOUNT, Event.CREDIT),
    FailureKind.RATE_LIMITED: None,
    FailureKind.BUSY: (Scope.OFFER, Event.FAILED),
    FailureKind.NOT_SENT: (Scope.ACCOUNT, Event.FAILED),
    FailureKind.LOST: (Scope.ACCOUNT, Event.FAILED),
    FailureKind.TASK_FAILED: (Scope.OFFER, Event.FAILED),
    FailureKind.BAD_PICTURE: (Scope.OFFER, Event.FAILED),
    FailureKind.EXPIRED: (Scope.OFFER, Event.FAILED),
}

_ACCOUNT = {Event.CREDENTIAL: State.NO_CREDENTIAL, Event.CREDIT: State.NO_CREDIT, Event.RESTORED: State.CLOSED}

# The only way to read it: state, event, next state. A closed circuit opens only past its thresholds (`_trips`).
# Stragglers of before an ejection prove nothing: in open and half-open, their ends change nothing.
TRANSITIONS: dict[State, dict[Event, State]] = {
    State.CLOSED: {
        Event.SUCCEEDED: State.CLOSED,
        Event.FAILED: State.OPEN,
        Event.PROBE: State.CLOSED,
        Event.DUE: State.CLOSED,
        **_ACCOUNT,
    },
    State.OPEN: {
        Event.SUCCEEDED: State.OPEN,
        Event.FAILED: State.OPEN,
        Event.PROBE: State.PROBING,
        Event.DUE: State.HALF_OPEN,
        **_ACCOUNT,
    },
    State.HALF_OPEN: {
        Event.SUCCEEDED: State.HALF_OPEN,
        Event.FAILED: State.HALF_OPEN,
        Event.PROBE: State.PROBING,
        Event.DUE: State.HALF_OPEN,
        **_ACCOUNT,
    },
    State.PROBING: {
        Event.SUCCEEDED: State.CLOSED,
        Event.FAILED: State.OPEN,
        Event.PROBE: State.PROBING,
        Event.DUE: State.HALF_OPEN,
        **_ACCOUNT,
    },
    State.NO_CREDENTIAL: {
        Event.SUCCEEDED: State.NO_CREDENTIAL,
        Event.FAILED: State.NO_CREDENTIAL,
        Event.PROBE: State.PROBING,
        Event.DUE: State.HALF_OPEN,
        **_ACCOUNT,
    },
    State.NO_CREDIT: {
        Event.SUCCEEDED: State.NO_CREDIT,
        Event.FAILED: State.NO_CREDIT,
        Event.PROBE: State.PROBING,
        Event.DUE: State.HALF_OPEN,
        **_ACCOUNT,
    },
}


class Circuit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`since_s`: when the state was entered, `until_s`: when its wait is over (0: it has none). `failures` in a row,
    `ejections` in short order, `probed_s`: when an edit last took the permit."""

    state: State = State.CLOSED
    since_s: float = 0.0
    until_s: float = 0.0
    probed_s: float = 0.0
    failures: int = 0
    ejections: int = 0
    window: Window = Window()


CLOSED = Circuit()


def step(circuit: Circuit, event: Event, at_s: float, chance: float = 0.5) -> Circuit:
    """The circuit after `event`. `chance` in [0, 1) scatters the ends of ejections."""
    circuit = _heard(due(circuit, at_s), event, at_s)
    state = TRANSITIONS[circuit.state][event]
    if state is circuit.state or (circuit.state is State.CLOSED and state is State.OPEN and not _trips(circuit, at_s)):
        return circuit
    return _entered(circuit, state, at_s, chance)


def due(circuit: Circuit, at_s: float) -> Circuit:
    """The circuit as it stands at `at_s`, with a wait that is over taken into account."""
    if not circuit.until_s or at_s < circuit.until_s:
        return circuit
    return _entered(circuit, TRANSITIONS[circuit.state][Event.DUE], at_s, 0.5)


def admits(circuit: Circuit, at_s: float, *, last: bool = False) -> bool:
    """May one more edit be sent? `last`: nothing else is left to wait at, so the wait itself is shortened.

    Whoever sends through a circuit that is not closed takes its permit first (`Event.PROBE`).
    """
    now = due(circuit, at_s)
    if now.state in (State.CLOSED, State.HALF_OPEN):
        return True
    return last and now.state is not State.PROBING and at_s >= now.probed_s + LAST_RESORT_S


def sick_s(circuit: Circuit, at_s: float) -> float:
    """Seconds until it may be tried again: the measure of who is the least sick."""
    now = due(circuit, at_s)
    return 0.0 if now.state in (State.CLOSED, State.HALF_OPEN) else max(0.0, now.until_s - at_s)


def open_s(ejections: int, chance: float) -> float:
    return min(LONGEST_OPEN_S, OPEN_S * ejections) * (1 + JITTER * (2 * chance - 1))


def _heard(circuit: Circuit, event: Event, at_s: float) -> Circuit:
    """Only a closed circuit counts: in the others one word of the probe decides."""
    if circuit.state is not State.CLOSED:
        return circuit
    if event is Event.SUCCEEDED:
        return replace(circuit, failures=0, window=counted(circuit.window, at_s, good=1))
    if event is Event.FAILED:
        return replace(circuit, failures=circuit.failures + 1, window=counted(circuit.window, at_s, bad=1))
    return circuit


def _trips(circuit: Circuit, at_s: float) -> bool:
    good, bad = totals(circuit.window, at_s)
    return circuit.failures >= CONSECUTIVE or (good + bad >= LEAST_SEEN and bad > SHARE_FAILED * (good + bad))


def _entered(circuit: Circuit, state: State, at_s: float, chance: float) -> Circuit:
    repeats = circuit.state is not State.CLOSED or at_s - circuit.since_s <= FORGET_S
    ejections = circuit.ejections if repeats else 0
    if state is State.OPEN:
        ejections += 1
    return Circuit(
        state=state,
        since_s=at_s,
        until_s=_until_s(state, at_s, ejections, chance),
        probed_s=at_s if state is State.PROBING else circuit.probed_s,
        ejections=ejections,
    )


def _until_s(state: State, at_s: float, ejections: int, chance: float) -> float:
    waits = {
        State.OPEN: open_s(ejections, chance),
        State.PROBING: PROBE_S,
        State.NO_CREDENTIAL: CREDENTIAL_S,
        State.NO_CREDIT: CREDIT_S,
    }
    return at_s + waits[state] if state in waits else 0.0
