"""What `model` comes to, and which aliases a configuration may add."""

from datetime import date
from pathlib import Path

import pytest

from gateway.api.openai.models import fields_of
from gateway.api.problems import ProblemError
from gateway.configuration import SettingsError, load
from gateway.settings import Settings

CONFIG = """
[providers.runware]
api_key = "env:KEY"
[providers.runflow]
api_key = "env:KEY"
[providers.local]
[policies.production]
offers = ["runware/kontext-pro"]
[teams.growth]
policy = "production"
[openai]
aliases = {aliases}
"""
ALIASES = '{ "House-Style" = "policy:production", "gpt-image-1" = "premium", "cheap" = "kontext-dev" }'


def configured(folder: Path, aliases: str = ALIASES) -> Settings:
    path = folder / "kontext.toml"
    path.write_text(CONFIG.format(aliases=aliases))
    return load(path, {"KEY": "secret"}, date(2027, 1, 15))


MEANS: dict[str | None, dict[str, object]] = {
    None: {},
    "runflow/kontext-max": {"models": ["runflow/kontext-max"]},
    "premium": {"tier": "premium"},
    "policy:production": {"policy": "production"},
    "kontext-pro": {"models": ["runware/kontext-pro", "runflow/kontext-pro"]},
    "FLUX.1-Kontext-max": {"models": ["runware/kontext-max", "runflow/kontext-max"]},
    "gpt-image-2": {},
    "gpt-image-1": {"tier": "premium"},
    "house-style": {"policy": "production"},
    "cheap": {"models": ["runware/kontext-dev"]},
}


@pytest.mark.parametrize("model", MEANS)
def test_a_model_is_an_offer_a_tier_a_policy_or_a_name_that_stands_for_one(tmp_path: Path, model: str | None) -> None:
    assert fields_of(model, configured(tmp_path)) == MEANS[model]


@pytest.mark.parametrize("model", ["gpt-5", "policy:nobody", "runware/kontext-ultra", ""])
def test_a_name_that_nobody_knows_is_refused_with_those_that_are_known(tmp_path: Path, model: str) -> None:
    with pytest.raises(ProblemError) as refused:
        fields_of(model, configured(tmp_path))
    assert (refused.value.kind, refused.value.field) == ("not_found", "model")
    assert "policy:production" in (refused.value.expected or "")


def test_an_alias_that_leads_nowhere_is_refused_when_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r'openai\.aliases\."x": \'nowhere\' is nothing here'):
        configured(tmp_path, '{ x = "nowhere" }')
