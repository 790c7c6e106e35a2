"""What of a ledger goes back into a lost store."""

from msgspec.structs import replace

from adapters.contract import FailureKind
from gateway.cli.audit import budget_caps
from gateway.configuration import load
from gateway.ledger.evidence import Cap
from gateway.ledger.restore import restore
from gateway.ledger.rows import RowKind
from gateway.restoration import known_keys, lost_edits
from gateway.state.records import AttemptState, Status
from tests.end_to_end.stage import today
from tests.ledger.histories import MAX, History


def accepts(history: History):
    return {row.edit: row for row in history.rows if row.kind is RowKind.ACCEPT}


def test_an_edit_under_way_comes_back_with_what_its_rows_still_say() -> None:
    history = History()
    history.done()
    told = history.edit().accept(50_000, tags={"campaign": "spring"}, key_hash="k")
    told.open(40_000, MAX)
    found = restore(history.rows, history.now_ms)
    accepted = {edit: replace(row, pictures=2) for edit, row in accepts(history).items()}
    (lost,) = lost_edits(found, accepted)
    record = lost.record
    assert (record.status, record.revision, record.wish.metadata) == (
        Status.UNRESOLVED,
        "restored",
        {"campaign": "spring"},
    )
    assert (record.edit.n, record.edit.images, record.edit.prompt) == (2, (), "")
    (attempt,) = record.attempts
    assert (attempt.state, attempt.price_micro, attempt.offer) == (AttemptState.UNRESOLVED, 40_000, MAX)
    assert (lost.held_micro, lost.key_hash) == (50_000, "k")
    assert [key.edit for key in known_keys(found)] == [record.id]


def test_attempts_come_back_under_their_own_numbers_and_as_they_ended() -> None:
    history = History()
    told = history.edit().accept(80_000).open(40_000).close("settled", 41_000, failure="bad_picture").open(40_000)
    found = restore(history.rows, history.now_ms)
    (lost,) = lost_edits(found, accepts(history))
    first, second = lost.record.attempts
    assert (first.number, first.state, first.failure) == (1, AttemptState.SETTLED, FailureKind.BAD_PICTURE)
    assert (first.cost_micro, first.cost_source, first.id) == (41_000, "provider", told.tries[0].id)
    assert (second.number, second.state, second.id) == (2, AttemptState.UNRESOLVED, told.tries[1].id)
    assert lost.spent_micro == 41_000


def test_an_edit_that_had_ended_keeps_its_end_beside_its_duplicate() -> None:
    history = History()
    history.edit().accept(80_000).open(40_000).close("unresolved").open(40_000, MAX).close("settled").finish(
        "succeeded"
    )
    found = restore(history.rows, history.now_ms)
    (lost,) = lost_edits(found, accepts(history))
    assert (lost.record.status, lost.record.finished_ms) == (Status.SUCCEEDED, history.now_ms)
    assert lost.record.end is not None
    assert (lost.record.end.offer, lost.record.end.cost_micro, lost.record.end.images) == (MAX, 40_000, ())
    assert [one.state for one in lost.record.attempts] == [AttemptState.UNRESOLVED, AttemptState.SETTLED]


def test_an_edit_without_an_open_attempt_comes_back_without_one() -> None:
    """Nothing of it was sent, unless an attempt's row was lost with the store: nobody knows, and no row makes it up."""
    history = History()
    history.edit().accept(50_000)
    history.edit().accept(80_000).open(40_000).close("released", failure="busy")
    lost = lost_edits(restore(history.rows, history.now_ms), accepts(history))
    assert [(one.held_micro, len(one.record.attempts)) for one in lost] == [(50_000, 0), (80_000, 1)]
    assert {one.record.status for one in lost} == {Status.UNRESOLVED}


def test_an_edit_that_held_nothing_is_gone_and_its_key_free() -> None:
    history = History()
    history.edit().accept(0, key_hash="k").open(0)
    found = restore(history.rows, history.now_ms)
    assert lost_edits(found, accepts(history)) == []
    assert known_keys(found) == []


def test_every_budget_of_a_configuration_is_a_cap(tmp_path) -> None:
    file = tmp_path / "kontext.toml"
    file.write_text(
        """
[providers.local]
[budget]
month_usd = "5.00"
[policies.preview]
tier = "preview"
offers = ["local/preview"]
[teams.growth]
policy = "preview"
budget = { day_usd = "0.10", total_usd = "1.00" }
[[teams.growth.keys]]
id = "ci"
hash = "sha256:%s"
budget = { total_usd = "0.05" }
"""
        % ("0" * 64)
    )
    assert budget_caps(load(file, {}, today()), 7) == (
        Cap(scope="gateway", period="month", micro=5_000_000, since_ms=7),
        Cap(scope="team:growth", period="day", micro=100_000, since_ms=7),
        Cap(scope="team:growth", period="total", micro=1_000_000, since_ms=7),
        Cap(scope="key:growth/ci", period="total", micro=50_000, since_ms=7),
    )
