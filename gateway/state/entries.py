"""What the books are told of each step: pure functions from the records to a ledger row.

The step itself adds what only it knows: the time, what the edit holds after it, and at the end what it spent in all.
"""

from msgspec.structs import replace

from gateway.ledger.rows import HEDGE_LOST, Mark, Row, RowKind
from gateway.state.claims import Claim
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End


def accept_row(record: EditRecord, claim: Claim | None) -> Row:
    return replace(
        _row(RowKind.ACCEPT, "accept", record),
        tier=record.plan.tier.value,
        policy=record.wish.policy,
        pictures=record.edit.n,
        key_hash=claim.key_hash if claim else None,
        fingerprint=claim.fingerprint if claim else None,
        origin=record.origin,
        tags=record.wish.metadata,
    )


def open_row(record: EditRecord, attempt: AttemptRecord) -> Row:
    """Marked where it is opened beside an attempt that still runs (the team bought a second one), or that is unresolved
    (the risk of paying twice is the team's own choice)."""
    row = _of_attempt(RowKind.OPEN, f"{attempt.number}/open", record, attempt)
    at_risk = any(earlier.state is AttemptState.UNRESOLVED for earlier in record.attempts)
    mark = Mark.HEDGE if attempt.beside is not None else Mark.ACCEPT_RISK if at_risk else None
    return replace(row, quoted_micro=attempt.price_micro, pictures=attempt.pictures, mark=mark)


def close_row(record: EditRecord, attempt: AttemptRecord) -> Row:
    return _closing(RowKind.CLOSE, f"{attempt.number}/close", record, attempt)


def finish_row(record: EditRecord, end: End) -> Row:
    """One for each end: an unresolved edit ends twice."""
    row = _row(RowKind.FINISH, f"finish/{end.status}", record)
    return replace(row, offer=end.offer, outcome=end.status.value, pictures=len(end.images))


def release_row(record: EditRecord, end: End, note: str) -> Row:
    return replace(finish_row(record, end), note=note)


def undo_row(record: EditRecord) -> Row:
    """The acceptance was not confirmed by enough replicas of the store: the edit never was."""
    return replace(_row(RowKind.FINISH, "finish/undone", record), outcome="undone", pictures=0)


def resolve_row(record: EditRecord, attempt: AttemptRecord, operation: str, note: str) -> Row:
    return replace(_closing(RowKind.CORRECT, f"correct/{operation}", record, attempt), note=note)


def correct_row(
    record: EditRecord,
    attempt: AttemptRecord,
    difference_micro: int,
    operation: str,
    source: str,
    note: str,
    mark: Mark | None,
) -> Row:
    row = _of_attempt(RowKind.CORRECT, f"correct/{operation}", record, attempt)
    return replace(row, settled_micro=difference_micro, source=source, note=note, mark=mark)


def _row(kind: RowKind, tells: str, record: EditRecord) -> Row:
    return Row(id=f"{record.id}/{tells}", kind=kind, edit=record.id, team=record.team, key_id=record.key_id)


def _of_attempt(kind: RowKind, tells: str, record: EditRecord, attempt: AttemptRecord) -> Row:
    row = _row(kind, tells, record)
    return replace(row, attempt=attempt.number, attempt_id=attempt.id, offer=attempt.offer)


def _closing(kind: RowKind, tells: str, record: EditRecord, attempt: AttemptRecord) -> Row:
    return replace(
        _of_attempt(kind, tells, record, attempt),
        settled_micro=attempt.charged_micro,
        overrun_micro=attempt.overrun_micro,
        source=attempt.cost_source,
        outcome=outcome(attempt),
        pictures=attempt.pictures,
    )


def outcome(attempt: AttemptRecord) -> str:
    if attempt.state is AttemptState.UNRESOLVED:
        return attempt.state.value
    if attempt.failure is not None:
        return attempt.failure.value
    if attempt.lost:
        return HEDGE_LOST
    return "done" if attempt.state is AttemptState.SETTLED else attempt.state.value
