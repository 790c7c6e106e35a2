"""What the profile of a server takes from its offers, from the file to the settings."""

from datetime import date
from pathlib import Path

import pytest

from adapters.contract import Abilities, GpuPrice
from gateway.configuration import SettingsError, load
from gateway.settings import Provider

CONFIG = """\
[providers.local]
base_url = "http://gpu-box:8000/v1"
profile = "{profile}"
[policies.ours]
tier = "draft"
offers = ["local/kontext-dev"]
[teams.dev]
policy = "ours"
"""


def abilities(folder: Path, profile: str) -> Abilities:
    file = folder / "kontext.toml"
    file.write_text(CONFIG.format(profile=profile))
    settings = load(file, {}, date(2026, 11, 20))
    return settings.offers["local/kontext-dev"].abilities


@pytest.mark.parametrize(
    ("profile", "mask", "seed"),
    [("kontext", True, True), ("vllm_omni", True, True), ("sglang", False, True), ("sd_server", True, False)],
)
def test_planning_sees_only_what_the_server_can_do(tmp_path: Path, profile: str, mask: bool, seed: bool) -> None:
    can = abilities(tmp_path, profile)
    assert (can.mask, can.seed, can.steps is not None, can.guidance is not None) == (mask, seed, seed, seed)
    assert bool(can.refused_tags) == (profile == "sd_server")


BILLED = """\
[providers.{name}]
{lines}
[providers.{name}.models.image]
id = "my-image"
tier = "standard"
price_usd = "0.06"
[policies.ours]
offers = ["{name}/image"]
[teams.dev]
policy = "ours"
"""
KEY = 'api_key = "env:KEY"'
AZURE = f'{KEY}\nbase_url = "https://mine.openai.azure.com"'


def sold(folder: Path, name: str, lines: str) -> Provider:
    file = folder / "kontext.toml"
    file.write_text(BILLED.format(name=name, lines=lines))
    return load(file, {"KEY": "k"}, date(2026, 11, 20)).providers[name]


@pytest.mark.parametrize(
    ("name", "lines", "base_url", "header"),
    [
        ("openai", KEY, "https://api.openai.com/v1", "Authorization"),
        ("azure", AZURE, "https://mine.openai.azure.com", "api-key"),
        ("work", f'{AZURE}\nadapter = "openai_images"\nprofile = "azure"', "https://mine.openai.azure.com", "api-key"),
        ("local", f'{KEY}\nprofile = "openai"', "https://api.openai.com/v1", "Authorization"),
    ],
)
def test_a_billed_server_is_billed_under_any_name(
    tmp_path: Path, name: str, lines: str, base_url: str, header: str
) -> None:
    provider = sold(tmp_path, name, lines)
    (offer,) = (one for one in provider.offers if one.model == "image")
    assert (offer.wire_model, offer.billed, offer.abilities.images) == ("my-image", True, 16)
    assert (provider.base_url, provider.adapter.auth.header, provider.timeout_s) == (base_url, header, 300)


def test_a_server_of_ours_under_the_name_of_another_is_not_billed(tmp_path: Path) -> None:
    provider = sold(tmp_path, "openai", 'base_url = "http://gpu-box:8000/v1"\nprofile = "vllm_omni"')
    assert {offer.billed for offer in provider.offers} == {False}
    assert provider.max_concurrency == 1


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("azure", KEY, r"providers\.azure\.base_url: every account has its own"),
        ("openai", "", r"providers\.openai\.api_key: a billed provider needs its key"),
        ("gpu", KEY, r"providers\.gpu\.adapter: expected one of openai_images, runflow, runware"),
    ],
)
def test_what_is_missing_is_told_by_its_place(tmp_path: Path, name: str, lines: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        sold(tmp_path, name, lines)


@pytest.mark.parametrize("line", ['id = "my-image"\n', 'tier = "standard"\n', 'price_usd = "0.06"\n'])
def test_a_model_of_ones_own_says_all_that_nobody_else_knows(tmp_path: Path, line: str) -> None:
    file = tmp_path / "kontext.toml"
    file.write_text(BILLED.format(name="openai", lines=KEY).replace(line, ""))
    with pytest.raises(SettingsError, match=r"^providers\.openai\.models\.image"):
        load(file, {"KEY": "k"}, date(2026, 11, 20))


GPU = """\
[providers.local]
base_url = "http://gpu-box:8000/v1"
timeout_s = 600
{provider}
[providers.local.models.kontext-dev]
{model}
[policies.ours]
tier = "draft"
offers = ["local/kontext-dev"]
[teams.dev]
policy = "ours"
"""
SECOND = 'gpu_second_usd = "0.0008"'


def gpu(folder: Path, provider: str = "", model: str = "") -> GpuPrice | None:
    file = folder / "kontext.toml"
    file.write_text(GPU.format(provider=provider, model=model))
    return load(file, {}, date(2026, 11, 20)).offers["local/kontext-dev"].gpu


def test_a_machine_is_free_unless_its_seconds_have_a_price(tmp_path: Path) -> None:
    assert gpu(tmp_path) is None
    assert gpu(tmp_path, SECOND) == GpuPrice(second_micro=800, timeout_s=600)
    own = 'gpu_second_usd = "0.001"\ngpu_most_usd = "0.05"'
    assert gpu(tmp_path, SECOND, own) == GpuPrice(second_micro=1000, timeout_s=600, most_micro=50_000)


@pytest.mark.parametrize(
    ("provider", "model", "words"),
    [
        ('gpu_second_usd = "0"', "", r"^providers\.local\.gpu_second_usd: '0' must be more than 0"),
        ("", 'gpu_second_usd = "free"', r"^providers\.local\.models\.kontext-dev\.gpu_second_usd: 'free' is not"),
        ('gpu_most_usd = "0.05"', "", r"^providers\.local\.gpu_most_usd: caps what gpu_second_usd makes"),
    ],
)
def test_a_price_that_is_none_is_told_by_its_place(tmp_path: Path, provider: str, model: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        gpu(tmp_path, provider, model)


def test_a_provider_that_bills_has_no_price_by_the_second(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^providers\.openai\.gpu_second_usd: this provider bills"):
        sold(tmp_path, "openai", f"{KEY}\n{SECOND}")
