"""What the metrics say is what happened: the counts are those of the answers, the dollars those of the ledger and of
the stand-ins' bill, to the micro-dollar."""

import json
import re
from collections import Counter

from gateway.ledger.book import Book
from gateway.ledger.usage import Query, usage
from gateway.money import MICRO
from tests.watch.run import Run

_SERIES = re.compile(r"(\w+)\{(.*)\}")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
ENDED = ("edit_ended", "attempt_ended")
_AS = {"succeeded": ("ok", "late", "degraded"), "failed": ("failed", "deadline", "budget", "invalid")}


async def total(run: Run, name: str, by: str) -> Counter[str]:
    """The series of a metric, added up by one label; dollars as micro-dollars."""
    scale = MICRO if name.endswith("_usd_total") else 1
    found: Counter[str] = Counter()
    for series, value in (await run.series()).items():
        match = _SERIES.fullmatch(series)
        if match and match[1] == name:
            found[dict(_LABEL.findall(match[2]))[by]] += round(value * scale)
    return +found


async def test_dollars_are_those_of_the_bill(run: Run) -> None:
    billed: Counter[str] = Counter()
    for entry in run.stage.rehearsal.bill.entries:
        billed[f"{entry.provider}/{entry.model}"] += entry.cost_micro_usd
    assert billed
    assert await total(run, "kontext_cost_usd_total", "offer") == billed
    assert not run.stage.rehearsal.bill.paid_twice()


async def test_dollars_are_those_of_the_ledger(run: Run) -> None:
    book = await Book.open(run.settings.ledger_url)
    try:
        lines = await usage(book, Query(by=("model",)))
    finally:
        await book.aclose()
    spent = Counter({line.group[0]: line.spent_micro for line in lines if line.spent_micro})
    wasted = Counter({line.group[0]: line.wasted_micro for line in lines if line.wasted_micro})
    assert await total(run, "kontext_cost_usd_total", "offer") == spent
    assert await total(run, "kontext_wasted_cost_usd_total", "offer") == wasted
    assert sum(line.edits for line in lines) == len(await run.edits())
    assert not any(line.held_micro or line.unresolved_micro for line in lines)


async def test_counts_are_those_of_the_answers(run: Run) -> None:
    edits = await run.edits()
    outcomes = await total(run, "kontext_edits_total", "outcome")
    late_truth = outcomes.pop("unresolved")
    assert late_truth == 1, "counted when it was left; what it became is told to the log, the ledger and the caller"
    ended = Counter(edit["status"] for edit in edits)
    ended["succeeded"] -= late_truth
    assert Counter({status: sum(outcomes[one] for one in _AS.get(status, (status,))) for status in ended}) == ended
    tried = Counter(attempt["offer"] for edit in edits for attempt in edit["routing"]["attempts"])
    assert await total(run, "kontext_attempts_total", "offer") == tried


async def test_the_log_has_one_line_for_each_edit_and_each_attempt(run: Run) -> None:
    edits = await run.edits()
    said = [json.loads(line) for line in run.log.getvalue().splitlines()]
    told = {event: Counter(line["edit"] for line in said if line["event"] == event) for event in ENDED}
    for edit in edits:  # other gateways of this process may have written there, too
        found = tuple(told[event][edit["id"]] for event in ENDED)
        assert found == (1, len(edit["routing"]["attempts"])), edit["id"]
