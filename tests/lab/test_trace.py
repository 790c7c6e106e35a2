from datetime import date
from typing import Any

import msgspec
import pytest

from adapters.contract import FailureKind
from gateway.lab.run import BALANCED, compared
from gateway.lab.scenarios import FLOW_PRO, PRO
from gateway.lab.trace import Line, UnreadableLedger, past_of, replayed

SHOP = {offer.name: offer for offer in (PRO, FLOW_PRO)}


def ledger(edits: int = 300) -> list[dict[str, Any]]:
    """Every edit went to one of two offers, in turn; the first failed from the 100th second to the 200th."""
    rows: list[dict[str, Any]] = []
    for number in range(edits):
        at_ms, name = 1_700_000_000_000 + number * 1000, f"edit_{number}"
        offer = (PRO, FLOW_PRO)[number % 2].name
        down = offer == PRO.name and 100 <= number < 200
        end = {"outcome": "not_sent" if down else "done", "settled_micro": 0 if down else 40_000}
        rows += [
            {"id": f"{name}/accept", "kind": "accept", "edit": name, "team": "t", "at_ms": at_ms},
            {"kind": "open", "edit": name, "attempt": 1, "offer": offer, "at_ms": at_ms},
            {"kind": "close", "edit": name, "attempt": 1, "offer": offer, "at_ms": at_ms + 8000, **end},
        ]
    return rows


def past(*more: dict[str, Any]):
    return past_of(msgspec.convert([*ledger(), *more], list[Line]))


def run(known=None):
    return replayed(past(), known or SHOP, 1, 120.0, date(2026, 11, 20))


def test_a_ledger_is_read_back_as_it_happened():
    found = past()
    assert found.arrivals[:3] == (0.0, 1.0, 2.0)
    assert len(found.attempts[PRO.name]) == 150
    at_s, reply = found.attempts[PRO.name][50]
    assert (at_s, reply.kind, reply.after_s) == (100.0, FailureKind.NOT_SENT, 8.0)
    assert found.attempts[FLOW_PRO.name][0][1].charged_micro == 40_000


def test_what_was_undone_did_not_arrive_and_an_outrun_attempt_tells_nothing():
    at = {"edit": "edit_x", "at_ms": 1_700_000_000_500, "offer": PRO.name, "attempt": 1}
    found = past(
        {**at, "kind": "accept"}, {**at, "kind": "finish", "outcome": "undone"},
        {**at, "kind": "open"}, {**at, "kind": "close", "outcome": "hedge_lost"},
    )  # fmt: skip
    assert found == past()


def test_providers_answer_as_they_did_at_the_time():
    world = run().world
    assert {world.foreseen(edit, PRO.name, 150.0).kind for edit in range(50)} == {FailureKind.NOT_SENT}
    assert {world.foreseen(edit, PRO.name, 20.0).kind for edit in range(50)} == {None}


def test_a_policy_is_tried_on_ones_own_past():
    table = compared(run, [BALANCED])
    assert table.row("balanced").delivered == 1
    assert table.row("balanced").usd_each == pytest.approx(0.04)


def test_the_hours_of_the_past_are_kept_for_rules_that_go_by_them():
    scenario = run().scenario
    began = 22 * 60 + 13  # 1,700,000,000 s after 1970 is 22:13:20 UTC
    assert [scenario.minute_at(at_s) for at_s in (0, 59, 60, 2 * 3600)] == [began, began, began + 1, 13]


def test_where_nothing_was_paid_nobody_was_dearer():
    free = [{**row, "settled_micro": 0} if row["kind"] == "close" else row for row in ledger()]
    world = past_of(msgspec.convert(free, list[Line]))
    table = compared(lambda: replayed(world, SHOP, 1, 120.0, date(2026, 11, 20)), [BALANCED])
    assert {table.dearer(row) for row in table.rows} == {0.0}


def test_what_is_no_past_says_why():
    with pytest.raises(UnreadableLedger, match="no row of kind accept"):
        past_of(msgspec.convert(ledger()[1:3], list[Line]))
    with pytest.raises(UnreadableLedger, match="no attempt at any of acme/x"):
        run({"acme/x": PRO})
