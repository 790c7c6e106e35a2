"""The words that a dashboard is described in: what it shows, not how Grafana spells it.

One description makes the JSON for Grafana (`build.py`), the pictures in the docs (`picture.py`), and the list of
queries that a test asks a real Prometheus.
"""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

RANGE = "$__range"
RATE = "$__rate_interval"


class Kind(StrEnum):
    NUMBER = "number"
    LINES = "lines"
    HEATMAP = "heatmap"
    STATES = "states"
    BARS = "bars"


class Unit(StrEnum):
    """Grafana's own names."""

    COUNT = "short"
    SECONDS = "s"
    USD = "currencyUSD"
    SHARE = "percentunit"
    BYTES = "bytes"
    PER_MINUTE = "cpm"
    PER_SECOND = "reqps"


class Query(Struct, frozen=True):
    """PromQL, and what its series are called: `{{label}}` stands for a label's value."""

    expr: str
    legend: str = ""


class Panel(Struct, frozen=True, kw_only=True):
    """`says`: what a person sees here and why. `limits`: from green to orange to red. `width` in 24ths. `runbook`: the
    alert whose page helps when this looks bad."""

    title: str
    says: str
    kind: Kind
    queries: tuple[Query, ...]
    unit: Unit = Unit.COUNT
    width: int = 8
    height: int = 8
    limits: tuple[float, ...] = ()
    runbook: str | None = None
    stacked: bool = False


class Row(Struct, frozen=True):
    title: str
    panels: tuple[Panel, ...]


class Variable(Struct, frozen=True):
    """A filter at the top of the page: the values of `label` in `metric`, any number of them."""

    name: str
    metric: str
    label: str

    @property
    def query(self) -> str:
        return f"label_values({self.metric}, {self.label})"


class Board(Struct, frozen=True, kw_only=True):
    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()

    def panels(self) -> Iterator[Panel]:
        for row in self.rows:
            yield from row.panels


class Mark(Struct, frozen=True):
    """A moment that is drawn into every panel of a time axis: whenever `expr` has a value."""

    name: str
    expr: str
    text: str
    colour: str


MARKS = (
    Mark(
        "Circuit opened",
        f'sum by (offer) (increase(kontext_circuit_transitions_total{{to="open"}}[{RATE}])) > 0',
        "the circuit of {{offer}} opened",
        "red",
    ),
    Mark(
        "Configuration changed",
        "count by (revision) (kontext_build_info) unless count by (revision) (kontext_build_info offset 2m)",
        "configuration {{revision}} took effect",
        "blue",
    ),
)

OURS = 'outcome=~"deadline|failed|unresolved"'
"""Outcomes that the objective counts against us."""

COUNTED = 'outcome!~"refused|cancelled|invalid|budget"'
"""Outcomes that the objective counts at all: the rest are the caller's."""

OBJECTIVE = 0.005
"""Of the counted edits, so many may go wrong: 99.5 % succeed."""
