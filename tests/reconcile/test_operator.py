"""What no provider can tell, an operator may: seen, settled or released over HTTP, and never twice."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.configuration import load
from gateway.engine.timing import Timing
from gateway.rehearsal.server import Rehearsal
from gateway.secret import key_hash
from gateway.server import serving
from tests.end_to_end.stage import PHOTO_URI, eventually, state_folder, today

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIG = """\
[state]
dir = "state"

[ledger]
url = "sqlite:ledger.db"

[providers.runflow]
api_key = "file:key"
base_url = "{url}/runflow"
timeout_s = 1
quarantine_s = 0.1
[providers.runflow.models.kontext-pro]
usual_s = 0.2

[policies.pro]
offers = ["runflow/kontext-pro"]

[teams.growth]
policy = "pro"
keys = ["{caller}"]
budget = {{ total_usd = "0.08" }}

[teams.office]
policy = "pro"

[[teams.office.keys]]
id = "desk"
hash = "{admin}"
scopes = ["admin"]
"""


class Desk:
    """A gateway with a caller's key and an operator's."""

    def __init__(self, url: str, http: httpx.AsyncClient, rehearsal: Rehearsal) -> None:
        self.url, self.http, self.rehearsal = url, http, rehearsal

    async def ask(self, method: str, path: str, *, key: str = "kx_admin", **rest: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return await self.http.request(method, self.url + path, headers=headers, **rest)

    async def edit(self, prompt: str) -> httpx.Response:
        return await self.ask("POST", "/v1/edits", key="kx_caller", json={"prompt": prompt, "images": [PHOTO_URI]})

    async def unresolved(self, prompt: str, fault: str) -> str:
        """The id of an edit of which nobody can tell whether it was bought."""
        self.rehearsal.faults.add("runflow", fault, times=1)
        answer = await self.edit(prompt)
        assert (answer.status_code, answer.json()["edit"]["status"]) == (202, "unresolved"), answer.text
        return answer.json()["edit"]["id"]

    async def judge(self, edit: str, verdict: str, cost: str | None = None, **more: Any) -> httpx.Response:
        number, key = more.pop("number", 1), more.pop("key", "kx_admin")
        body = {"verdict": verdict, "note": "their support says so", "cost_usd": cost, **more}
        body = {name: value for name, value in body.items() if value is not None}
        return await self.ask("POST", f"/admin/edits/{edit}/attempts/{number}/verdict", key=key, json=body)

    async def spent(self) -> tuple[str, str]:
        """What the books say, once they have heard of everything."""

        async def line() -> dict[str, str] | None:
            lines = (await self.ask("GET", "/v1/usage?by=team", key="kx_caller")).json()["data"]
            return next((found for found in lines if found["held_usd"] == "0.000000"), None)

        found = await eventually(line)
        return found["spent_usd"], found["unresolved_usd"]


@pytest_asyncio.fixture(loop_scope="session")
async def desk() -> AsyncGenerator[Desk]:
    async with (
        Rehearsal.serve(seconds=0.1, fast=True) as rehearsal,
        state_folder() as folder,
        httpx.AsyncClient(timeout=30) as http,
    ):
        settings = load(_configuration(folder, rehearsal), {}, today())
        async with serving(settings, timing=Timing(resolve_s=2.0)) as url:
            yield Desk(url, http, rehearsal)


def _configuration(folder: Path, rehearsal: Rehearsal) -> Path:
    (folder / "key").write_text(rehearsal.key)
    file = folder / "kontext.toml"
    keys = {"caller": key_hash("kx_caller"), "admin": key_hash("kx_admin")}
    file.write_text(CONFIG.format(url=rehearsal.url, **keys))
    return file


async def test_what_is_unresolved_is_listed_judged_once_and_accounted_for(desk: Desk) -> None:
    never = await desk.unresolved("Make it blue", "reset_before_accept")
    desk.rehearsal.faults.add("runflow", "invisible", times=1, seconds=3600)
    bought = await desk.unresolved("Make it red", "accept_then_reset")

    listed = (await desk.ask("GET", "/admin/unresolved")).json()
    assert [(one["edit"], one["attempt"], one["held_usd"]) for one in listed] == [
        (never, 1, "0.040000"),
        (bought, 1, "0.040000"),
    ]
    assert {one["attempt_id"] for one in listed} > {entry.key for entry in desk.rehearsal.bill.entries}
    full = await desk.edit("Make it green")
    assert (full.status_code, full.json()["left_usd"]) == (402, "0.000000")

    settled = await desk.judge(bought, "settled", "0.04")
    assert (settled.status_code, settled.json()) == (
        200,
        {"edit": bought, "attempt": 1, "state": "settled", "cost_usd": "0.040000", "edit_status": "failed"},
    )
    released = await desk.judge(never, "released")
    assert released.json()["edit_status"] == "failed"
    assert (await desk.ask("GET", "/admin/unresolved")).json() == []

    ended = [(await desk.ask("GET", f"/v1/edits/{one}", key="kx_caller")).json() for one in (never, bought)]
    assert [(one["status"], one["cost"]["usd"]) for one in ended] == [("failed", "0.000000"), ("failed", "0.040000")]
    assert ended[1]["cost"]["source"] == "operator"
    assert (await desk.edit("Make it green")).status_code == 200, "the released money can be spent"
    assert (await desk.edit("Make it yellow")).status_code == 402, "the settled money is gone"
    assert await desk.spent() == ("0.080000", "0.000000")

    told = (await desk.ask("GET", "/admin/corrections")).json()
    assert [(one["edit"], one["settled_usd"], one["source"], one["note"]) for one in told] == [
        (never, None, None, "office/desk: their support says so"),
        (bought, "0.040000", "operator", "office/desk: their support says so"),
    ]
    for verdict in (("settled", "0.04"), ("settled", "0.03"), ("released", None)):
        for edit in (never, bought):
            again = await desk.judge(edit, *verdict)
            assert (again.status_code, again.json()["type"]) == (409, "urn:kontext:problem:conflict")
    assert await desk.spent() == ("0.080000", "0.000000")


async def test_of_two_verdicts_at_once_one_counts(desk: Desk) -> None:
    edit = await desk.unresolved("Make it blue", "reset_before_accept")
    verdicts = [("settled", "0.04"), ("settled", "0.03"), ("released", None)]
    answers = await asyncio.gather(*(desk.judge(edit, *verdict) for verdict in verdicts))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    (won,) = (answer.json()["cost_usd"] for answer in answers if answer.status_code == 200)
    assert await desk.spent() == (won or "0.000000", "0.000000")


async def test_who_may_not_and_what_makes_no_sense_changes_nothing(desk: Desk) -> None:
    edit = await desk.unresolved("Make it blue", "reset_before_accept")
    assert (await desk.judge(edit, "released", key="kx_caller")).status_code == 403
    assert (await desk.judge(edit, "released", key="kx_nobody")).status_code == 401
    assert (await desk.ask("GET", "/admin/unresolved", key="kx_caller")).status_code == 403
    assert (await desk.ask("GET", "/admin/corrections", key="kx_caller")).status_code == 403
    assert (await desk.judge(edit, "released", number=2)).status_code == 404
    assert (await desk.judge("edit_0", "released")).status_code == 404
    assert (await desk.judge(edit, "settled")).json()["field"] == "cost_usd"
    assert (await desk.judge(edit, "released", "0.04")).status_code == 422
    for cost in ("0", "-1", "0.17", "a lot"):
        assert (await desk.judge(edit, "settled", cost)).json()["field"] == "cost_usd"
    assert (await desk.judge(edit, "forgotten")).status_code == 400
    assert (await desk.judge(edit, "released", note="")).status_code == 400
    done = await desk.edit("Make it red")
    assert (await desk.judge(done.json()["id"], "released")).status_code == 409
    assert [one["edit"] for one in (await desk.ask("GET", "/admin/unresolved")).json()] == [edit]
    assert (await desk.ask("GET", "/admin/corrections")).json() == []
