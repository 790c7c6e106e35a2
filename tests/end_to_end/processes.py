"""The command `kontext` in processes of its own, as an operator runs it, and killed as a machine dies.

Name the fixture in a conftest: `from tests.end_to_end.processes import field`.
"""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from tests.end_to_end.stage import PHOTO_URI, PROMPT, Answer, eventually, state_folder

KONTEXT = [sys.executable, "-c", "from gateway.cli import main; main()"]
KEY = "kx_rehearsal"
ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+")

# Recovery in seconds, not tens of them; and Runflow, which knows no ids of ours, as a primary.
EXTRA = """
[state]
dir = "state"
beat_s = 0.3
dead_after_s = 1.5

[policies.runflow_first]
offers = ["runflow/kontext-pro", "runware/kontext-pro"]
"""


def environment(**more: str) -> dict[str, str]:
    """Nothing of the developer's own configuration or keys."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": os.getcwd(), **more}


async def kontext(
    *words: str, cwd: Path, within_s: float = 60, program: Sequence[str] = KONTEXT, **env: str
) -> tuple[int, str, str]:
    """Runs a command to its end: exit code, output, errors. `program`: of another installation."""
    process = await asyncio.create_subprocess_exec(
        *program, *words, cwd=cwd, env=environment(**env), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), within_s)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


class Server:
    """A command that serves until it is told to stop."""

    def __init__(self, process: Process) -> None:
        self.process, self.url = process, ""

    @classmethod
    async def start(cls, *words: str, cwd: Path, program: Sequence[str] = KONTEXT, **env: str) -> "Server":
        """Ready when this returns: the command's first line names its address."""
        log = (cwd / "servers.log").open("ab")
        try:
            process = await asyncio.create_subprocess_exec(
                *program, *words, cwd=cwd, env=environment(**env), stdin=DEVNULL, stdout=PIPE, stderr=log
            )
        finally:
            log.close()
        server = cls(process)
        found = ADDRESS.search(await server.line())
        assert found, f"kontext {' '.join(words)} did not start: {(cwd / 'servers.log').read_text()}"
        server.url = found.group().decode()
        return server

    async def line(self) -> bytes:
        """The next line of its output."""
        assert self.process.stdout is not None
        return await asyncio.wait_for(self.process.stdout.readline(), 30)

    async def end(self, number: signal.Signals, within_s: float = 10) -> int:
        """The exit code after a signal."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        # The rest of its output is read, since a full pipe would keep it from ending.
        await asyncio.wait_for(self.process.communicate(), within_s)
        assert self.process.returncode is not None
        return self.process.returncode


class Field:
    """Stand-ins in a process of their own, a configuration that they wrote, and gateways beside each other."""

    def __init__(self, folder: Path, stand_ins: Server, http: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self.folder, self.stand_ins, self.http, self._stack = folder, stand_ins, http, stack
        self.config = folder / "kontext.toml"

    async def gateway(self, program: Sequence[str] = KONTEXT, **env: str) -> Server:
        words = ("serve", "--config", str(self.config), "--port", "0")
        server = await Server.start(*words, cwd=self.folder, program=program, **env)
        self._stack.push_async_callback(server.end, signal.SIGKILL)
        return server

    async def begin(self, server: Server, **fields: object) -> str:
        """The id of an edit that goes on by itself."""
        headers = {"authorization": f"Bearer {KEY}", "prefer": "respond-async"}
        document = {"prompt": PROMPT, "images": [PHOTO_URI], **fields}
        response = await self.http.post(f"{server.url}/v1/edits", json=document, headers=headers)
        assert response.status_code == 202, response.text
        return response.json()["id"]

    async def read(self, server: Server, edit_id: str) -> Answer:
        headers = {"authorization": f"Bearer {KEY}"}
        response = await self.http.get(f"{server.url}/v1/edits/{edit_id}", headers=headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def ended(self, server: Server, edit_id: str, within_s: float = 20) -> Answer:
        async def probe() -> Answer | None:
            answer = await self.read(server, edit_id)
            return None if answer["status"] in ("queued", "running") else answer

        return await eventually(probe, within_s)

    async def submitted(self, number: int) -> None:
        """Waits until so many edits were accepted at the stand-ins."""

        async def probe() -> bool:
            return len(await self.charges()) >= number

        await eventually(probe)

    async def charges(self) -> list[dict[str, Any]]:
        """The stand-ins' bill, entry by entry."""
        return (await self.http.get(f"{self.stand_ins.url}/rehearsal/bill")).json()["entries"]

    async def fault(self, provider: str, **script: object) -> None:
        response = await self.http.put(f"{self.stand_ins.url}/rehearsal/faults/{provider}", json=script)
        assert response.status_code == 200, response.text

    async def reset(self) -> None:
        await self.http.delete(f"{self.stand_ins.url}/rehearsal")


@asynccontextmanager
async def field_of(extra: str = EXTRA, seconds: float = 2.0) -> AsyncGenerator[Field]:
    """A field whose edits take so many seconds at the stand-ins, with `extra` in its configuration."""
    async with state_folder() as folder, AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        words = ("rehearse", "--port", "0", "--seconds", str(seconds), "--write-config", "kontext.toml")
        stand_ins = await Server.start(*words, cwd=folder)
        stack.push_async_callback(stand_ins.end, signal.SIGTERM)
        assert b"configuration: kontext.toml" in await stand_ins.line()
        written = (folder / "kontext.toml").read_text()
        patience = "[providers.runflow]\nquarantine_s = 4\n"
        (folder / "kontext.toml").write_text(written.replace("[providers.runflow]\n", patience) + extra)
        yield Field(folder, stand_ins, http, stack)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def field() -> AsyncGenerator[Field]:
    async with field_of() as it:
        yield it
