"""Alerts, their unit tests, their routing, and a page for each that a person woken at three can follow."""

import os
import re
import shutil
import subprocess

import pytest
import yaml

from tests.dashboards.promql import metrics_of
from tests.dashboards.rules import ALERTS, RECORDS, ROOT, ROUTING, RULES, TESTS, Rule
from tests.dashboards.series import declared

RUNBOOKS = ROOT / "docs" / "runbooks"
HEADINGS = ("What it means", "What to look at", "What to do", "How to know it is over")
EVERY_ALERT = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)

prometheus = pytest.mark.prometheus
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool") and not os.environ.get("CI"), reason="needs Debian's prometheus and its alertmanager"
)


@EVERY_ALERT
def test_an_alert_names_its_runbook_and_how_urgent_it_is(alert: Rule) -> None:
    page = (ROOT / alert.runbook).read_text("utf-8")
    assert alert.runbook == f"docs/runbooks/{alert.name}.md"
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == list(HEADINGS)
    assert page.startswith(f"# {alert.name}\n\n*{alert.severity}* ")
    assert alert.severity in ("page", "ticket")
    assert alert.summary


def test_every_runbook_is_of_an_alert_and_in_the_index() -> None:
    index = (RUNBOOKS / "README.md").read_text("utf-8")
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {alert.name for alert in ALERTS}
    assert all(f"[{name}]({name}.md)" in index for name in pages)


def test_every_panel_that_a_runbook_names_is_on_its_dashboard() -> None:
    """A page that sends somebody to a panel which was renamed wastes their night."""
    from grafana.boards import BOARDS

    titles = {board.title.removeprefix("Kontext: "): {panel.title for panel in board.panels()} for board in BOARDS}
    for page in RUNBOOKS.glob("*.md"):
        for board, named in re.findall(r"\*([A-Z][a-z ]+)\*, \"([^\"]+)\"", page.read_text("utf-8")):
            assert named in titles[board.lower()], f"{page.name}: {board}, {named}"


@pytest.mark.parametrize("rule", (*ALERTS, *RECORDS), ids=lambda rule: rule.name)
def test_a_rule_reads_series_that_the_gateway_has(rule: Rule) -> None:
    known = declared().keys() | {record.name for record in RECORDS} | {"up"}
    assert metrics_of(rule.expr) <= known


def test_every_alert_has_a_unit_test_in_which_it_fires() -> None:
    cases = [
        case for test in yaml.safe_load(TESTS.read_text("utf-8"))["tests"] for case in test.get("alert_rule_test", ())
    ]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert fires == {alert.name for alert in ALERTS}


@prometheus
@needs_promtool
@pytest.mark.parametrize(
    "command",
    [
        ("promtool", "check", "rules", str(RULES)),
        ("promtool", "test", "rules", str(TESTS)),
        ("promtool", "check", "config", "--syntax-only", str(ROOT / "deploy" / "docker" / "prometheus.yml")),
        ("amtool", "check-config", str(ROUTING)),
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_prometheus_own_tools_accept_what_is_shipped(command: tuple[str, ...]) -> None:
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


@prometheus
@needs_promtool
@EVERY_ALERT
def test_the_routing_example_sends_an_alert_to_whom_it_concerns(alert: Rule) -> None:
    words = ("config", "routes", "test", f"--config.file={ROUTING}", f"alertname={alert.name}")
    told = subprocess.run(
        ("amtool", *words, f"severity={alert.severity}"), capture_output=True, text=True, check=True
    ).stdout.strip()
    about_money = re.match(r"KontextBudget|KontextWaste|KontextPrice|KontextUnresolved", alert.name)
    assert told == ("pager" if alert.severity == "page" else "finance" if about_money else "tickets")
