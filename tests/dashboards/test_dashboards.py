"""The dashboards are what their descriptions say, and every query reads a series that the gateway has."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.boards import BOARDS
from grafana.build import OUT, as_json
from grafana.description import Board, Panel
from tests.dashboards.promql import filled, metrics_of
from tests.dashboards.rules import ROOT
from tests.dashboards.series import declared

PANELS = [(board, panel) for board in BOARDS for panel in board.panels()]
EVERY_PANEL = pytest.mark.parametrize(
    ("board", "panel"), PANELS, ids=[f"{board.uid}: {panel.title}" for board, panel in PANELS]
)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_committed_dashboard_is_what_its_description_makes(board: Board) -> None:
    committed = (OUT / f"{board.uid}.json").read_text("utf-8")
    assert committed == as_json(board), "run: uv run python -m grafana.build"


def test_no_other_dashboard_is_committed() -> None:
    assert {path.stem for path in OUT.iterdir()} == {board.uid for board in BOARDS}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_dashboard_fits_the_schema_and_loses_nothing_in_it(board: Board) -> None:
    """As far as that can be told without a Grafana: its own schema, generated as the SDK's models, takes all of it."""
    page: dict[str, Any] = json.loads((OUT / f"{board.uid}.json").read_text("utf-8"))
    for mark in page["annotations"]["list"]:
        mark.pop("textFormat")  # Prometheus' own, which the schema does not know
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(page))) == page


@EVERY_PANEL
def test_every_series_of_a_panel_is_one_that_the_gateway_has(board: Board, panel: Panel) -> None:
    for query in panel.queries:
        assert metrics_of(filled(query.expr)) <= declared().keys(), query.expr


@EVERY_PANEL
def test_a_panel_says_what_it_shows_and_fits_the_page(board: Board, panel: Panel) -> None:
    assert panel.says
    assert 1 <= panel.width <= 24
    assert panel.runbook is None or (ROOT / "docs" / "runbooks" / f"{panel.runbook}.md").exists()


def test_every_row_fills_the_page() -> None:
    for board in BOARDS:
        for row in board.rows:
            assert sum(panel.width for panel in row.panels) % 24 == 0, (board.uid, row.title)


def test_variables_are_labels_of_series_that_exist() -> None:
    for board in BOARDS:
        for variable in board.variables:
            family = declared()[variable.metric]
            assert {sample.labels.get(variable.label) for sample in family.samples} or family, variable.metric
            used = [query.expr for panel in board.panels() for query in panel.queries]
            assert any(f"${variable.name}" in expr for expr in used), f"{board.uid}: nothing uses ${variable.name}"


def test_grafana_is_told_where_the_dashboards_and_the_data_are() -> None:
    folder = ROOT / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((folder / "dashboards" / "kontext.yaml").read_text("utf-8"))["providers"]
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text("utf-8"))["datasources"]
    compose = yaml.safe_load((ROOT / "deploy" / "docker" / "compose.yaml").read_text("utf-8"))
    mounts = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    there = {Path(name).name: target for name, target in mounts.items()}
    assert there["dashboards"] == provider["options"]["path"]
    assert there["provisioning"] == "/etc/grafana/provisioning"
    assert source["type"] == "prometheus"
