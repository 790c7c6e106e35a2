"""The pictures in the docs are of the dashboards that there are, and every kind of panel can be drawn, with and without
data."""

from pathlib import Path

import pytest
from PIL import Image

from grafana.boards import BOARDS
from grafana.description import Board, Kind, Panel, Query
from grafana.picture import Answers, Line, draw, lines, said
from tests.dashboards.rules import ROOT


def answered(panel: Panel) -> list[Line]:
    """Two series that look like those of a panel's kind."""
    names = ("1.0", "+Inf") if panel.kind is Kind.HEATMAP else ("one", "two")
    return [Line(name, tuple((at, float(at % 3)) for at in range(20))) for name in names]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
@pytest.mark.parametrize("has_data", [True, False])
def test_a_dashboard_can_be_drawn(board: Board, has_data: bool, tmp_path: Path) -> None:
    answers: Answers = {query: answered(panel) for panel in board.panels() for query in panel.queries if has_data}
    draw(board, answers, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width == 1280
        assert len(picture.getcolors(maxcolors=256) or ()) > 5


def test_the_docs_show_every_dashboard() -> None:
    pictures = {path.stem for path in (ROOT / "docs" / "dashboards").glob("*.png")}
    assert pictures == {board.uid.removeprefix("kontext-") for board in BOARDS}


def test_a_series_is_called_as_its_legend_says() -> None:
    result = [{"metric": {"offer": "a/pro", "outcome": "done"}, "value": [1.5, "2"]}]
    assert lines(Query("x", "{{offer}}: {{outcome}}"), result) == [Line("a/pro: done", ((1.5, 2.0),))]
    assert lines(Query("x"), result) == [Line("a/pro, done", ((1.5, 2.0),))]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_unit_can_be_said(board: Board) -> None:
    for panel in board.panels():
        assert said(1234.5, panel.unit)
        assert said(float("nan"), panel.unit) == "no data"
