"""What people get wrong on the first day is told in a sentence: the field, what was expected, what to write instead."""

import asyncio
from contextlib import chdir, closing
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis.asyncio import Redis
from rich.console import Console

from gateway.cli.main import main
from gateway.cli.usage import table
from gateway.server import ServerRefused, bound, listen
from gateway.state.connection import StoreUnavailable, unavailable
from gateway.state.embedded import stop
from tests.end_to_end.processes import kontext
from tests.end_to_end.stage import PHOTO

EDIT = ("edit", "photo.jpg", "Make it black and white")
# what was got wrong -> the command, the environment, words of the answer
MISTAKES = {
    "an address without its scheme": (("usage",), {"KONTEXT_URL": "localhost:8080"}, ("localhost:8080", "http://")),
    "a key in other letters": (("usage",), {"KONTEXT_API_KEY": "kx_ключ"}, ("KONTEXT_API_KEY", "kx_")),
    "the same, of top": (("top", "--once"), {"KONTEXT_API_KEY": "kx_ключ"}, ("KONTEXT_API_KEY", "kx_")),
    "the same, of drain": (("drain", "--note", "x"), {"KONTEXT_URL": "gateway"}, ("gateway", "http://")),
    "a port that is none": (("serve", "--port", "99999"), {}, ("--port", "65535")),
    "a folder as the picture": ((*EDIT, "-o", "."), {}, ("--out", "name a file")),
    "a place below a file": ((*EDIT, "-o", "photo.jpg/out.png"), {}, ("--out", "photo.jpg", "another place")),
    "a team's name that no file takes": (("key", "new", "Bad Team"), {}, ("TEAM", "a-z")),
    "a field without a value": ((*EDIT, "-o", "o.png", "--set", "output.quality"), {}, ("--set", "FIELD=VALUE")),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_at_the_command_line_is_told_before_anybody_is_asked(what: str, tmp_path: Path) -> None:
    words, env, told = MISTAKES[what]
    runner = CliRunner(env={"KONTEXT_URL": None, "KONTEXT_API_KEY": None, "KONTEXT_DEV_KEY": None, **env})
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    with chdir(tmp_path):
        ended = runner.invoke(main, words)
    said = " ".join(ended.output.replace("│", " ").split())
    assert ended.exit_code == 2, said
    assert [word for word in told if word not in said] == [], said


@pytest.mark.asyncio(loop_scope="session")
async def test_a_picture_that_cannot_be_written_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    code, _, err = await kontext(*EDIT, "-o", "/dev/full", cwd=tmp_path)
    assert (code, "the picture is at http" in " ".join(err.replace("│", " ").split()), "Traceback" in err) == (
        1,
        True,
        False,
    ), err


# the setting -> a file that names by it what is not there
SILENT = {
    "[state] url": '[state]\nurl = "redis://127.0.0.1:1"\n[server]\nsecret = "file:secret"\n',
    "[ledger] url": '[ledger]\nurl = "sqlite:photo.jpg/ledger.db"\n',
    "[results] url": '[results]\nurl = "file:photo.jpg/pictures"\n',
}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("what", SILENT)
async def test_a_place_that_cannot_be_used_ends_the_start_with_its_setting(what: str, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    (tmp_path / "secret").write_text("s" * 40)
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "kontext.toml").write_text(SILENT[what])
    code, _, err = await kontext("serve", "--port", "0", cwd=tmp_path)
    if (tmp_path / ".kontext").exists():
        await stop(tmp_path / ".kontext")  # the engine outlives a gateway that did not come up
    said = " ".join(err.replace("│", " ").split())
    assert (code, what in said, "Traceback" in err) == (2, True, False), said


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("command", ["rehearse", "local"])
async def test_a_port_that_somebody_has_is_told_before_an_address_is(command: str, tmp_path: Path) -> None:
    with closing(bound("127.0.0.1", 0)) as taken:
        listen(taken)
        port = str(taken.getsockname()[1])
        code, out, err = await kontext(command, "--port", port, cwd=tmp_path)  # its server takes the logging for itself
    said = " ".join((out + err).replace("│", " ").split())
    assert (code, f"127.0.0.1:{port} cannot be listened on (Address already in use)" in said) == (2, True), said
    assert "http://" not in said


@pytest.mark.asyncio(loop_scope="session")
async def test_what_answers_and_is_no_store_is_a_store_that_does_not_answer() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as web:
        port = web.sockets[0].getsockname()[1]
        async with Redis.from_url(f"redis://127.0.0.1:{port}", protocol=2) as store:
            with pytest.raises(StoreUnavailable), unavailable():
                await store.ping()


def test_of_two_gateways_that_start_on_one_port_at_once_the_second_one_ends() -> None:
    with closing(bound("127.0.0.1", 0)) as first, closing(bound("127.0.0.1", first.getsockname()[1])) as second:
        listen(first)
        with pytest.raises(ServerRefused, match="choose another by --port"):
            listen(second)


def test_amounts_are_whole_on_a_screen_of_eighty_columns() -> None:
    counts = {"edits": 1, "pictures": 1}
    sums = {f"{name}_usd": Decimal("0.040000") for name in ("spent", "wasted", "unresolved", "held")}
    console = Console(width=80)
    with console.capture() as shown:
        console.print(table(("team", "model"), [{"team": "growth", "model": "runware/kontext-pro", **counts, **sums}]))
    assert shown.get().count("$0.040000") == 2 * len(sums)
