"""The pages at /rehearsal, the log, and the configuration that leads to the stand-ins."""

import asyncio
import stat
import tomllib

import httpx
import pytest
from msgspec.structs import replace

from gateway.rehearsal.configuration import write_config
from gateway.rehearsal.faults import Fault, Script
from gateway.rehearsal.pictures import Recipe, Studio
from gateway.rehearsal.server import Rehearsal


async def test_scripting_over_http(rehearsal, runware, http):
    page = f"{rehearsal.url}/rehearsal/faults"
    put = await http.put(f"{page}/runware", json={"fault": "busy", "times": 3, "model": None})
    assert put.status_code == 200
    await runware.send(runware.task())
    assert (await http.get(page)).json()["runware"][0]["times"] == 2
    await http.put(f"{page}/runware", json=[{"fault": "down"}, {"fault": "slow", "seconds": 9}])
    assert [script for _, script in rehearsal.faults.scripted()] == [Script(Fault.DOWN), Script(Fault.SLOW, seconds=9)]
    assert (await http.delete(page)).status_code == 204
    assert rehearsal.faults.scripted() == []


@pytest.mark.parametrize(
    ("provider", "body", "status", "says"),
    [
        ("runware", {"fault": "bussy"}, 422, "bussy"),
        ("runware", {"fault": "busy", "time": 3}, 422, "time"),
        ("fal", {"fault": "busy"}, 404, "runware, runflow"),
    ],
)
async def test_a_wrong_script_is_refused_with_what_to_send(rehearsal, http, provider, body, status, says):
    answer = await http.put(f"{rehearsal.url}/rehearsal/faults/{provider}", json=body)
    assert answer.status_code == status
    assert says in answer.json()["error"]


async def test_bill_log_and_summary(rehearsal, runware, runflow, clock, http):
    await runware.send(runware.task())
    clock.wind(1)
    rehearsal.faults.add("runflow", "busy", times=1)
    await runflow.submit()
    await runflow.submit(client_ref="ref-2")

    bill = (await http.get(f"{rehearsal.url}/rehearsal/bill")).json()
    assert [(entry["key"], entry["cost_micro_usd"]) for entry in bill["entries"]] == [
        (runware.task()["taskUUID"], 40_000),
        ("ref-2", 40_000),
    ]
    assert bill["totals"]["all"] == {"charges": 2, "pictures": 2, "cost_micro_usd": 80_000}
    assert bill["totals"]["runflow"]["charges"] == 1

    log = (await http.get(f"{rehearsal.url}/rehearsal/log")).json()["exchanges"]
    story = [(e["provider"], e["step"], e["client_ref"], e["outcome"], e["fault"], e["received_at"]) for e in log]
    assert story == [
        ("runware", "submit", None, "accepted", None, 1000.0),
        ("runflow", "submit", None, "MODEL_UNAVAILABLE", "busy", 1001.0),
        ("runflow", "submit", "ref-2", "accepted", None, 1001.0),
    ]
    assert "make the mug blue" not in str(log)

    summary = (await http.get(f"{rehearsal.url}/rehearsal")).text
    assert "$0.080000" not in summary
    assert summary.count("$0.040000") == 2
    assert all(fault.value in summary for fault in Fault)

    assert (await http.delete(f"{rehearsal.url}/rehearsal")).status_code == 204
    assert (rehearsal.bill.entries, rehearsal.log.exchanges) == ((), ())


async def test_a_waiting_answer_shows_its_time_in_the_log(rehearsal, runware, clock, until):
    waiting = asyncio.create_task(runware.send(runware.task(deliveryMethod="sync")))
    await until(lambda: rehearsal.bill.entries)
    clock.wind(2.5)
    await waiting
    await until(lambda: rehearsal.log.exchanges)
    [exchange] = rehearsal.log.of("runware", "submit")
    assert (exchange.received_at, exchange.seconds, exchange.answered_at) == (1000.0, 2.5, 1002.5)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG"])
async def test_fast_pictures_weigh_about_100_kb_and_are_the_same_for_all(picture_format):
    studio = Studio(fast=True)
    recipe = Recipe(source=None, width=1248, height=832, model="pro", words="one", format=picture_format)
    first = await studio.picture(recipe)
    other = await studio.picture(replace(recipe, source="abc", model="max", words="two", number=1))
    assert first is other
    assert 80_000 < len(first) < 130_000


async def test_two_rehearsals_share_nothing(clock, runware):
    async with Rehearsal.serve(clock=clock) as other:
        await runware.send(runware.task())
        assert other.bill.entries == ()


def test_the_configuration_names_a_private_key_file(tmp_path):
    path = tmp_path / "kontext.toml"
    for _ in range(2):  # a second time replaces both
        write_config(path, "http://127.0.0.1:9090", "sha256:abc")
    config = tomllib.loads(path.read_text())
    assert config["providers"]["runware"]["base_url"] == "http://127.0.0.1:9090/runware/v1"
    assert config["providers"]["runflow"]["base_url"] == "http://127.0.0.1:9090/runflow"
    assert config["teams"]["rehearsal"]["keys"] == [{"hash": "sha256:abc", "scopes": ["edit", "read", "admin"]}]
    assert set(config["policies"]) >= {"cheapest", "premium", "production"}
    scheme, _, key_file = config["providers"]["runware"]["api_key"].partition(":")
    assert scheme == "file"
    assert tmp_path.joinpath(key_file).read_text().strip() == "rehearsal_key"
    assert stat.S_IMODE(tmp_path.joinpath(key_file).stat().st_mode) == 0o600


async def test_stopping_lets_go_of_a_caller_kept_hanging(http, until):
    async with asyncio.timeout(4):  # a stop that has to give up on a caller takes five seconds
        async with Rehearsal.serve() as rehearsal:
            rehearsal.faults.add("runflow", "hang", times=1)
            waiting = asyncio.create_task(http.get(f"{rehearsal.runflow_url}/v1/health"))
            await until(lambda: not rehearsal.faults.scripted())
        assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], httpx.RemoteProtocolError)
