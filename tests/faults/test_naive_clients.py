"""The negative control: clients that retry with a new id fail the very checks that the gateway passes."""

import random

import httpx
import pytest

from gateway.ledger.evidence import Charge
from gateway.rehearsal.faults import Fault
from gateway.rehearsal.server import Rehearsal
from gateway.rehearsal.storm import BAD_SHARE
from gateway.rehearsal.verdict import Verdict, judge
from tests.faults.naive import Client, Looking, Protocol

WISHES = 40
LOSING = (
    Fault.RESET_BEFORE_ACCEPT,
    Fault.ACCEPT_THEN_RESET,
    Fault.ACCEPT_THEN_5XX,
    Fault.SYNC_TIMEOUT,
    Fault.GARBAGE,
    Fault.CUT,
)


async def judged(kind: type[Client]) -> Verdict:
    chance = random.Random(7)
    async with Rehearsal.serve(seconds=0.01, fast=True) as rehearsal, httpx.AsyncClient(timeout=5) as http:
        client = kind(http, rehearsal.runware_url, rehearsal.key)
        told: dict[str, str | None] = {}
        for number in range(WISHES):
            if chance.random() < BAD_SHARE:
                rehearsal.faults.add("runware", chance.choice(LOSING), times=1)
            told[f"{number}"] = await client.wish(number)
        charges = [
            Charge(provider="runware", key=entry.key, amount_micro=entry.cost_micro_usd)
            for entry in rehearsal.bill.entries
        ]
        return judge(told, charges, client.rows)


@pytest.mark.parametrize("kind", [Client, Looking])
async def test_a_retry_with_a_new_id_pays_twice_and_is_found_out(kind: type[Client]) -> None:
    verdict = await judged(kind)
    assert not verdict.lost
    assert not verdict.is_clean
    assert verdict.paid_twice
    assert verdict.ledger_minus_bill_micro == -40_000 * len(verdict.paid_twice) < 0
    assert any(words.startswith("M2") for words in verdict.breaches)


async def test_the_same_id_again_pays_once() -> None:
    verdict = await judged(Protocol)
    assert verdict.is_clean, verdict
    assert verdict.billed_micro == 40_000 * WISHES
