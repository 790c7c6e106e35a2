"""`kontext lab`: one's own policies in the simulated market and in one's own past, told to people and to programs."""

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.cli.exits import Exit
from gateway.cli.lab import lab
from gateway.ledger.book import Book
from gateway.ledger.rows import Row
from tests.lab.test_trace import ledger

CONFIG = """\
[providers.runware]
api_key = "file:key"
[providers.runflow]
api_key = "file:key"
[providers.local]
[policies.thrifty]
order = ["cheapest"]
offers = ["runflow/kontext-pro", "runware/kontext-pro"]
[policies.preview]
tier = "preview"
offers = ["local/preview"]
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "key").write_text("a-key-of-nobody")
    (tmp_path / "kontext.toml").write_text(CONFIG)
    return str(tmp_path / "kontext.toml")


def asked(*words: str) -> Result:
    return CliRunner().invoke(lab, words)


def strategies(result: Result) -> list[list[str]]:
    assert result.exit_code == Exit.DONE, result.output
    return [[row["strategy"] for row in one["rows"]] for one in json.loads(result.stdout)["scenarios"]]


BASELINES = ["oracle", "fallback chain", "round robin", "lowest latency", "weighted shuffle"]


def test_without_a_configuration_the_shipped_policy_is_held_to_its_promises() -> None:
    result = asked("--scenario", "down", "--edits", "400", "--second-usd", "0.05", "--json")
    assert strategies(result) == [["balanced", *BASELINES]] * 2
    told = json.loads(result.stdout)
    assert [one["scenario"] for one in told["scenarios"]] == ["down", "down, 2nd $0.05"]
    assert [len(one["promises"]) for one in told["scenarios"]] == [3, 3]
    assert told["edits"] == 2 * 400 * 6


def test_of_a_configuration_what_can_buy_in_the_market_is_played(config: str) -> None:
    words = ("--config", config, "--scenario", "healthy", "--edits", "300")
    assert strategies(asked(*words, "--json")) == [["balanced", "thrifty", *BASELINES]]
    refused = asked(*words, "--policy", "preview")
    assert refused.exit_code == Exit.USAGE
    assert "policy preview names no" in refused.stderr
    unknown = asked(*words, "--policy", "nonsense")
    assert (unknown.exit_code, "known are preview, thrifty" in unknown.stderr) == (Exit.USAGE, True), unknown.stderr


def write_jsonl(path: Path) -> str:
    path = path / "rows.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(row) for row in ledger()) + b"\n")
    return str(path)


def write_csv(path: Path) -> str:
    path, rows = path / "rows.csv", ledger()
    with path.open("w", newline="") as text:
        writer = csv.DictWriter(text, ["kind", "edit", "at_ms", "offer", "attempt", "outcome", "settled_micro"])
        writer.writeheader()
        writer.writerows({name: row.get(name, "") for name in writer.fieldnames} for row in rows)
    return str(path)


def write_books(path: Path) -> str:
    rows = [_whole(number, row) for number, row in enumerate(ledger())]

    async def fill() -> None:
        book = await Book.open(f"sqlite:{path / 'books.db'}")
        await book.write(rows)
        await book.aclose()

    asyncio.run(fill())
    return f"sqlite:{path / 'books.db'}"


def _whole(number: int, row: dict[str, Any]) -> Row:
    given = {"team": "t", **row, "id": f"{row['edit']}/{number}", "key_id": "ci", "place": f"{number:09d}"}
    return msgspec.convert(given, Row)


@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_books])
def test_ones_own_past_is_read_from_rows_and_from_the_books(config: str, tmp_path: Path, write: Any) -> None:
    result = asked("--config", config, "--ledger", write(tmp_path), "--json")
    assert strategies(result) == [["thrifty", *BASELINES]]
    told = json.loads(result.stdout)["scenarios"][0]
    assert (told["scenario"], told["about"]) == ("ledger", "300 edits of the ledger")
    assert told["rows"][0]["delivered"] == 1


def test_an_address_may_stand_in_the_environment(config: str, tmp_path: Path) -> None:
    words = ("--config", config, "--ledger", "env:BOOKS", "--json")
    given = CliRunner(env={"BOOKS": write_books(tmp_path)}).invoke(lab, words)
    assert strategies(given) == [["thrifty", *BASELINES]]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("sums.csv", "team,spent_usd\ngrowth,0.04\n", "line 2 is no ledger row"),
        ("rows.jsonl", "{nonsense\n", "line 1 is no ledger row"),
        ("rows.xlsx", "", "expected a file of rows, .jsonl or .csv"),
    ],
)
def test_what_is_no_ledger_says_what_to_give(config: str, tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    refused = asked("--config", config, "--ledger", str(tmp_path / name))
    assert (refused.exit_code, words in refused.stderr) == (Exit.USAGE, True), refused.stderr


def test_books_that_are_not_there_are_not_made(config: str, tmp_path: Path) -> None:
    refused = asked("--config", config, "--ledger", f"sqlite:{tmp_path / 'none.db'}")
    assert (refused.exit_code, "there is no file" in refused.stderr) == (Exit.USAGE, True)
    assert not (tmp_path / "none.db").exists()


def test_a_page_and_a_picture_name_the_command_that_makes_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = asked("--scenario", "healthy", "--edits", "300", "--out", str(out))
    assert result.exit_code == Exit.DONE, result.output
    page = (out / "lab.md").read_text()
    assert f"`kontext lab --edits 300 --scenario 'healthy' --seed 1 --out {out}`" in page
    assert "| balanced |" in page
    assert (out / "lab.svg").read_text().startswith("<svg")
