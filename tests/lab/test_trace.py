from typing import Any

import msgspec
import pytest

from adapters.contract import FailureKind
from gateway.lab.run import BALANCED, compared
from gateway.lab.scenarios import FLOW_PRO, PRO
from gateway.lab.trace import UnreadableLedger, read, replayed

SHOP = {offer.name: offer for offer in (PRO, FLOW_PRO)}


def ledger(edits: int = 300) -> list[bytes]:
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
    return [msgspec.json.encode(row) for row in rows]


def test_a_ledger_is_read_back_as_it_happened():
    past = read([*ledger(), b"", b"\n"])
    assert past.arrivals[:3] == (0.0, 1.0, 2.0)
    assert len(past.attempts[PRO.name]) == 150
    at_s, reply = past.attempts[PRO.name][50]
    assert (at_s, reply.kind, reply.after_s) == (100.0, FailureKind.NOT_SENT, 8.0)
    assert past.attempts[FLOW_PRO.name][0][1].charged_micro == 40_000


def test_providers_answer_as_they_did_at_the_time():
    run = replayed(read(ledger()), SHOP, seed=1)
    assert {run.world.foreseen(edit, PRO.name, 150.0).kind for edit in range(50)} == {FailureKind.NOT_SENT}
    assert {run.world.foreseen(edit, PRO.name, 20.0).kind for edit in range(50)} == {None}


def test_a_policy_is_tried_on_ones_own_past():
    past = read(ledger())
    table = compared(lambda: replayed(past, SHOP, seed=1), [BALANCED])
    assert table.row("balanced").delivered == 1
    assert table.row("balanced").usd_each == pytest.approx(0.04)


def test_what_is_no_ledger_says_why():
    with pytest.raises(UnreadableLedger, match="line 2 is no ledger row"):
        read([*ledger()[:1], b"{nonsense"])
    with pytest.raises(UnreadableLedger, match="no row of kind accept"):
        read(ledger()[1:3])
    with pytest.raises(UnreadableLedger, match="no attempt at any of acme/x"):
        replayed(read(ledger()), {"acme/x": PRO}, seed=1)
