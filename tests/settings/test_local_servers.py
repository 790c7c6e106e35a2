"""What the profile of a server takes from its offers, from the file to the settings."""

from datetime import date
from pathlib import Path

import pytest

from adapters.contract import Abilities
from gateway.configuration import load

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
    [("kontext", True, True), ("vllm_omni", False, True), ("sglang", False, False), ("sd_server", False, False)],
)
def test_planning_sees_only_what_the_server_can_do(tmp_path: Path, profile: str, mask: bool, seed: bool) -> None:
    can = abilities(tmp_path, profile)
    assert (can.mask, can.seed, can.steps is not None, can.guidance is not None) == (mask, seed, seed, seed)
    assert bool(can.refused_tags) == (profile == "sd_server")
