"""Is every micro-dollar accounted for? The twelve invariants over the whole history, never over a sample. Pure.

What was not given (a bill, caps, a store) leaves its part unchecked, and the report says so.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from gateway.ledger.accounts import accounts
from gateway.ledger.evidence import Bill, Cap, Evidence, StoreSnapshot
from gateway.ledger.invariants import charges, holds, steps
from gateway.ledger.invariants.charges import Words
from gateway.ledger.rows import Row, RowKind


class Violation(Struct, frozen=True):
    """`about` is the edit, the row, the window or the charge; `what` says what is wrong with it."""

    invariant: str
    about: str
    what: str


class Invariant(Struct, frozen=True):
    """`count` is how many things it is checked on; `wants` what must be given for all of it."""

    name: str
    title: str
    judge: Callable[[Evidence], Words]
    count: Callable[[Evidence], int]
    wants: tuple[str, ...] = ()


class Finding(Struct, frozen=True, kw_only=True):
    """What one invariant was checked on, what was not given and so not compared, and what breaks it."""

    invariant: str
    title: str
    checked: int
    not_given: tuple[str, ...]
    violations: tuple[Violation, ...]


class Report(Struct, frozen=True, kw_only=True):
    findings: tuple[Finding, ...]
    rows: int
    edits: int
    spent_micro: int
    held_micro: int
    unresolved: int

    @property
    def violations(self) -> tuple[Violation, ...]:
        return tuple(violation for finding in self.findings for violation in finding.violations)


def _rows(*kinds: RowKind) -> Callable[[Evidence], int]:
    return lambda evidence: sum(row.kind in kinds for row in evidence.rows)


def _attempts(evidence: Evidence) -> int:
    return sum(len(each.attempts) for each in evidence.accounts)


def _edits(evidence: Evidence) -> int:
    return len(evidence.accounts)


def _amounts(evidence: Evidence) -> int:
    return sum(1 for row in evidence.rows for _ in charges.amounts(row))


def _logical_edits(evidence: Evidence) -> int:
    return len(charges.logical_edits(evidence.accounts))


_every = _rows(*RowKind)
_ends = _rows(RowKind.CLOSE, RowKind.CORRECT)

INVARIANTS: tuple[Invariant, ...] = (
    Invariant("M1", "An edit is paid once", charges.paid_once, _logical_edits, ("bill",)),
    Invariant("M2", "The bill and the ledger agree", charges.bill_matches, _attempts, ("bill",)),
    Invariant("M3", "Spent and held stay within every cap", holds.within_caps, holds.cap_steps, ("caps",)),
    Invariant("M4", "What is held is what is open", holds.holds_add_up, _edits, ("store",)),
    Invariant("M5", "Rows are written once and stay", steps.written_once, _every),
    Invariant("M6", "Amounts are whole micro-dollars", charges.whole_amounts, _amounts),
    Invariant("M7", "Hold, intent, post, settle, show", steps.in_order, _every, ("store",)),
    Invariant("M8", "No new attempt beside an unknown one", steps.one_at_a_time, _rows(RowKind.OPEN)),
    Invariant("M9", "Settled or released, never both", holds.ended_once, _ends, ("store",)),
    Invariant("M10", "States only move forward", steps.forward_only, _rows(RowKind.FINISH), ("store",)),
    Invariant("M11", "Unresolved money stays held", holds.unresolved_held, holds.unresolved_attempts),
    Invariant("M12", "Within the quote, or an overrun", charges.within_quote, _ends),
)


def audit(
    rows: Iterable[Row], store: StoreSnapshot | None = None, bill: Bill | None = None, caps: Sequence[Cap] = ()
) -> Report:
    """The twelve findings. `rows` come in the order in which their steps took effect; a row given twice counts once."""
    until = store.place if store else None
    given = tuple(row for row in rows if until is None or row.place <= until)
    evidence = Evidence(rows=given, accounts=accounts(_once(given)), store=store, bill=bill, caps=tuple(caps))
    return Report(
        findings=tuple(_finding(invariant, evidence) for invariant in INVARIANTS),
        rows=len(given),
        edits=len(evidence.accounts),
        spent_micro=sum(each.spent_micro for each in evidence.accounts),
        held_micro=sum(each.held_micro for each in evidence.accounts),
        unresolved=holds.unresolved_attempts(evidence),
    )


def _finding(invariant: Invariant, evidence: Evidence) -> Finding:
    given = {"bill": evidence.bill is not None, "caps": bool(evidence.caps), "store": evidence.store is not None}
    return Finding(
        invariant=invariant.name,
        title=invariant.title,
        checked=invariant.count(evidence),
        not_given=tuple(name for name in invariant.wants if not given[name]),
        violations=tuple(Violation(invariant.name, about, what) for about, what in invariant.judge(evidence)),
    )


def _once(rows: Iterable[Row]) -> Iterator[Row]:
    seen: set[str] = set()
    for row in rows:
        if row.id not in seen:
            seen.add(row.id)
            yield row
