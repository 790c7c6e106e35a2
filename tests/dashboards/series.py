"""The series that the gateway declares, and those that somebody reads."""

from prometheus_client.metrics_core import Metric

from gateway.observe import Metrics
from grafana.boards import BOARDS
from grafana.description import MARKS
from tests.dashboards.promql import filled, metrics_of
from tests.dashboards.rules import ALERTS, RECORDS

SUFFIXES = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def families() -> list[Metric]:
    return list(Metrics("test", "test").registry.collect())


def declared() -> dict[str, Metric]:
    """Every series' name that the gateway may expose, with its family."""
    return {family.name + suffix: family for family in families() for suffix in SUFFIXES[family.type]}


def read_somewhere() -> set[str]:
    """The metrics that panels, marks, alerts and records read."""
    queries = [filled(query.expr) for board in BOARDS for panel in board.panels() for query in panel.queries]
    queries += [filled(mark.expr) for mark in MARKS] + [rule.expr for rule in (*ALERTS, *RECORDS)]
    return {name for query in queries for name in metrics_of(query)}
