"""What was done, and in which order: each row once and for good (M5), the hold before the attempt and its end before
the edit's (M7), no new attempt beside an unknown one (M8), states forward only (M10)."""

from collections.abc import Iterator

from gateway.ledger.accounts import SUCCEEDED, UNDONE, UNRESOLVED, Account, Attempts, Standing, walk
from gateway.ledger.evidence import Evidence, StoredEdit
from gateway.ledger.invariants.charges import Words, dollars
from gateway.ledger.rows import Mark, Row, RowKind

_TERMINAL = ("succeeded", "failed", "refused", "cancelled", UNDONE)
_ALLOWS: dict[Standing, tuple[Mark, ...]] = {
    Standing.OPEN: (Mark.HEDGE,),
    Standing.UNRESOLVED: (Mark.ACCEPT_RISK, Mark.HEDGE),
}


def written_once(evidence: Evidence) -> Words:
    """M5. The books refuse changes themselves; left to see is one operation under two names, or two under one."""
    by_id: dict[str, Row] = {}
    by_step: dict[tuple[str, RowKind, int | None], str] = {}
    for row in evidence.rows:
        if by_id.setdefault(row.id, row) != row:
            yield row.id, "is written twice, and not alike"
        elif row.kind in (RowKind.ACCEPT, RowKind.OPEN):
            step = (row.edit, row.kind, row.attempt)
            if by_step.setdefault(step, row.id) != row.id:
                yield row.id, f"tells once more what {by_step[step]} tells"
    for each in evidence.accounts:
        for row in each.rows:
            if not row.id.startswith(f"{row.edit}/"):
                yield row.id, f"is not named for its edit {row.edit}"
            if (row.team, row.key_id) != (each.team, each.key_id):
                yield row.id, f"belongs to {row.team}/{row.key_id}, its edit to {each.team}/{each.key_id}"


def in_order(evidence: Evidence) -> Words:
    """M7."""
    stored = {one.id: one for one in (evidence.store.edits if evidence.store else None) or ()}
    for each in evidence.accounts:
        if each.rows[0].kind is not RowKind.ACCEPT:
            yield each.edit, f"begins with {each.rows[0].kind} and without a hold"
        for row, before, _ in walk(each.rows):
            for what in _out_of_order(row, before):
                yield row.id, what
        if each.edit in stored:
            yield from _posted_early(stored[each.edit])


def _out_of_order(row: Row, before: Attempts) -> Iterator[str]:
    if row.kind is RowKind.OPEN and row.held_micro < (row.quoted_micro or 0):
        yield f"opens an attempt of {dollars(row.quoted_micro or 0)} with {dollars(row.held_micro)} held"
    if row.kind in (RowKind.CLOSE, RowKind.CORRECT) and row.attempt not in before:
        yield "ends an attempt that was never opened"
    if row.kind is RowKind.FINISH and row.outcome != UNDONE:
        open_ones = [str(one.number) for one in before.values() if one.standing is Standing.OPEN]
        if open_ones:
            yield f"ends the edit while attempt {', '.join(open_ones)} is open"
        done = (one.is_done and one.standing is Standing.SETTLED for one in before.values())
        if row.outcome == SUCCEEDED and not any(done):
            yield "shows the edit as done before an attempt that made it is settled"


def _posted_early(there: StoredEdit) -> Words:
    for one in there.attempts:
        if (one.posted_ms and not one.opened_ms) or 0 < one.posted_ms < one.opened_ms:
            yield f"{there.id}/{one.number}", "was posted before its intent was written"


def one_at_a_time(evidence: Evidence) -> Words:
    """M8."""
    for each in evidence.accounts:
        for row, before, _ in walk(each.rows):
            if row.kind is not RowKind.OPEN:
                continue
            for older in before.values():
                if older.number != row.attempt and row.mark not in _ALLOWS.get(older.standing, (row.mark,)):
                    yield row.id, f"opens an attempt while attempt {older.number} is {older.standing}"


def forward_only(evidence: Evidence) -> Words:
    """M10."""
    stored = {one.id: one for one in (evidence.store.edits if evidence.store else None) or ()}
    for each in evidence.accounts:
        outcome: str | None = None
        for row in each.rows:
            if outcome in _TERMINAL and row.kind is not RowKind.CORRECT:
                yield row.id, f"comes after the edit ended as {outcome}"
            if row.kind is RowKind.FINISH:
                if row.outcome not in (*_TERMINAL, UNRESOLVED) or row.outcome == outcome == UNRESOLVED:
                    yield row.id, f"makes the edit {row.outcome} that was {outcome or 'running'}"
                outcome = row.outcome if outcome not in _TERMINAL else outcome
        if each.edit in stored:
            yield from _statuses_agree(each, stored[each.edit])


def _statuses_agree(each: Account, there: StoredEdit) -> Words:
    """A restored store holds as unresolved what had not ended when it was lost."""
    ended = there.status in (*_TERMINAL, UNRESOLVED)
    was_lost = there.is_restored and there.status == UNRESOLVED and each.outcome is None
    if (there.status if ended else None) != each.outcome and not was_lost:
        yield each.edit, f"is {there.status} in the store and {each.outcome or 'not ended'} in the ledger"
