"""What a lost store is given back is what the same history adds up to when it is counted otherwise."""

from hypothesis import given
from msgspec.structs import replace

from gateway.ledger.book import Book
from gateway.ledger.restore import KEYS_MS, restoration, restore
from tests.ledger.histories import History, first_ms
from tests.ledger.random_histories import histories


@given(histories())
def test_restores_what_the_model_counts(history: History) -> None:
    spent, held = history.budgets()
    now = restore(history.rows, history.now_ms)
    windows = {(one.scope, one.window): (one.spent_micro, one.held_micro) for one in now.spending}
    for key, found in windows.items():
        assert found == (spent[key], held[key])
    assert {key for key in held if held[key]} <= windows.keys()
    assert {key for key in spent if key[1] == "total" and spent[key]} <= windows.keys()
    assert sum(one.spent_micro for one in now.days) == sum(told.spent for told in history.edits)
    assert sum(one.held_micro for one in now.days) == sum(told.held for told in history.edits)


@given(histories())
def test_restores_every_edit_that_is_not_over(history: History) -> None:
    now = restore(history.rows, history.now_ms)
    open_edits = {one.edit: one for one in now.open_edits}
    unknown = {
        told.edit: [one.number for one in told.tries if one.state in ("open", "unresolved")] for told in history.edits
    }
    expected = {told.edit for told in history.edits if told.status in (None, "unresolved") or unknown[told.edit]}
    assert open_edits.keys() == expected
    for edit, one in open_edits.items():
        assert [attempt.number for attempt in one.unresolved] == unknown[edit]
        assert one.accepted_ms == first_ms(history.rows, edit)
    assert sum(one.held_micro for one in now.open_edits) == sum(told.held for told in history.edits)


def test_a_window_is_the_day_of_acceptance_whenever_the_money_moves() -> None:
    history = History()  # 22:00 on the last day of January
    told = history.edit().accept(40_000).open(40_000)
    history.now_ms += 3 * 3600 * 1000
    told.close("settled").finish("succeeded")
    history.edit().accept(7)
    windows = {(one.scope, one.window): one for one in restore(history.rows, history.now_ms).spending}
    assert windows["gateway", "total"].spent_micro == 40_000
    assert windows["gateway", "month:2027-02"].spent_micro == 0
    assert windows["gateway", "day:2027-02-01"].held_micro == 7
    assert ("gateway", "day:2027-01-31") not in windows  # it is over, and nothing is held in it


def test_keys_are_remembered_for_a_day_after_the_end() -> None:
    history = History()
    told = history.done(key_hash="k1")
    ended_ms = history.now_ms
    history.edit().accept(1, key_hash="k2")
    history.done()  # without a key
    keys = {key.key_hash: key for key in restore(history.rows, ended_ms + KEYS_MS - 1).keys}
    assert keys.keys() == {"k1", "k2"}
    assert (keys["k1"].edit, keys["k1"].until_ms) == (told.edit, ended_ms + KEYS_MS)
    assert keys["k2"].until_ms is None
    assert [key.key_hash for key in restore(history.rows, ended_ms + KEYS_MS).keys] == ["k2"]


def test_an_undone_edit_is_not_given_back() -> None:
    history = History()
    history.edit().accept(40_000, key_hash="k").open(40_000).finish("undone")
    found = restore(history.rows, history.now_ms)
    assert (found.keys, found.open_edits, found.spending) == ((), (), ())


def test_money_kept_for_a_duplicate_that_may_be_charged_comes_back_with_its_attempt() -> None:
    history = History()
    told = history.edit().accept(80_000).open(40_000).close("unresolved")
    told.open(40_000).close("settled").finish("succeeded")
    (found,) = restore(history.rows, history.now_ms).open_edits
    assert (found.outcome, found.held_micro) == ("succeeded", 40_000)
    assert [one.id for one in found.unresolved] == [told.tries[0].id]


def test_empty_books() -> None:
    found = restore([], 5)
    assert (found.rows, found.last_row_ms, found.age_ms) == (0, None, None)


async def test_the_books_give_the_same_as_rows_in_hand(book: Book) -> None:
    history = History()
    for _ in range(30):
        history.done(key_hash=None)
    history.edit("studio").accept(9, key_hash="k").open(9)
    shuffled = [*history.rows[1::2], *history.rows[::2]]
    await book.write([replace(row) for row in shuffled])
    found = await restoration(book, history.now_ms + 500)
    assert found == restore(history.rows, history.now_ms + 500)
    assert found.age_ms == 500
