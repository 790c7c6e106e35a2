"""Dashboards as Grafana wants them, made from the descriptions beside this file:

uv run python -m grafana.build          # writes grafana/dashboards/*.json; a test fails where they are stale
"""

import json
from collections.abc import Callable
from pathlib import Path

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from grafana.boards import BOARDS
from grafana.description import MARKS, Board, Kind, Mark, Panel, Query, Variable

OUT = Path(__file__).parent / "dashboards"
TAG = "kontext"
RUNBOOKS = "https://example.com/docs/runbooks"
"""Where the runbooks are published: a person sets it at the top of the page, or here."""
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_COLOURS = ("green", "orange", "red")
_ALL = models.VariableOption(selected=True, text="All", value="$__all")
_STATES = {
    "0": ("closed", "green"),
    "1": ("half open", "yellow"),
    "2": ("open", "red"),
    "3": ("needs a person", "purple"),
}

AnyPanel = stat.Panel | timeseries.Panel | heatmap.Panel | statetimeline.Panel | bargauge.Panel


def as_json(board: Board) -> str:
    """The dashboard's file."""
    page = json.loads(JSONEncoder().encode(_dashboard(board).build()))
    for mark, written in zip(MARKS, page["annotations"]["list"], strict=True):
        written["textFormat"] = mark.text  # Prometheus' own, which the builders do not know
    return json.dumps(page, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    OUT.mkdir(exist_ok=True)
    for board in BOARDS:
        (OUT / f"{board.uid}.json").write_text(as_json(board), encoding="utf-8")


# --- the page -------------------------------------------------------------------------------------------------------


def _dashboard(board: Board) -> dashboard.Dashboard:
    page = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.says)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("utc")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("data source").type("prometheus"))
        .with_variable(dashboard.TextBoxVariable("runbooks").label("runbooks at").default_value(RUNBOOKS))
    )
    for variable in board.variables:
        page.with_variable(_variable(variable))
    for mark in MARKS:
        page.annotation(_annotation(mark))
    page.link(_siblings())
    for row in board.rows:
        page.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            page.with_panel(_panel(panel))
    return page


def _variable(variable: Variable) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(variable.name)
        .datasource(SOURCE)
        .query({"query": variable.query, "refId": variable.name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(_ALL)
    )


def _annotation(mark: Mark) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(mark.name)
        .datasource(SOURCE)
        .enable(enable=True)
        .icon_color(mark.colour)
        .expr(mark.expr)
    )


def _siblings() -> dashboard.DashboardLink:
    """A menu of the other dashboards, which keeps the time that is looked at."""
    link = dashboard.DashboardLink("Kontext").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(as_dropdown=True).keep_time(keep_time=True).include_vars(include_vars=True)


# --- its panels -----------------------------------------------------------------------------------------------------


def _panel(panel: Panel) -> AnyPanel:
    drawn = _MADE[panel.kind](panel)
    drawn.title(panel.title).description(panel.says).datasource(SOURCE).unit(panel.unit.value)
    drawn.span(panel.width).height(panel.height)
    for number, query in enumerate(panel.queries):
        drawn.with_target(_target(panel, query, "ABCDEFGH"[number]))
    if panel.limits:
        drawn.thresholds(_thresholds(panel.limits))
    if panel.runbook:
        drawn.links([_runbook(panel.runbook)])
    return drawn


def _target(panel: Panel, query: Query, ref: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).ref_id(ref).legend_format(query.legend or "__auto")
    if panel.kind in (Kind.NUMBER, Kind.BARS):
        return target.instant()
    if panel.kind is Kind.HEATMAP:
        target.format(prometheus_models.PromQueryFormat.HEATMAP)
    return target.range().exemplar(exemplar=panel.kind is Kind.HEATMAP)


def _thresholds(limits: tuple[float, ...]) -> dashboard.ThresholdsConfig:
    colours = _COLOURS if len(limits) > 1 else (_COLOURS[0], _COLOURS[-1])
    steps = [models.Threshold(value=None, color=colours[0])]
    steps += [models.Threshold(value=limit, color=colour) for limit, colour in zip(limits, colours[1:], strict=True)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _runbook(alert: str) -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("What to do").type(models.DashboardLinkType.LINK)
    return link.url(f"${{runbooks}}/{alert}.md").target_blank(target_blank=True)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _number(panel: Panel) -> stat.Panel:
    mode = common_models.BigValueColorMode.BACKGROUND if panel.limits else common_models.BigValueColorMode.VALUE
    return stat.Panel().reduce_options(_last()).color_mode(mode)


def _lines(panel: Panel) -> timeseries.Panel:
    drawn = timeseries.Panel().min(0).line_width(1).show_points(common_models.VisibilityMode.NEVER)
    if panel.stacked:
        drawn.fill_opacity(25).stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if panel.limits:
        style = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.LINE)
        drawn.thresholds_style(style)
    return drawn


def _heatmap(_: Panel) -> heatmap.Panel:
    return heatmap.Panel().calculate(calculate=False)


def _states(_: Panel) -> statetimeline.Panel:
    shown = {value: models.ValueMappingResult(text=text, color=colour) for value, (text, colour) in _STATES.items()}
    return statetimeline.Panel().merge_values(merge_values=True).mappings([models.ValueMap(options=shown)])


def _bars(_: Panel) -> bargauge.Panel:
    return bargauge.Panel().reduce_options(_last()).orientation(common_models.VizOrientation.HORIZONTAL)


_MADE: dict[Kind, Callable[[Panel], AnyPanel]] = {
    Kind.NUMBER: _number,
    Kind.LINES: _lines,
    Kind.HEATMAP: _heatmap,
    Kind.STATES: _states,
    Kind.BARS: _bars,
}

if __name__ == "__main__":
    main()
