"""What a replica may hold at once, and the shares of it."""

from datetime import date
from pathlib import Path

import pytest

from gateway.configuration import SettingsError, load
from gateway.settings import Settings

TEAM = """
[providers.local]
[policies.any]
tier = "preview"
offers = ["local/preview"]
[teams.growth]
policy = "any"
"""


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "kontext.toml"
    path.write_text(text)
    return load(path, {}, date(2026, 11, 20))


def test_sizes_are_read_in_their_units(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").limits.picture_bytes == 512_000_000
    assert loaded(tmp_path, '[limits]\npicture_bytes = "2GB"').limits.picture_bytes == 2_000_000_000


@pytest.mark.parametrize("size", ["63MB", "512", "MB", "1.5GB", "-1GB", "9TB"])
def test_a_size_that_cannot_be_meant_is_refused_with_one_that_can(tmp_path: Path, size: str) -> None:
    with pytest.raises(SettingsError, match=r"limits\.picture_bytes: .*MB"):
        loaded(tmp_path, f'[limits]\npicture_bytes = "{size}"')


def test_a_team_has_a_share(tmp_path: Path) -> None:
    assert loaded(tmp_path, TEAM).teams["growth"].share == 1.0
    assert loaded(tmp_path, TEAM + "share = 2.5").teams["growth"].share == 2.5
    with pytest.raises(SettingsError, match="share"):
        loaded(tmp_path, TEAM + "share = 0")
