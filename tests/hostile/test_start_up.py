"""What a gateway refuses to start with, each with a cure and a name by which its operator may accept it."""

import re
from pathlib import Path

import pytest

from gateway.configuration import load
from gateway.safety import dangers
from gateway.server import ServerRefused, run
from gateway.settings import Settings, Source
from tests.end_to_end.stage import today
from tests.ports import free_port

BASE = """
[providers.local]
[providers.runware]
api_key = "file:runware.key"
[policies.preview]
tier = "preview"
offers = ["local/preview"]
"""
MIXED = """
[policies.mixed]
offers = ["runware/kontext-pro", "local/preview"]
"""


def settings(folder: Path, text: str = "", *, mode: int = 0o600) -> Settings:
    (folder / "runware.key").write_text("k" * 32)
    (folder / "runware.key").chmod(mode)
    (folder / "kontext.toml").write_text(BASE + text)
    return load(folder / "kontext.toml", {}, today())


SERVER = "[server]\n"
CASES = {
    "loopback": ("", "127.0.0.1", 0o600, None),
    "loopback by IPv6": ("", "::1", 0o600, None),
    "loopback by name": ("", "localhost", 0o600, None),
    "every address": ("", "0.0.0.0", 0o600, "public_without_tls"),
    "every address of IPv6": ("", "::", 0o600, "public_without_tls"),
    "a name": ("", "gateway.internal", 0o600, "public_without_tls"),
    "behind TLS": (f"{SERVER}behind_tls = true\n", "0.0.0.0", 0o600, None),
    "accepted without TLS": (f'{SERVER}accept_risks = ["public_without_tls"]\n', "0.0.0.0", 0o600, None),
    "a key that all may read": ("", "127.0.0.1", 0o604, "readable_keys"),
    "a key that its group may read": ("", "127.0.0.1", 0o640, None),
    "accepted readable": (f'{SERVER}accept_risks = ["readable_keys"]\n', "127.0.0.1", 0o644, None),
    "a preview that is excluded by its policy's tier": (MIXED, "127.0.0.1", 0o600, None),
    "a preview beside what is paid for": (f'{MIXED}tier = "preview"\n', "127.0.0.1", 0o600, "preview_in_production"),
    "a preview to fall to": (f'{MIXED}degrade_to = "preview"\n', "127.0.0.1", 0o600, "preview_in_production"),
    "a preview that is accepted": (
        f'{MIXED}tier = "preview"\n{SERVER}accept_risks = ["preview_in_production"]\n',
        "127.0.0.1",
        0o600,
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_danger_is_named_with_its_cure(tmp_path: Path, name: str) -> None:
    text, host, mode, risk = CASES[name]
    found = dangers(settings(tmp_path, text, mode=mode), host)
    assert [danger.risk for danger in found] == ([risk] if risk else [])
    for danger in found:
        assert danger.cure in str(danger)
        assert f'accept_risks = ["{risk}"]' in str(danger)


def test_a_server_does_not_start_with_one(tmp_path: Path) -> None:
    asked = settings(tmp_path)
    port = free_port()
    with pytest.raises(ServerRefused, match=r"TLS terminator.*accept_risks"):
        run(asked, "0.0.0.0", port, lambda *_: None, Source(None, lambda: asked))
    assert not (tmp_path / ".kontext").exists(), "nothing was opened"


def test_every_test_that_the_security_page_names_is_there() -> None:
    root = Path(__file__).parents[2]
    named = re.findall(r"`(tests/[^` ]+)`", (root / "docs" / "SECURITY.md").read_text("utf-8"))
    assert len(named) > 12
    assert [path for path in named if not (root / path).exists()] == []
