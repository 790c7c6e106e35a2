"""The private engine, as real processes: one per folder, whoever starts, ends or is killed."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.state.binary import Engine, EngineRefused, adopt, find, identify
from gateway.state.connection import connect
from gateway.state.edits import Edits
from gateway.state.embedded import EngineSilent, ensure, stop
from tests.engine import state_folder
from tests.state.samples import edit_record

START = """
import asyncio, sys, pathlib
from gateway.state.embedded import ensure
print(asyncio.run(ensure(pathlib.Path(sys.argv[1]))), flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    async with state_folder() as path:
        yield path


def starter(folder: Path) -> subprocess.Popen[str]:
    """A process that ensures the engine, prints its socket and stays until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", START, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


async def told(path: str, word: str) -> object:
    async with Redis(unix_socket_path=path) as client:
        return (await client.info("server"))[word]


def starts(folder: Path) -> int:
    """How many servers ever began to work in this folder."""
    return (folder / "engine.log").read_text().count("Ready to accept connections")


async def test_processes_that_start_at_once_share_one_engine(folder):
    processes = [starter(folder) for _ in range(3)]
    said = [await asyncio.to_thread(process.communicate) for process in processes]
    assert len({out for out, _ in said}) == 1
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert starts(folder) == 1


async def test_an_engine_outlives_the_kill_of_its_starter_and_serves_the_next(folder):
    process = starter(folder)
    assert process.stdout is not None
    path = (await asyncio.to_thread(process.stdout.readline)).strip()
    engine = await told(path, "run_id")
    os.killpg(process.pid, signal.SIGKILL)
    await asyncio.to_thread(process.communicate)
    assert await ensure(folder) == path
    assert await told(path, "run_id") == engine


async def test_a_client_survives_the_kill_of_the_engine_with_all_that_was_acknowledged(folder):
    store = await connect("embedded:", folder=folder)
    edits = Edits(store, "one")
    for number in range(20):
        await edits.accept(edit_record(number), None, None)
    os.kill((await store.info("server"))["process_id"], signal.SIGKILL)
    for number in range(20):
        assert await edits.get(edit_record(number).id) is not None
    assert len(await edits.owned()) == 20
    assert starts(folder) == 2
    await store.aclose()


async def test_clients_of_two_processes_agree_on_who_restarts(folder):
    process = starter(folder)
    store = await connect("embedded:", folder=folder)
    os.kill((await store.info("server"))["process_id"], signal.SIGKILL)
    await asyncio.gather(store.ping(), ensure(folder), *(ensure(folder) for _ in range(5)))
    assert starts(folder) == 2
    await store.aclose()
    await asyncio.to_thread(process.communicate)


async def test_a_lock_that_is_held_without_an_engine_is_refused_by_name(folder):
    with (folder / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EngineSilent, match=r"engine\.lock is held, but no engine answered"):
            await ensure(folder, patience_s=0.05)


async def test_a_long_state_folder_gets_a_short_socket_and_private_files(folder):
    deep = folder / ("x" * 120)
    path = await ensure(deep)
    assert len(path) < 108
    assert [os.stat(place).st_mode & 0o77 for place in (deep, Path(path).parent, path)] == [0, 0, 0]
    await stop(deep)
    with pytest.raises(FileNotFoundError):
        os.stat(Path(path).parent)


async def test_the_engine_is_configured_to_keep_and_to_stay_private(folder):
    async with Redis(unix_socket_path=await ensure(folder), decode_responses=True) as client:
        told = await client.config_get("port", "save", "append*", "maxmemory-policy", "dir")
    assert told["dir"] == str((folder / "engine").resolve())
    assert (told["port"], told["save"], told["maxmemory-policy"]) == ("0", "", "noeviction")
    assert (told["appendonly"], told["appendfsync"]) == ("yes", "everysec")


async def test_stop_is_quiet_where_nothing_runs_and_data_stays(folder):
    await stop(folder)
    for count in (1, 2):
        async with Redis(unix_socket_path=await ensure(folder)) as client:
            assert await client.rpush("starts", "x") == count
        await stop(folder)


async def test_a_socket_folder_that_others_can_enter_is_refused(folder):
    private = Path(await ensure(folder)).parent
    await stop(folder)
    private.mkdir(mode=0o755)
    with pytest.raises(EngineRefused, match="only this user"):
        await ensure(folder)
    private.rmdir()


async def test_a_folder_that_cannot_be_made_is_refused_with_the_setting(folder):
    (folder / "file").write_text("in the way")
    with pytest.raises(EngineRefused, match=r"\[state\] dir"):
        await ensure(folder / "file" / "state")


async def test_another_engines_files_are_refused_before_it_touches_them(folder):
    adopt(folder, Engine("Redis", "8.2.1"))
    with pytest.raises(EngineRefused, match=r"written by Redis 8\.2\.1; the engine given is Valkey .*KONTEXT_ENGINE"):
        await ensure(folder)
    assert not (folder / "engine").exists()


@pytest.mark.parametrize(
    ("writer", "reader", "fits"),
    [
        ("9.1.2", "9.1.2", True),
        ("9.1.2", "9.1.0", True),
        ("9.1.2", "9.2.0", True),
        ("9.1.2", "10.0.0", True),
        ("9.1.2", "9.0.9", False),
        ("9.1.2", "8.9.9", False),
    ],
)
def test_an_older_release_may_not_read_a_newer_ones_files(tmp_path, writer, reader, fits):
    adopt(tmp_path, Engine("Valkey", writer))
    if not fits:
        with pytest.raises(EngineRefused):
            adopt(tmp_path, Engine("Valkey", reader))
        reader = writer
    adopt(tmp_path, Engine("Valkey", reader))


def program(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "engine"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


async def test_a_program_that_is_no_engine_is_refused(folder, tmp_path):
    with pytest.raises(EngineRefused, match="does not answer `--version`"):
        await ensure(folder, program(tmp_path, "echo GNU coreutils"))
    with pytest.raises(EngineRefused, match="not a program"):
        await ensure(folder, tmp_path / "missing")


async def test_an_engine_that_ends_at_once_is_refused_with_its_last_words(folder, tmp_path):
    script = 'if [ "$1" = --version ]; then echo "Valkey server v=9.9.9 x"; else echo "no room" >engine.log; exit 3; fi'
    with pytest.raises(EngineRefused, match=r"status 3.*no room"):
        await ensure(folder, program(tmp_path, script))


async def test_the_engine_is_given_no_keys(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNWARE_API_KEY", "canary")
    script = 'if [ "$1" = --version ]; then echo "Valkey server v=9.9.9 x"; else env >environment; fi'
    with pytest.raises(EngineRefused):
        await ensure(folder, program(tmp_path, script))
    environment = await asyncio.to_thread((folder / "environment").read_text)
    assert "PWD=" in environment
    assert "canary" not in environment


def test_the_wheels_engine_says_who_it_is():
    assert identify(find(None)).name == "Valkey"
