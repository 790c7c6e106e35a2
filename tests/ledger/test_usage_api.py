"""`GET /v1/usage` and `kontext usage`: three forms, one team's view, and nothing that a spreadsheet would run."""

import csv
import json
from collections.abc import AsyncIterator
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.di import Provide

from gateway.api.auth import Gate
from gateway.api.context import Context
from gateway.api.problems import ProblemError, on_error, on_problem
from gateway.api.usage import read_usage
from gateway.cli.exits import Exit, exit_of
from gateway.cli.usage import _ask, sparkline, usage
from gateway.client import AsyncKontext, KontextError
from gateway.clock import SystemClock
from gateway.configuration import load
from gateway.current import Current
from gateway.ledger.book import Book
from gateway.ledger.usage import Query
from gateway.secret import key_hash
from gateway.settings import Settings
from tests.ledger.histories import MAX, History

CONFIG = f"""\
[ledger]
url = "sqlite:ledger.db"

[providers.local]

[policies.preview]
tier = "preview"
offers = ["local/preview"]

[teams.growth]
policy = "preview"
keys = ["{key_hash("kx_growth")}"]

[[teams.office.keys]]
hash = "{key_hash("kx_admin")}"
scopes = ["read", "admin"]

[[teams.office.keys]]
hash = "{key_hash("kx_edit")}"
scopes = ["edit"]

[teams.office]
policy = "preview"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "kontext.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return load(config, {}, date(2027, 1, 31))


def told() -> History:
    history = History()
    history.done(tags={"campaign": "=cmd|' /C calc'!A0"})
    history.done(50_000, tags={"campaign": "[red]spring, “summer”\n"})
    history.edit("studio", "web").accept(40_000).open(40_000, MAX).close("unresolved").finish("unresolved")
    history.edits[0].correct(1, -50_000)  # more than all: a sum below nothing
    return history


@pytest.fixture
async def http(settings: Settings, book: Book) -> AsyncIterator[httpx.AsyncClient]:
    await book.write(told().rows)
    async with _client(settings, book) as client:
        yield client


def _client(settings: Settings, book: Book) -> httpx.AsyncClient:
    fields: dict[str, Any] = dict.fromkeys(Context.__struct_fields__)  # the handler reads two of them alone
    fields.update(gate=Gate(Current(settings), frozenset(), SystemClock()), book=book)
    context = Context(**fields)

    def provide() -> Context:
        return context

    app = Litestar(
        [read_usage],
        dependencies={"context": Provide(provide, sync_to_thread=False)},
        exception_handlers={ProblemError: on_problem, Exception: on_error},
        logging_config=None,
        openapi_config=None,
    )
    transport = httpx.ASGITransport(cast("Any", app))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=bearer("kx_admin"))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_json_has_the_question_and_exact_dollars(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/usage", params={"by": "team,model", "from": "2027-01-31", "to": "2027-12-31"})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["by"], document["from"], document["to"]) == (["team", "model"], "2027-01-31", "2027-12-31")
    assert document["data"] == [
        {
            "team": "growth", "model": "runware/kontext-pro", "edits": 2, "pictures": 2, "spent_usd": "0.040000",
            "wasted_usd": "0.000000", "unresolved_usd": "0.000000", "held_usd": "0.000000",
        },
        {
            "team": "studio", "model": "runflow/kontext-max", "edits": 1, "pictures": 0, "spent_usd": "0.000000",
            "wasted_usd": "0.000000", "unresolved_usd": "0.040000", "held_usd": "0.040000",
        },
    ]  # fmt: skip


async def test_by_day_without_being_asked(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/usage")
    assert [line["day"] for line in answer.json()["data"]] == ["2027-01-31"]


@pytest.mark.parametrize("how", [{"params": {"format": "jsonl"}}, {"headers": {"accept": "application/jsonl"}}])
async def test_json_lines(http: httpx.AsyncClient, how: dict[str, Any]) -> None:
    how.setdefault("params", {})["by"] = "team"
    answer = await http.get("/v1/usage", **how)
    assert answer.headers["content-type"].startswith("application/jsonl")
    assert [json.loads(line)["team"] for line in answer.text.splitlines()] == ["growth", "studio"]


@pytest.mark.parametrize("how", [{"params": {"format": "csv"}}, {"headers": {"accept": "text/csv"}}])
async def test_csv_holds_text_and_no_formula(http: httpx.AsyncClient, how: dict[str, Any]) -> None:
    how.setdefault("params", {})["by"] = "tag:campaign"
    answer = await http.get("/v1/usage", **how)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(StringIO(answer.text, newline="")))
    assert [(row["tag:campaign"], row["spent_usd"]) for row in rows] == [
        ("", "0.000000"),
        ("'=cmd|' /C calc'!A0", "-0.010000"),
        ("[red]spring, “summer”\n", "0.050000"),
    ]


async def test_the_address_wins_over_the_header(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/usage?format=json", headers={"accept": "text/csv"})
    assert answer.headers["content-type"].startswith("application/json")


async def test_a_team_sees_itself_alone(http: httpx.AsyncClient) -> None:
    for params in ({"by": "team"}, {"by": "team", "team": "growth"}):
        answer = await http.get("/v1/usage", params=params, headers=bearer("kx_growth"))
        assert [line["team"] for line in answer.json()["data"]] == ["growth"]
    other = await http.get("/v1/usage?team=studio", headers=bearer("kx_growth"))
    nobody = await http.get("/v1/usage?team=nobody", headers=bearer("kx_growth"))
    assert other.status_code == nobody.status_code == 403
    assert other.json() == nobody.json()
    admin = await http.get("/v1/usage?by=team&team=studio")
    assert [line["team"] for line in admin.json()["data"]] == ["studio"]


async def test_a_key_needs_the_scope(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/usage", headers=bearer("kx_edit"))).status_code == 403
    assert (await http.get("/v1/usage", headers=bearer("kx_none"))).status_code == 401


@pytest.mark.parametrize(
    ("params", "field"),
    [({"by": "colour"}, "by"), ({"by": ""}, "by"), ({"from": "yesterday"}, "from"), ({"to": "2027-02-30"}, "to"),
     ({"format": "xml"}, "format")],
)  # fmt: skip
async def test_wrong_fields_are_named(http: httpx.AsyncClient, params: dict[str, str], field: str) -> None:
    answer = await http.get("/v1/usage", params=params)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert answer.json()["expected"]


async def test_a_form_that_there_is_not(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/usage", headers={"accept": "image/png"})).status_code == 406
    for accept in ("*/*", "text/html,*/*;q=0.1"):
        answer = await http.get("/v1/usage", headers={"accept": accept})
        assert answer.headers["content-type"].startswith("application/json")


async def test_a_ledger_that_is_away_is_503(settings: Settings, tmp_path: Path) -> None:
    book = await Book.open(f"sqlite:{tmp_path / 'gone.db'}")
    await book.aclose()
    (tmp_path / "gone.db").write_text("not a database any more, not at all. " * 99)
    async with _client(settings, book) as client:
        answer = await client.get("/v1/usage")
    await book.aclose()
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "gone.db" not in answer.text


# --- the command ----------------------------------------------------------------------------------------------------


async def test_the_command_asks_the_gateway(http: httpx.AsyncClient) -> None:
    client = AsyncKontext("http://gateway", "kx_admin", http=http)
    assert [line["team"] for line in await _ask(client, Query(by=("team",)))] == ["growth", "studio"]
    with pytest.raises(KontextError) as failed:
        await _ask(client, Query(by=("colour",)))
    assert exit_of(failed.value) is Exit.USAGE


async def write(config: Path) -> None:
    book = await Book.open(f"sqlite:{config.parent / 'ledger.db'}")
    await book.write(told().rows)
    await book.aclose()


def run(*args: str) -> Any:
    return CliRunner().invoke(usage, args, env={"COLUMNS": "200"})


def test_the_command_reads_the_ledger_of_a_configuration(config: Path) -> None:
    import asyncio

    asyncio.run(write(config))
    shown = run("--config", str(config), "--by", "team,tag:campaign")
    assert shown.exit_code == 0, shown.output
    assert "[red]spring" in shown.output  # a tag is no markup
    assert "$0.040000" in shown.output
    assert "2027-01-31 █ 2027-01-31" in shown.output
    told_json = run("--config", str(config), "--by", "day", "--json", "--since", "2027-02-01")
    assert json.loads(told_json.stdout) == []
    assert run("--config", str(config), "--since", "2027-02-01").exit_code == 0


def test_the_command_says_what_is_wrong() -> None:
    assert run("--by", "colour").exit_code == Exit.USAGE
    gone = run("--url", "http://127.0.0.1:1")
    assert gone.exit_code == Exit.UNREACHABLE
    assert "--config" in gone.output


def test_a_sparkline_draws_every_day_between() -> None:
    days = [(date(2027, 1, 1), 0), (date(2027, 1, 2), 70_000), (date(2027, 1, 5), 30_000), (date(2027, 1, 6), -5)]
    assert sparkline(days) == "spent by day  2027-01-01 ▁█▁▁▄▁ 2027-01-06  at most $0.070000"
    assert "▁" in sparkline([(date(2027, 1, 1), 0)])
