"""Every configuration that is shipped for a deployment is one that the gateway takes."""

from datetime import date
from pathlib import Path

import pytest

from gateway.configuration import load

ROOT = Path(__file__).parents[2]
SECRETS = ("signing", "runware", "runflow")
ENVIRONMENT = {
    "KONTEXT_STATE_URL": "redis+sentinel://:p@sentinel/books",
    "KONTEXT_LEDGER_URL": "postgresql://kontext:p@ledger/kontext",
}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "deploy").rglob("kontext.toml")), ids=lambda path: str(path.parent.name)
)
def test_a_shipped_configuration_is_taken(path: Path, tmp_path: Path) -> None:
    """With its secrets' folder where a test may write one."""
    for name in SECRETS:
        (tmp_path / name).write_text("0" * 64)
    text = path.read_text("utf-8")
    for folder in ("/run/secrets/kontext", "/run/secrets"):
        text = text.replace(folder, str(tmp_path))
    copy = tmp_path / "kontext.toml"
    copy.write_text(text)
    settings = load(copy, ENVIRONMENT, date(2026, 11, 20))
    assert {"runware/kontext-pro", "runflow/kontext-max"} <= set(settings.offers)
    assert settings.policies["production"].offers
