"""A configuration that changes while the gateway runs: taken whole, or refused with the old one left in force."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.configuration import load
from gateway.current import Current
from gateway.observe import Metrics
from gateway.reload import Reloader
from gateway.settings import Settings, Source

FILE = """\
[server]
secret = "file:signing"
[state]
dir = "{dir}"
[providers.runware]
api_key = "env:KEY"
[policies.p]
offers = ["{offer}"]
[teams.t]
policy = "p"
keys = ["sha256:{key}"]
"""
KEY, OTHER_KEY = "a" * 64, "b" * 64
PRO, MAX = "runware/kontext-pro", "runware/kontext-max"


class Desk:
    """A file, and what a running gateway makes of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kontext.toml"
        (folder / "signing").write_text("s" * 32)
        self.write()
        source = Source(self.path, lambda: load(self.path, {"KEY": "k"}, date(2026, 11, 20)))
        self.current = Current(source.read())
        self.metrics = Metrics("1", self.current.settings.revision)
        self.reloader = Reloader(self.current, source, self.metrics, SystemClock())

    def write(self, *, offer: str = PRO, key: str = KEY, folder: str = "state") -> None:
        self.path.write_text(FILE.format(offer=offer, key=key, dir=folder))

    def count(self, result: str) -> float | None:
        return self.metrics.registry.get_sample_value("kontext_config_reloads_total", {"result": result})

    @property
    def is_refused(self) -> float | None:
        return self.metrics.registry.get_sample_value("kontext_config_refused")

    @property
    def offers(self) -> tuple[str, ...]:
        return self.current.settings.policies["p"].offers

    def revisions(self) -> list[str]:
        """What the scraper is told is in force."""
        return [
            sample.labels["revision"]
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "kontext_build_info"
        ]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_changed_file_is_taken_whole(desk: Desk) -> None:
    before = desk.current.settings.revision
    desk.write(offer=MAX, key=OTHER_KEY)
    await desk.reloader.reload()
    assert desk.offers == (MAX,)
    assert set(desk.current.settings.keys) == {f"sha256:{OTHER_KEY}"}, "a key that is gone is revoked"
    assert desk.revisions() == [desk.current.settings.revision] != [before]
    assert (desk.count("applied"), desk.current.refusal) == (1, None)


async def test_the_same_file_changes_nothing(desk: Desk) -> None:
    await desk.reloader.reload()
    assert (desk.count("unchanged"), desk.count("applied")) == (1, 0)


BROKEN: dict[str, tuple[Callable[[str], str], str]] = {
    "not TOML": (lambda text: text + "[", "is not TOML"),
    "an unknown field": (lambda text: text + 'tire = "premium"\n', "tire"),
    "an unknown offer": (lambda text: text.replace(PRO, "runware/kontext-ultra"), "kontext-ultra"),
    "a literal key": (lambda text: text.replace("env:KEY", "sk-123"), "a literal key in the file is refused"),
}


@pytest.mark.parametrize(("spoil", "words"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_file_changes_nothing_and_says_why(desk: Desk, spoil: Callable[[str], str], words: str) -> None:
    before = desk.current.settings
    desk.path.write_text(spoil(desk.path.read_text()))
    await desk.reloader.reload()
    assert desk.current.settings is before
    assert desk.current.refusal is not None
    assert words in desk.current.refusal
    assert (desk.count("refused"), desk.revisions()) == (1, [before.revision])
    assert desk.is_refused == 1, "for as long as a restart with this file would not come up"
    desk.write()
    await desk.reloader.reload()
    assert (desk.current.refusal, desk.is_refused) == (None, 0)


async def test_a_file_by_which_nobody_could_call_changes_nothing(desk: Desk) -> None:
    """What an editor leaves for a moment: a file without anything in it is a valid one."""
    desk.path.write_text("")
    await desk.reloader.reload()
    assert desk.offers == (PRO,)
    assert "no team has a key" in (desk.current.refusal or "")


async def test_a_file_that_is_gone_changes_nothing(desk: Desk) -> None:
    desk.path.unlink()
    await desk.reloader.reload()
    assert desk.offers == (PRO,)
    assert "cannot be read" in (desk.current.refusal or "")


async def test_an_error_that_nobody_foresaw_ends_no_later_reload(desk: Desk) -> None:
    before, failures = desk.current.settings, [RecursionError()]

    def read() -> Settings:
        if failures:
            raise failures.pop()
        return load(desk.path, {"KEY": "k"}, date(2026, 11, 20))

    reloader = Reloader(desk.current, Source(desk.path, read), desk.metrics, SystemClock())
    desk.write(key=OTHER_KEY)
    await reloader.reload()
    assert "reload_failed" in (desk.current.refusal or "")
    assert desk.current.settings is before
    assert desk.count("refused") == 1
    await reloader.reload()
    assert set(desk.current.settings.keys) == {f"sha256:{OTHER_KEY}"} != set(before.keys)
    assert desk.current.refusal is None


async def test_what_rooms_were_opened_with_waits_for_a_restart(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest of the file is in force all the same."""
    before = desk.current.settings
    desk.write(offer=MAX, folder="elsewhere")
    (desk.path.parent / "signing").write_text("t" * 32)
    await desk.reloader.reload()
    assert desk.offers == (MAX,)
    assert desk.current.settings.state_dir == before.state_dir
    assert desk.current.settings.secrets == before.secrets
    told = capsys.readouterr()
    line = next(line for line in (told.out + told.err).splitlines() if "configuration_needs_restart" in line)
    assert all(name in line for name in ("state_dir", "server.secret"))
