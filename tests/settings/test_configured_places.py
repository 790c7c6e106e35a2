"""Where state and ledger are: addresses, and references to addresses that hold a password."""

from datetime import date
from pathlib import Path

import pytest

from gateway.configuration import SettingsError, load
from gateway.settings import Settings

BY_NAME = """
[server]
secret = "env:SECRET"
[state]
url = "env:STORE"
[ledger]
url = "file:ledger-url"
"""


def loaded(folder: Path, text: str, **env: str) -> Settings:
    path = folder / "kontext.toml"
    path.write_text(text)
    return load(path, env, date(2026, 11, 20))


def test_addresses_may_stand_in_the_environment_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "ledger-url").write_text("postgresql://u:p@db/books\n")
    settings = loaded(tmp_path, BY_NAME, SECRET="s" * 32, STORE="rediss://:p@store:6379")
    assert settings.state.url == "rediss://:p@store:6379"
    assert settings.ledger_url == "postgresql://u:p@db/books"


def test_a_folder_of_pictures_lies_beside_the_file_and_not_where_the_process_was_started(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").results_url == f"file:{tmp_path}/.kontext/results"
    for given in ("file:pictures", "file://pictures", f"file:{tmp_path}/pictures"):
        assert loaded(tmp_path, f'[results]\nurl = "{given}"').results_url == f"file:{tmp_path}/pictures"
    assert loaded(tmp_path, '[results]\nurl = "s3://bucket/prefix"').results_url == "s3://bucket/prefix"


def test_a_reference_that_leads_nowhere_is_refused_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"state\.url: the environment variable STORE is not set"):
        loaded(tmp_path, BY_NAME, SECRET="s" * 32)
    with pytest.raises(SettingsError, match=r"ledger\.url: the file .* cannot be read"):
        loaded(tmp_path, BY_NAME, SECRET="s" * 32, STORE="redis://store")


@pytest.mark.parametrize(
    ("state", "confirmations"),
    [
        ('url = "redis://a"', 0),
        ('url = "rediss+sentinel://a,b/books"', 1),
        ('url = "redis+cluster://a,b"', 1),
        ('url = "redis+cluster://a,b"\nmin_replicas = 0', 0),
        ('url = "redis://a"\nmin_replicas = 2', 2),
    ],
)
def test_where_a_store_has_several_nodes_one_more_confirms_what_moves_money(
    tmp_path: Path, state: str, confirmations: int
) -> None:
    settings = loaded(tmp_path, f'[server]\nsecret = "env:SECRET"\n[state]\n{state}\n', SECRET="s" * 32)
    assert settings.state.confirmations == confirmations


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[budget]\nmonth_usd = 500", r"budget\.month_usd: .*in quotes"),
        ('[policies.a]\norder = "cheapst"', r"policies\.a\.order: .*a list such as \[.cheapest.\]"),
        ('[policies.a]\ntier = "premum"', r"policies\.a\.tier: .*one of preview, draft, standard, premium"),
        ("[server]\nport = 99999", r"server\.port: .*65535"),
        ("[metrics]\nport = -1", r"metrics\.port: .*>= 0"),
        ('[server]\nsecret = "env:SECRET"', r"server\.secret: shorter than 32 .*openssl rand -hex 32"),
        ('[results]\nurl = "ftp://pictures"', r"results\.url: expected file:FOLDER"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_what_to_write(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        loaded(tmp_path, text, SECRET="hunter2")
