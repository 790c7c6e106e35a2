"""`kontext top` shows one gateway, whatever number of replicas it has, as their pages tell it."""

import asyncio
import io
import json
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from gateway.cli.exits import Exit
from gateway.cli.exposed import Page, parsed, view
from gateway.cli.top import address, drawn, top
from tests.end_to_end.stage import EDIT_KEY, READ_KEY
from tests.watch.run import Run

ONE = """\
kontext_edits_total{outcome="ok"} 10.0
kontext_edits_in_flight 2.0
kontext_edits_waiting 1.0
kontext_offer_available{offer="runware/kontext-pro",tier="standard"} 1.0
kontext_offer_available{offer="runflow/kontext-max",tier="premium"} 0.0
kontext_circuit_state{offer="runware/kontext-pro",state="closed"} 1.0
kontext_circuit_state{offer="runware",state="closed"} 1.0
kontext_circuit_state{offer="runflow/kontext-max",state="closed"} 1.0
kontext_circuit_state{offer="runflow",state="no_credit"} 1.0
kontext_attempts_total{offer="runware/kontext-pro",outcome="done",position="1"} 9.0
kontext_attempts_total{offer="runware/kontext-pro",outcome="busy",position="1"} 1.0
kontext_attempt_duration_seconds_bucket{le="1.0",offer="runware/kontext-pro",outcome="done"} 0.0
kontext_attempt_duration_seconds_bucket{le="2.0",offer="runware/kontext-pro",outcome="done"} 8.0
kontext_attempt_duration_seconds_bucket{le="+Inf",offer="runware/kontext-pro",outcome="done"} 8.0
kontext_cost_usd_total{cost_source="provider",offer="runware/kontext-pro",tier="standard"} 0.4
kontext_budget_held_usd 0.08
kontext_build_info{revision="9f31",version="1"} 1.0
"""


def page(url: str, at_s: float, text: str = ONE) -> Page:
    return parsed(url, text, at_s)


def test_replicas_are_added_up_and_what_each_tells_of_the_whole_is_not() -> None:
    seen = view(("a", "b", "c"), {"a": page("a", 10), "b": page("b", 10)}, {})
    assert (seen.in_flight, seen.waiting, seen.outcomes) == (4, 2, {"ok": 20})
    assert seen.spent_usd == pytest.approx(0.8)
    assert seen.held_usd == pytest.approx(0.08)
    assert [replica.is_up for replica in seen.replicas] == [True, True, False]
    assert seen.usd_per_hour is None, "one look has no pace"


def test_an_offer_shows_the_worse_of_its_circuit_and_its_accounts() -> None:
    pro, max_ = view(("a",), {"a": page("a", 0)}, {}).offers[::-1]
    assert (pro.offer, pro.circuit, pro.available, pro.done, pro.failed) == (
        "runware/kontext-pro",
        "closed",
        True,
        9,
        1,
    )
    assert (max_.offer, max_.circuit, max_.available) == ("runflow/kontext-max", "no_credit", False)
    assert (pro.median_s, max_.median_s) == (1.5, None)


def test_a_pace_is_what_grew_since_the_last_look_and_a_restart_counts_from_nothing() -> None:
    grown = ONE.replace('outcome="ok"} 10.0', 'outcome="ok"} 16.0').replace("0.4\n", "0.5\n")
    seen = view(("a",), {"a": page("a", 70, grown)}, {"a": page("a", 10)})
    assert (seen.edits_per_minute, seen.usd_per_hour) == (pytest.approx(6), pytest.approx(6))
    anew = view(("a",), {"a": page("a", 70)}, {"a": page("a", 10, grown)})
    assert anew.edits_per_minute == pytest.approx(10)


def test_a_person_sees_it() -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(drawn(view(("http://a", "http://b"), {"http://a": page("http://a", 0)}, {})))
    told = console.export_text()
    assert "2 in flight, 1 waiting" in told
    assert "no credit" in told
    assert "gives no answer" in told


async def run_top(*words: str, key: str = "") -> tuple[int, dict[str, Any]]:
    env = {"KONTEXT_API_KEY": key, "KONTEXT_DEV_KEY": "", "KONTEXT_URL": ""}
    result = await asyncio.to_thread(lambda: CliRunner().invoke(top, ["--once", "--json", *words], env=env))
    return result.exit_code, json.loads(result.stdout.splitlines()[0])


async def test_a_running_gateway_is_seen_by_its_own_port_and_by_the_main_one_with_a_key(run: Run) -> None:
    code, seen = await run_top("--url", run.metrics_url, "--url", run.stage.url, key=READ_KEY)
    assert code == Exit.DONE
    own, main = seen["replicas"]
    assert own["is_up"]
    assert main["is_up"]
    assert seen["spent_usd"] == pytest.approx(2 * run.stage.billed_micro() / 1e6)
    assert {offer["offer"] for offer in seen["offers"]} == set(run.settings.offers)


async def test_who_shows_nothing_is_told_and_has_an_exit_code(run: Run) -> None:
    code, seen = await run_top("--url", run.stage.url, key=EDIT_KEY)
    assert code == Exit.UNREACHABLE
    assert not seen["replicas"][0]["is_up"]


@pytest.mark.parametrize("url", ["http://a:1", "http://a:1/", "http://a:1/metrics"])
async def test_a_replica_is_named_by_its_address(url: str) -> None:
    assert address(url) == "http://a:1/metrics"
