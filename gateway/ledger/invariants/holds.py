"""What is held: never beyond a cap (M3), exactly what is open (M4), given back or spent and never both (M9), and kept
while nobody knows (M11)."""

from collections import Counter, defaultdict
from datetime import date

from gateway.clock import iso
from gateway.ledger.accounts import Account, Attempts, Standing, charge, overrun, walk
from gateway.ledger.evidence import Cap, Evidence, StoredEdit, StoreSnapshot
from gateway.ledger.invariants.charges import Words, dollars
from gateway.ledger.restore import Windows
from gateway.ledger.rows import Row, RowKind

_ENDS = (Standing.SETTLED, Standing.RELEASED)


def within_caps(evidence: Evidence) -> Words:
    """M3, for every prefix of the rows. A step that adds nothing but an overrun may stand above a cap: the cap was
    lowered meanwhile, or the provider charged more than it said, and neither could be refused."""
    caps: dict[str, list[Cap]] = defaultdict(list)
    for cap in evidence.caps:
        caps[cap.scope].append(cap)
    by_edit = {each.edit: each for each in evidence.accounts}
    seen, held, totals = set[str](), Counter[str](), Counter[tuple[str, str]]()
    for row in evidence.rows:
        if row.id in seen:
            continue
        seen.add(row.id)
        growth = row.held_micro - held[row.edit] + charge(row)
        held[row.edit] = row.held_micro
        each = by_edit[row.edit]
        for cap in (cap for scope in each.scopes for cap in caps[scope]):
            yield from _within(cap, each.day, row, growth, totals)


def _within(cap: Cap, day: date, row: Row, growth: int, totals: Counter[tuple[str, str]]) -> Words:
    window = cap.window(day)
    key = (cap.scope, window)
    totals[key] += growth
    if growth > overrun(row) and row.at_ms >= cap.since_ms and totals[key] > cap.micro:
        where = f"{cap.scope} {window}"
        yield where, f"stood at {dollars(totals[key])} of {dollars(cap.micro)} after {row.id} at {iso(row.at_ms)}"


def cap_steps(evidence: Evidence) -> int:
    """How many steps stand under a cap."""
    scopes = {cap.scope for cap in evidence.caps}
    return sum(len(each.rows) for each in evidence.accounts if scopes & set(each.scopes))


def holds_add_up(evidence: Evidence) -> Words:
    """M4. An edit that ended holds what is unresolved and nothing else; the store counts the same as the rows."""
    for each in evidence.accounts:
        unresolved = _unresolved_micro(each)
        if each.outcome is not None and each.held_micro > unresolved:
            held = f"holds {dollars(each.held_micro)}, of which {dollars(unresolved)} is unresolved"
            yield each.edit, f"ended as {each.outcome} and {held}"
    if evidence.store:
        yield from _windows_agree(evidence, evidence.store)
        yield from _edits_agree(evidence, evidence.store)


def _unresolved_micro(each: Account) -> int:
    return sum(one.quoted_micro for one in each.attempts if one.standing is Standing.UNRESOLVED)


def _windows_agree(evidence: Evidence, store: StoreSnapshot) -> Words:
    """The store forgets windows that are over; those in which something is held it must have."""
    if store.windows is None:
        return
    ours = Windows()
    for each in evidence.accounts:
        ours.add(each.scopes, each.day, each.spent_micro, each.held_micro)
    theirs = {(one.scope, one.window): one for one in store.windows}
    for scope, window in sorted(ours.held.keys() | theirs.keys()):
        key, there = (scope, window), theirs.get((scope, window))
        if there is None and not ours.held[key]:
            continue
        found = (there.spent_micro, there.held_micro) if there else (0, 0)
        if found != (ours.spent[key], ours.held[key]):
            rows = f"the ledger {dollars(ours.spent[key])} spent and {dollars(ours.held[key])} held"
            yield f"{scope} {window}", f"the store has {dollars(found[0])} spent and {dollars(found[1])} held, {rows}"


def _edits_agree(evidence: Evidence, store: StoreSnapshot) -> Words:
    if store.edits is None:
        return
    ours = {each.edit: each for each in evidence.accounts}
    theirs = {one.id: one for one in store.edits}
    for name, there in theirs.items():
        held = ours[name].held_micro if name in ours else 0
        if name not in ours:
            yield name, "is in the store and has no row in the ledger"
        elif there.held_micro != held:
            yield name, f"holds {dollars(there.held_micro)} in the store and {dollars(held)} in the ledger"
    for name in ours.keys() - theirs.keys():
        if ours[name].held_micro:
            yield name, f"holds {dollars(ours[name].held_micro)} in the ledger and is not in the store"


def ended_once(evidence: Evidence) -> Words:
    """M9. What is settled is not released, what is released is not settled; late truth is a correction beside it."""
    stored = {one.id: one for one in (evidence.store.edits if evidence.store else None) or ()}
    for each in evidence.accounts:
        for row, before, after in walk(each.rows):
            yield from _second_end(row, before, after)
        if each.edit in stored:
            yield from _standings_agree(each, stored[each.edit])


def _second_end(row: Row, before: Attempts, after: Attempts) -> Words:
    if row.attempt is None or row.attempt not in before:
        return
    was, now = before[row.attempt].standing, after[row.attempt].standing
    if row.kind is RowKind.CLOSE and was in _ENDS:
        yield row.id, f"closes an attempt as {now} that was {was} already"
    if row.kind is RowKind.CORRECT and was is Standing.OPEN and row.outcome is None:
        yield row.id, "corrects an attempt that is still open"
    if row.kind is RowKind.CORRECT and was in _ENDS and row.outcome is not None:
        yield row.id, f"ends an attempt as {row.outcome} that was {was}; what had ended is corrected by an amount alone"


def _standings_agree(each: Account, there: StoredEdit) -> Words:
    ours = {one.number: one for one in each.attempts}
    for one in there.attempts:
        here = ours[one.number].standing if one.number in ours else None
        stored = one.state if one.state in (*_ENDS, Standing.UNRESOLVED) else Standing.OPEN
        was_lost = there.is_restored and (here, stored) == (Standing.OPEN, Standing.UNRESOLVED)
        if here != stored and not was_lost:
            yield f"{each.edit}/{one.number}", f"is {one.state} in the store and {here or 'unknown'} in the ledger"


def unresolved_held(evidence: Evidence) -> Words:
    """M11. After every step; and what ends it is the word of a provider or of a person."""
    for each in evidence.accounts:
        for row, before, after in walk(each.rows):
            needed = sum(one.quoted_micro for one in after.values() if one.standing is Standing.UNRESOLVED)
            if row.held_micro < needed:
                yield row.id, f"leaves {dollars(row.held_micro)} held, and {dollars(needed)} is unresolved"
            if row.kind is RowKind.CORRECT and _was_unresolved(row, before) and not (row.source or row.note):
                yield row.id, "ends an unresolved attempt without saying on whose word (source, note)"


def _was_unresolved(row: Row, before: Attempts) -> bool:
    return any(one.number == row.attempt and one.standing is Standing.UNRESOLVED for one in before.values())


def unresolved_attempts(evidence: Evidence) -> int:
    return sum(one.standing is Standing.UNRESOLVED for each in evidence.accounts for one in each.attempts)
