"""A static picture of a dashboard, drawn from its description and from what its queries gave: for the docs, so that
people see what they will get. It shows the same panels in the same places; it is not Grafana's own rendering.
"""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from msgspec import Struct
from PIL import Image

from grafana.description import Board, Kind, Panel, Query, Unit

mpl.use("agg")

_DARK, _PANEL, _TEXT, _FAINT = "#111217", "#181b1f", "#ccccdc", "#6e7079"
_LINES = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#b877d9", "#8ab8ff", "#f2495c", "#96d98d", "#ffb357", "#ca95e5")
_LIMITS = ("#ff9830", "#f2495c")
_STATES = ("#73bf69", "#fade2a", "#f2495c", "#b877d9")
_ROW, _COLUMNS = 0.42, 24
_MOST_NAMED = 6


class Line(Struct, frozen=True):
    """One series of an answer: its name, and its points (epoch seconds, value). An instant answer has one point."""

    name: str
    points: tuple[tuple[float, float], ...]


Answers = Mapping[Query, Sequence[Line]]


def lines(query: Query, result: Sequence[Mapping[str, Any]]) -> list[Line]:
    """What Prometheus answered to `query`, as its JSON has it."""
    found: list[Line] = []
    for series in result:
        raw = series.get("values") or [series["value"]]
        points = tuple((float(at), float(value)) for at, value in raw)
        found.append(Line(_named(query.legend, series["metric"]), points))
    return found


def _named(legend: str, labels: Mapping[str, str]) -> str:
    for label, value in labels.items():
        legend = legend.replace(f"{{{{{label}}}}}", value)
    return legend or ", ".join(value for name, value in labels.items() if name != "__name__")


def draw(board: Board, answers: Answers, path: Path) -> None:
    """Writes a PNG."""
    height = sum(1 + _height(row.panels) for row in board.rows) + 1.5
    figure = Figure(figsize=(16, height * _ROW), dpi=80, facecolor=_DARK)
    figure.text(0.01, 1 - 0.75 / height, board.title, color=_TEXT, fontsize=16, weight="bold", va="center")
    top = 1.5
    for row in board.rows:
        figure.text(0.01, 1 - (top + 0.55) / height, row.title, color=_TEXT, fontsize=11, va="center")
        top += 1
        _row(figure, row.panels, answers, top, height)
        top += _height(row.panels)
    drawn = io.BytesIO()
    figure.savefig(drawn, facecolor=_DARK)
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)


def _height(panels: Sequence[Panel]) -> int:
    """Of a row, whose panels flow into as many lines as they need."""
    full = math.ceil(sum(panel.width for panel in panels) / _COLUMNS)
    return full * max(panel.height for panel in panels)


def _row(figure: Figure, panels: Sequence[Panel], answers: Answers, top: float, height: float) -> None:
    left = 0
    for panel in panels:
        box = (
            left / _COLUMNS + 0.004,
            1 - (top + panel.height - 0.15) / height,
            panel.width / _COLUMNS - 0.008,
            (panel.height - 0.3) / height,
        )
        figure.add_axes(box, facecolor=_PANEL, xticks=[], yticks=[])
        figure.text(box[0] + 0.005, box[1] + box[3] - 0.28 / height, panel.title, color=_TEXT, fontsize=9, va="top")
        _panel(figure, panel, answers, box, height)
        left += panel.width
        if left >= _COLUMNS:
            left, top = 0, top + panel.height


def _panel(
    figure: Figure, panel: Panel, answers: Answers, box: tuple[float, float, float, float], height: float
) -> None:
    found = [line for query in panel.queries for line in answers.get(query, ())]
    left = {Kind.STATES: 0.085, Kind.BARS: 0.008}.get(panel.kind, 0.042)
    inner = (box[0] + left, box[1] + 0.55 / height, box[2] - left - 0.012, box[3] - 1.65 / height)
    if panel.kind is Kind.NUMBER:
        inner = (box[0], box[1], box[2], box[3] - 0.8 / height)
    axes = figure.add_axes(inner, facecolor=_PANEL)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(colors=_FAINT, labelsize=7, length=0)
    _DRAWN[panel.kind](axes, panel, found)


# --- kinds of panels ------------------------------------------------------------------------------------------------


def _number(axes: Axes, panel: Panel, found: Sequence[Line]) -> None:
    axes.set_axis_off()
    value = found[0].points[-1][1] if found else math.nan
    passed = sum(value >= limit for limit in panel.limits)
    colour = (_LINES[0], *_LIMITS[-len(panel.limits) :])[passed] if panel.limits else _LINES[0]
    axes.text(0.5, 0.5, said(value, panel.unit), color=colour, fontsize=22, ha="center", va="center")


def _time_lines(axes: Axes, panel: Panel, found: Sequence[Line]) -> None:
    shown = sorted(found, key=lambda line: -max((value for _, value in line.points if value == value), default=0))
    for number, line in enumerate(shown):
        name = line.name if number < _MOST_NAMED else "_"
        times, values = zip(*line.points, strict=True)
        axes.plot(times, values, color=_LINES[number % len(_LINES)], linewidth=1.2, label=name)
        if panel.stacked:
            axes.fill_between(times, values, color=_LINES[number % len(_LINES)], alpha=0.12, linewidth=0)
    top = max((value for line in found for _, value in line.points if value == value), default=1) or 1
    for limit, colour in zip(panel.limits, _LIMITS[-len(panel.limits) :], strict=True) if panel.limits else ():
        if limit <= top * 3:
            axes.axhline(limit, color=colour, linewidth=1, linestyle="--")
            top = max(top, limit)
    axes.set_ylim(0, top * 1.5)
    axes.grid(axis="y", color="#2c3235", linewidth=0.6)
    axes.yaxis.set_major_formatter(lambda value, _: said(value, panel.unit))
    _clock(axes)
    if found:
        axes.legend(fontsize=6.5, labelcolor=_TEXT, frameon=False, ncols=2, loc="upper left", borderaxespad=0)


def _heatmap(axes: Axes, panel: Panel, found: Sequence[Line]) -> None:
    """Cumulative buckets, as Prometheus gives them, taken apart."""
    buckets = sorted(found, key=lambda line: float(line.name))
    times = sorted({at for line in buckets for at, _ in line.points})
    grid: list[list[float]] = []
    below = dict.fromkeys(times, 0.0)
    for line in buckets:
        values = dict(line.points)
        grid.append([max(0.0, values.get(at, 0.0) - below[at]) for at in times])
        below = {at: values.get(at, 0.0) for at in times}
    if grid:
        axes.pcolormesh(times, range(len(buckets)), grid, cmap="inferno", shading="nearest")
    axes.set_yticks(range(len(buckets)), [said(float(line.name), panel.unit) for line in buckets])
    _clock(axes)


def _states(axes: Axes, _: Panel, found: Sequence[Line]) -> None:
    for place, line in enumerate(found):
        times = [at for at, _ in line.points]
        step = times[1] - times[0] if len(times) > 1 else 1
        colours = [_STATES[min(int(value), len(_STATES) - 1)] for _, value in line.points]
        axes.broken_barh([(at, step * 1.05) for at in times], (place - 0.4, 0.8), facecolors=colours, linewidth=0)
    axes.set_yticks(range(len(found)), [line.name for line in found])
    axes.invert_yaxis()
    _clock(axes)


def _bars(axes: Axes, panel: Panel, found: Sequence[Line]) -> None:
    """The largest first, each under its name."""
    shown = sorted(found, key=lambda line: -line.points[-1][1])[:_MOST_NAMED]
    values = [line.points[-1][1] for line in shown]
    most = max(values, default=0) or 1
    axes.barh(range(len(shown)), values, color=_LINES[0], height=0.34)
    for place, (line, value) in enumerate(zip(shown, values, strict=True)):
        axes.text(0, place - 0.24, line.name, color=_TEXT, fontsize=7, va="bottom")
        axes.text(value + most * 0.015, place, said(value, panel.unit), color=_TEXT, fontsize=7, va="center")
    axes.set_xlim(0, most * 1.2)
    axes.set_ylim(-0.6, _MOST_NAMED - 0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.invert_yaxis()


_DRAWN: dict[Kind, Callable[[Axes, Panel, Sequence[Line]], None]] = {
    Kind.NUMBER: _number,
    Kind.LINES: _time_lines,
    Kind.HEATMAP: _heatmap,
    Kind.STATES: _states,
    Kind.BARS: _bars,
}


def _clock(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(lambda at, _: datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S"))
    axes.locator_params(axis="x", nbins=4)


def said(value: float, unit: Unit) -> str:
    """A figure as a person reads it."""
    if math.isnan(value):
        return "no data"
    match unit:
        case Unit.SHARE:
            return f"{value * 100:.3g} %"
        case Unit.USD:
            return f"${value:.3g}" if value < 10 else f"${value:.0f}"
        case Unit.SECONDS:
            return _seconds(value)
        case Unit.BYTES:
            return f"{value / 1e6:.3g} MB"
        case Unit.PER_MINUTE:
            return f"{value:.3g}/min"
        case Unit.PER_SECOND:
            return f"{value:.3g}/s"
        case Unit.COUNT:
            return f"{value:.3g}"


def _seconds(value: float) -> str:
    if math.isinf(value):
        return "∞"
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} s" if value >= 1 or not value else f"{value * 1000:.3g} ms"
