"""The audit finds nothing in what the steps can tell, and each invariant's breach in what they cannot."""

from collections.abc import Callable

import pytest
from hypothesis import given
from msgspec.structs import replace

from gateway.ledger.audit import INVARIANTS, Report, audit
from gateway.ledger.evidence import Bill, Cap, Charge, StoredAttempt, StoredEdit, StoredWindow, StoreSnapshot
from gateway.ledger.rows import Mark, Row, RowKind
from tests.ledger.histories import History
from tests.ledger.random_histories import histories

BILLED = frozenset({"runware", "runflow"})


def bill_of(history: History) -> Bill:
    """What providers who charge as we were told would have billed."""
    paid = [one for told in history.edits for one in told.tries if one.cost]
    lines = tuple(Charge(provider=one.offer.split("/")[0], key=one.id, amount_micro=one.cost) for one in paid)
    return Bill(providers=BILLED, charges=lines)


def store_of(history: History) -> StoreSnapshot:
    """What the store would hold beside these rows."""
    spent, held = history.budgets()
    states = {"open": "accepted"}
    edits = tuple(
        StoredEdit(
            id=told.edit, status=told.status or "running", held_micro=told.held,
            attempts=tuple(
                StoredAttempt(number=one.number, state=states.get(one.state, one.state), opened_ms=5, posted_ms=5)
                for one in told.tries
            ),
        )
        for told in history.edits
    )  # fmt: skip
    windows = tuple(StoredWindow(*key, spent[key], held[key]) for key in spent)
    return StoreSnapshot(windows=windows, edits=edits)


def caps_of(history: History) -> list[Cap]:
    """The tightest that every step of the history stayed within, overruns and late truth left out."""
    most: dict[str, int] = {}
    total: dict[str, int] = {}
    held: dict[str, int] = {}
    for row in history.rows:
        charged = (row.settled_micro or 0) if row.kind in (RowKind.CLOSE, RowKind.CORRECT) else 0
        for scope in ("gateway", f"team:{row.team}"):
            total[scope] = total.get(scope, 0) + row.held_micro - held.get(row.edit, 0) + charged
            if row.kind in (RowKind.ACCEPT, RowKind.OPEN):
                most[scope] = max(most.get(scope, 0), total[scope])
        held[row.edit] = row.held_micro
    return [Cap(scope=scope, period="total", micro=micro) for scope, micro in most.items()]


def names(report: Report) -> set[str]:
    return {violation.invariant for violation in report.violations}


@given(histories())
def test_a_history_that_the_steps_allow_is_clean(history: History) -> None:
    report = audit(history.rows, store_of(history), bill_of(history), caps_of(history))
    assert report.violations == ()
    assert report.spent_micro == sum(told.spent for told in history.edits)
    assert report.held_micro == sum(told.held for told in history.edits)


def plain() -> History:
    """A little of everything, and nothing wrong: two plain edits, a failover after a loss, one unresolved, one open."""
    history = History()
    history.done(key_hash="k1")
    history.done(50_000)
    told = history.edit().accept(80_000).open(40_000).close("settled", 40_000, failure="bad_picture")
    told.open(80_000, "runflow/kontext-max").close("settled").finish("succeeded")
    history.edit("studio", "web").accept(40_000).open(40_000).close("unresolved").finish("unresolved")
    history.edit().accept(40_000).open(40_000)
    return history


def test_a_plain_history_is_clean_and_counted() -> None:
    history = plain()
    report = audit(history.rows, store_of(history), bill_of(history), caps_of(history))
    assert report.violations == ()
    assert [finding.invariant for finding in report.findings] == [f"M{number}" for number in range(1, 13)]
    assert {finding.invariant: finding.checked for finding in report.findings} == {
        "M1": 5, "M2": 6, "M3": 20, "M4": 5, "M5": 20, "M6": _amounts(history), "M7": 20, "M8": 6, "M9": 5, "M10": 4,
        "M11": 1, "M12": 5,
    }  # fmt: skip
    assert (report.rows, report.edits, report.unresolved) == (20, 5, 1)


def _amounts(history: History) -> int:
    fields = ("held_micro", "overrun_micro", "quoted_micro", "settled_micro")
    return sum(getattr(row, name) is not None for row in history.rows for name in fields)


def test_what_was_not_given_is_said() -> None:
    found = {finding.invariant: finding.not_given for finding in audit(plain().rows).findings}
    assert found["M1"] == found["M2"] == ("bill",)
    assert found["M3"] == ("caps",)
    assert found["M4"] == ("store",)
    assert found["M5"] == ()


# --- negative controls: each breaks one invariant ---------------------------------------------------------------------

Breach = Callable[[History], Report]


def bought_twice(history: History) -> Report:
    told = history.edit().accept(80_000).open(40_000).close("settled")
    told.open(40_000).close("settled").finish("succeeded")
    return audit(history.rows)


def bought_twice_under_one_key(history: History) -> Report:
    history.done(key_hash="k1")
    return audit(history.rows)


def billed_twice(history: History) -> Report:
    bill = bill_of(history)
    return audit(history.rows, bill=replace(bill, charges=(*bill.charges, bill.charges[0])))


def billed_for_nothing_of_ours(history: History) -> Report:
    bill = bill_of(history)
    stranger = Charge(provider="runware", key="e" * 32, amount_micro=40_000)
    return audit(history.rows, bill=replace(bill, charges=(*bill.charges, stranger)))


def not_billed(history: History) -> Report:
    bill = bill_of(history)
    return audit(history.rows, bill=replace(bill, charges=bill.charges[1:]))


def billed_otherwise(history: History) -> Report:
    bill = bill_of(history)
    first = replace(bill.charges[0], amount_micro=39_999)
    return audit(history.rows, bill=replace(bill, charges=(first, *bill.charges[1:])))


def billed_and_released(history: History) -> Report:
    told = history.edit().accept(40_000).open(40_000).close("released").finish("failed")
    bill = bill_of(history)
    line = Charge(provider="runware", key=told.tries[0].id, amount_micro=40_000)
    return audit(history.rows, bill=replace(bill, charges=(*bill.charges, line)))


def one_id_twice(history: History) -> Report:
    rows = [replace(row, attempt_id="f" * 32) if row.attempt_id else row for row in history.rows]
    return audit(rows)


def sums_differ(history: History) -> Report:
    return audit(edited(history, lambda row: row.kind is RowKind.FINISH, settled_micro=1))


def over_a_cap(history: History) -> Report:
    cap = Cap(scope="team:growth", period="day", micro=89_999)
    return audit(history.rows, caps=[cap])


def held_after_the_end(history: History) -> Report:
    return audit(edited(history, lambda row: row.outcome == "succeeded", held_micro=1))


def store_counts_otherwise(history: History) -> Report:
    store = store_of(history)
    assert store.windows
    first = replace(store.windows[0], held_micro=store.windows[0].held_micro + 1)
    return audit(history.rows, replace(store, windows=(first, *store.windows[1:])))


def store_lost_a_window(history: History) -> Report:
    return audit(history.rows, replace(store_of(history), windows=()))


def store_holds_otherwise(history: History) -> Report:
    return audit(history.rows, store_with(history, -1, held_micro=0))


def store_has_a_stranger(history: History) -> Report:
    store = store_of(history)
    return audit(history.rows, replace(store, edits=(*(store.edits or ()), StoredEdit(id="x", status="running"))))


def store_lost_an_edit(history: History) -> Report:
    store = store_of(history)
    return audit(history.rows, replace(store, edits=(store.edits or ())[:-1]))


def written_otherwise(history: History) -> Report:
    return audit([*history.rows, replace(history.rows[0], held_micro=1)])


def told_twice(history: History) -> Report:
    return audit([history.rows[0], *edited(history, lambda row: row is history.rows[0], id="edit_0000/again")])


def named_for_another(history: History) -> Report:
    return audit(edited(history, lambda row: row.id == "edit_0000/accept", id="edit_9999/accept"))


def of_another_team(history: History) -> Report:
    return audit(edited(history, lambda row: row.kind is RowKind.CLOSE, team="studio"))


def a_float(history: History) -> Report:
    return audit(
        edited(history, lambda row: row.kind is RowKind.CLOSE and row.settled_micro == 50_000, settled_micro=5e4 + 0.5)
    )


def billed_in_floats(history: History) -> Report:
    bill = bill_of(history)
    first = replace(bill.charges[0], amount_micro=4e4)
    return audit(history.rows, bill=replace(bill, charges=(first, *bill.charges[1:])))


def less_than_nothing(history: History) -> Report:
    return audit(edited(history, lambda row: row.kind is RowKind.OPEN, quoted_micro=-1))


def no_hold(history: History) -> Report:
    return audit(history.rows[1:])


def opened_beyond_its_hold(history: History) -> Report:
    return audit(edited(history, lambda row: row.kind is RowKind.OPEN, held_micro=1))


def never_opened(history: History) -> Report:
    return audit([row for row in history.rows if row.kind is not RowKind.OPEN])


def shown_before_settled(history: History) -> Report:
    history.edit().accept(40_000).open(40_000).close("released").finish("succeeded")
    return audit(history.rows)


def ended_while_open(history: History) -> Report:
    history.edit().accept(40_000).open(40_000).finish("failed")
    return audit(history.rows)


def posted_before_intent(history: History) -> Report:
    early = StoredAttempt(number=1, state="settled", opened_ms=5, posted_ms=4)
    return audit(history.rows, store_with(history, 0, attempts=(early,)))


def opened_beside_an_unknown(history: History) -> Report:
    told = history.edit().accept(80_000).open(40_000).close("unresolved")
    told.open(40_000).close("settled").finish("succeeded")
    return audit(history.rows)


def opened_beside_an_open_one(history: History) -> Report:
    history.edit().accept(80_000).open(40_000).open(40_000, mark=Mark.ACCEPT_RISK)
    return audit(history.rows)


def released_after_settled(history: History) -> Report:
    close = next(row for row in history.rows if row.kind is RowKind.CLOSE)
    again = replace(close, id=f"{close.edit}/1/again", settled_micro=None, outcome="released")
    at = history.rows.index(close) + 1
    return audit([*history.rows[:at], again, *history.rows[at:]])


def resolved_after_settled(history: History) -> Report:
    history.edits[0].resolve(1, "released")
    return audit(history.rows)


def corrected_while_open(history: History) -> Report:
    history.edits[-1].correct(1, 1)
    return audit(history.rows)


def store_released_it(history: History) -> Report:
    return audit(history.rows, store_with(history, 0, attempts=(StoredAttempt(number=1, state="released"),)))


def back_to_life(history: History) -> Report:
    history.edits[0].finish("failed")
    return audit(history.rows)


def no_such_status(history: History) -> Report:
    history.edit().accept(1).finish("running")
    return audit(history.rows)


def status_differs(history: History) -> Report:
    return audit(history.rows, store_with(history, 0, status="failed"))


def unresolved_let_go(history: History) -> Report:
    return audit(edited(history, lambda row: row.outcome == "unresolved", held_micro=0))


def resolved_by_nobody(history: History) -> Report:
    history.edits[3].resolve(1, "released")
    return audit(edited(history, lambda row: row.kind is RowKind.CORRECT, note=None))


def dearer_than_quoted(history: History) -> Report:
    history.edit().accept(40_000).open(40_000).close("settled", 40_001).finish("succeeded")
    return audit(edited(history, lambda row: row.overrun_micro > 0, overrun_micro=0))


def edited(history: History, which: Callable[[Row], bool], **fields: object) -> list[Row]:
    changed = [replace(row, **fields) if which(row) else row for row in history.rows]
    assert repr(changed) != repr(history.rows)  # a float equals its integer
    return changed


def store_with(history: History, number: int, **fields: object) -> StoreSnapshot:
    store = store_of(history)
    edits = list(store.edits or ())
    edits[number] = replace(edits[number], **fields)
    return replace(store, edits=tuple(edits))


BREACHES: dict[str, tuple[Breach, ...]] = {
    "M1": (bought_twice, bought_twice_under_one_key, billed_twice),
    "M2": (billed_twice, billed_for_nothing_of_ours, not_billed, billed_otherwise, billed_and_released, one_id_twice,
           sums_differ),
    "M3": (over_a_cap,),
    "M4": (held_after_the_end, store_counts_otherwise, store_lost_a_window, store_holds_otherwise, store_has_a_stranger,
           store_lost_an_edit),
    "M5": (written_otherwise, told_twice, named_for_another, of_another_team),
    "M6": (a_float, billed_in_floats, less_than_nothing),
    "M7": (no_hold, opened_beyond_its_hold, never_opened, shown_before_settled, ended_while_open, posted_before_intent),
    "M8": (opened_beside_an_unknown, opened_beside_an_open_one),
    "M9": (released_after_settled, resolved_after_settled, corrected_while_open, store_released_it),
    "M10": (back_to_life, no_such_status, status_differs),
    "M11": (unresolved_let_go, resolved_by_nobody),
    "M12": (dearer_than_quoted,),
}  # fmt: skip


def test_every_invariant_has_a_negative_control() -> None:
    assert list(BREACHES) == [invariant.name for invariant in INVARIANTS]


@pytest.mark.parametrize(
    ("invariant", "breach"),
    [(name, breach) for name, breaches in BREACHES.items() for breach in breaches],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_finds_the_breach(invariant: str, breach: Breach) -> None:
    assert invariant in names(breach(plain()))


# --- what looks like a breach and is none -----------------------------------------------------------------------------


def test_a_marked_second_charge_is_no_breach() -> None:
    history = History()
    told = history.edit().accept(80_000).open(40_000).close("unresolved")
    told.open(40_000, mark=Mark.ACCEPT_RISK).close("settled").finish("succeeded").resolve(1, "settled")
    late = history.edit().accept(40_000).open(40_000).close("released").finish("failed")
    late.correct(1, 40_000, mark=Mark.DUPLICATE_CHARGE)
    assert names(audit(history.rows, store_of(history), bill_of(history))) == set()


def test_a_key_may_be_used_again_a_day_after_the_end() -> None:
    history = History()
    history.done(key_hash="k")
    history.now_ms += 24 * 3600 * 1000
    history.done(key_hash="k")
    assert names(audit(history.rows)) == set()


def test_a_cap_judges_neither_what_was_before_it_nor_what_could_not_be_refused() -> None:
    history = History()
    history.done(90_000)
    lowered = Cap(scope="gateway", period="total", micro=100_000, since_ms=history.now_ms + 1)
    told = history.edit().accept(10_000).open(10_000)
    assert names(audit(history.rows, caps=[lowered])) == set()
    told.close("settled", 20_000).finish("succeeded")  # dearer than it said
    assert names(audit(history.rows, caps=[lowered])) == set()
    history.edit().accept(1)
    assert names(audit(history.rows, caps=[lowered])) == {"M3"}


def test_a_restored_store_holds_as_unresolved_what_was_open() -> None:
    history = History()
    told = history.edit().accept(40_000).open(40_000)
    lost = StoredAttempt(number=1, state="unresolved")
    store = store_with(history, 0, status="unresolved", is_restored=True, attempts=(lost,))
    assert names(audit(history.rows, store)) == set()
    not_restored = store_with(history, 0, status="unresolved", attempts=(lost,))
    assert names(audit(history.rows, not_restored)) == {"M9", "M10"}
    told.resolve(1, "settled").finish("succeeded")
    assert names(audit(history.rows)) == set()


def test_rows_after_the_snapshot_are_left_out() -> None:
    history = plain()
    store = replace(store_of(history), place=history.rows[-1].place)
    history.edits[-1].close("settled").finish("succeeded")
    assert names(audit(history.rows, store)) == set()
    assert "M4" in names(audit(history.rows, replace(store, place=None)))


def test_a_bill_writes_our_ids_in_its_own_shape() -> None:
    history = History()
    told = history.done()
    told.tries[0].id = "6f9619ff-8b86-4011-b42d-00cf4fc964ff"
    rows = edited(history, lambda row: row.attempt is not None, attempt_id="6f9619ff8b86d011f42d00cf4fc964ff")
    assert names(audit(rows, bill=bill_of(history))) == set()
