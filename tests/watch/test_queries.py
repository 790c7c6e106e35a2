"""Every query of every panel and every alert has data, as a real Prometheus scraped it from a gateway that went through
the rehearsal's scenarios. `pytest -s` prints each with its number of series."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from grafana.boards import BOARDS
from grafana.description import MARKS
from tests.dashboards.promql import filled, measured
from tests.dashboards.rules import ALERTS, RECORDS
from tests.end_to_end.stage import eventually
from tests.watch.run import TRACE_ID, Run
from tests.watch.scraper import EVERY_S

pytestmark = pytest.mark.prometheus


class Asked(Struct, frozen=True):
    """`who` asks: a dashboard's panel, an alert, a recording rule, a mark."""

    who: str
    expr: str


def every_query() -> Iterator[Asked]:
    for board in BOARDS:
        for panel in board.panels():
            for query in panel.queries:
                yield Asked(f"{board.title}: {panel.title}", filled(query.expr, window="5m"))
        for variable in board.variables:
            yield Asked(f"{board.title}: ${variable.name}", f"group by ({variable.label}) ({variable.metric})")
    for mark in MARKS:
        yield from (Asked(f"mark: {mark.name}", expr) for expr in measured(filled(mark.expr, window="5m")))
    for alert in ALERTS:
        yield from (Asked(f"alert: {alert.name}", expr) for expr in measured(alert.expr))
    for record in RECORDS:
        yield Asked(f"record: {record.name}", record.name)


def _is_number(series: dict[str, Any]) -> bool:
    return not math.isnan(float(series["value"][1]))


async def _count(run: Run, expr: str) -> int:
    """How many series a query gives. A scrape that came too late on a busy machine leaves a gap until the next one."""

    async def count() -> int:
        return sum(map(_is_number, await run.prometheus.series(expr)))

    try:
        return await eventually(count, 5 * EVERY_S)
    except AssertionError:
        return 0


async def test_every_query_has_data(run: Run) -> None:
    found: dict[Asked, int] = {}
    for asked in every_query():
        found[asked] = await _count(run, asked.expr)
    for asked, count in found.items():
        print(f"{count:4}  {asked.who}")
    empty = [f"{asked.who}\n    {asked.expr}" for asked, count in found.items() if not count]
    assert not empty, "\n".join(empty)
    assert len(found) > 90


async def test_what_happened_makes_the_alerts_fire_that_it_must(run: Run) -> None:
    firing = {series["metric"]["alertname"] for series in await run.prometheus.series("ALERTS")}
    assert {"KontextBudgetAtTheWall", "KontextWaste", "KontextSuccessBurnFast"} <= firing
    assert not firing & {"KontextReplicaDown", "KontextStoreErrors", "KontextRevisionsDiffer", "KontextUnresolvedOld"}


async def test_a_scraped_exemplar_leads_to_its_trace(run: Run) -> None:
    traces = {
        one["labels"]["trace_id"] for one in await run.prometheus.exemplars("kontext_edit_duration_seconds_bucket")
    }
    assert TRACE_ID in traces
