"""What of a ledger goes back into a lost store."""

from msgspec.structs import replace

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
