"""Series and those who read them agree: nothing is decoration, and no panel or alert is dead."""

from tests.dashboards.rules import ALERTS, RECORDS, ROOT
from tests.dashboards.series import SUFFIXES, declared, families, read_somewhere


def test_every_series_is_read_by_a_panel_an_alert_or_a_runbook() -> None:
    runbooks = "".join(path.read_text("utf-8") for path in (ROOT / "docs" / "runbooks").glob("*.md"))
    read = read_somewhere()
    for family in families():
        names = {family.name + suffix for suffix in SUFFIXES[family.type]}
        seen = names & read or any(name in runbooks for name in names)
        hint = "give it a panel (grafana/*.py, then python -m grafana.build), an alert or a runbook, or take it out"
        assert seen or not family.name.startswith("kontext_"), f"nobody reads {family.name}: {hint}"


def test_every_query_reads_series_that_exist() -> None:
    known = declared().keys() | {record.name for record in RECORDS} | {"up"}
    assert read_somewhere() - known == set(), "renamed or taken out; change the panel or the rule with it"
    assert ALERTS
