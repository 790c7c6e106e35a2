"""Canaries lie in every secret and every prompt of the run, and must not have come out anywhere.

The store's own files are left out: a record holds its prompt until its time is over, as the design says.
"""

from pathlib import Path

import pytest

from gateway.configuration import SettingsError, load
from gateway.secret import read_secret
from tests.end_to_end.stage import KEY, OPERATOR_KEY, PURSE_KEY, today
from tests.watch.run import METADATA, PROMPT, PROVIDER_KEY, SERVER_SECRET, SIGNATURE, Run

SECRETS = (PROVIDER_KEY, SERVER_SECRET, KEY, OPERATOR_KEY, PURSE_KEY, SIGNATURE)
PROMPTS = (PROMPT, "canary-prompt")
CONFIGURED = ("stand-in.key", "server.secret", "kontext.toml")
"""Where an operator put them."""


def among(text: str, canaries: tuple[str, ...]) -> list[str]:
    return [canary for canary in canaries if canary in text]


async def test_nothing_of_them_is_logged(run: Run) -> None:
    log = run.log.getvalue()
    assert log.count("\n") > 20
    assert "webhook_disabled" in log
    assert among(log, (*SECRETS, *PROMPTS, METADATA, run.webhook_secret, "whsec_")) == []


async def test_whoever_is_told_of_an_end_is_told_no_prompt(run: Run) -> None:
    told = "".join(one.body.decode() for one in run.stage.hooks.at("/watched"))
    assert told
    assert among(told, (*SECRETS, *PROMPTS, METADATA, "http")) == []


async def test_nothing_of_them_is_in_the_metrics(run: Run) -> None:
    assert among(await run.page(), (*SECRETS, *PROMPTS, METADATA, '"tests"', '"purse"')) == []


async def test_no_answer_tells_a_secret_or_repeats_a_prompt_in_a_problem(run: Run) -> None:
    """The answer to a path that leads nowhere names that path: its caller's own words."""
    problems = [one for one in run.answers if one.status_code >= 400 and "nothing is served" not in one.text]
    assert len(problems) > 4
    assert among("".join(one.text for one in problems), (*SECRETS, *PROMPTS)) == []
    assert among("".join(one.text for one in run.answers), (PROVIDER_KEY, SERVER_SECRET, KEY, OPERATOR_KEY)) == []


async def test_no_file_holds_a_secret_and_none_but_the_stores_holds_a_prompt(run: Run) -> None:
    files = [path for path in run.folder.rglob("*") if path.is_file() and path.name not in CONFIGURED]
    told = {path: among(path.read_bytes().decode("latin-1"), SECRETS) for path in files if not _is_stores(path)}
    assert not {path.name: found for path, found in told.items() if found}
    assert told
    prompts = {path.name for path in told if among(path.read_bytes().decode("latin-1"), PROMPTS)}
    assert prompts == set()


def _is_stores(path: Path) -> bool:
    return "appendonly" in str(path) or path.suffix in (".rdb", ".aof")


@pytest.mark.parametrize("place", ['api_key = "{}"', 'base_url = "https://u:{}@host"\napi_key = "env:NOPE"'])
async def test_no_error_about_a_configuration_repeats_a_secret(tmp_path: Path, place: str) -> None:
    path = tmp_path / "kontext.toml"
    path.write_text(f"[providers.runware]\n{place.format(PROVIDER_KEY)}\n")
    with pytest.raises(SettingsError) as error:
        load(path, {}, today())
    assert PROVIDER_KEY not in f"{error.value!r} {error.value.__cause__!r} {error.value.__context__!r}"


async def test_no_repr_tells_a_secret(run: Run) -> None:
    assert among(repr(run.settings), SECRETS) == []
    with pytest.raises(ValueError, match="literal") as error:
        read_secret(PROVIDER_KEY, {}, run.folder)
    assert PROVIDER_KEY not in repr(error.value)
