"""The pages: they build, their links lead somewhere, and what they show is what happens.

`<!-- configuration -->` before a block: the gateway takes it as a whole file. `<!-- runs -->`: bash or Python runs it
in a folder with a `photo.jpg`, beside a gateway of its own.
`<!-- serves -->`: a receiver of webhooks.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator
from datetime import date
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.clock import SystemClock
from gateway.configuration import load
from gateway.configuration.reference import reference
from gateway.state.deliveries import Delivery
from gateway.state.embedded import stop
from gateway.webhooks.signing import signed
from tests.end_to_end.processes import Server, environment
from tests.end_to_end.stage import state_folder

DOCS = Path(__file__).parents[2] / "docs"
PHOTO = DOCS.parent / "tests" / "pictures" / "photos" / "rocket.jpg"
KEY = "kx_docs"
KEYS: tuple[str, ...] = ("RUNWARE_API_KEY", "RUNFLOW_API_KEY", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
_BLOCK = re.compile(r"<!-- (configuration|runs|serves) -->\n```(\w+)\n(.*?)```", re.DOTALL)
RUN_BY = {"sh": ("bash", "-euo", "pipefail", "-c"), "python": (sys.executable, "-W", "error", "-c")}
SECRETS = tuple(f"whsec_{b64encode(byte * 32).decode()}" for byte in (b"n", b"o"))
DELIVERY = Delivery(
    message="msg_1", event="edit.succeeded", edit="edit_1", url="", state="pending", created_ms=0, due_ms=0,
    data=b'{"object":"edit","id":"edit_1","status":"succeeded"}', tries_before=0, tries=(),
)  # fmt: skip


def blocks(kind: str) -> list[object]:
    return [
        pytest.param(*((text, language) if kind == "runs" else (text,)), id=f"{page.stem}-{number}")
        for page in sorted(DOCS.glob("*.md"))
        for number, (found, language, text) in enumerate(_BLOCK.findall(page.read_text("utf-8")))
        if found == kind
    ]


@pytest.mark.parametrize("text", blocks("configuration"))
def test_a_shown_configuration_is_taken(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kontext.toml"
    path.write_text(text)
    settings = load(path, dict.fromkeys(KEYS, "key"), date(2026, 11, 20))
    assert settings.policies


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway() -> AsyncGenerator[Server]:
    async with state_folder() as folder:
        server = await Server.start("serve", "--port", "0", cwd=folder, KONTEXT_DEV_KEY=KEY)
        yield server
        await server.end(signal.SIGTERM)
        await stop(folder / ".kontext")  # the engine outlives its gateway


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("text", "language"), blocks("runs"))
async def test_a_shown_command_runs(text: str, language: str, gateway: Server, tmp_path: Path) -> None:
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    env = environment(KONTEXT_URL=gateway.url, KONTEXT_API_KEY=KEY)
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *RUN_BY[language], text, cwd=tmp_path, env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("text", blocks("serves"))
async def test_a_shown_receiver_takes_what_the_gateway_signs_once_and_nothing_else(text: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *RUN_BY["python"], text, cwd=tmp_path, env=environment(PORT="0", WEBHOOK_SECRETS=" ".join(SECRETS)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    url = (await process.stdout.readline()).decode().split()[-1]
    headers, body = signed(DELIVERY, SECRETS[:1], SystemClock().now_ms())
    async with httpx.AsyncClient() as http:
        answers = [await http.post(url, content=sent, headers=headers) for sent in (body, body, body + b" ")]
    process.terminate()
    said, _ = await process.communicate()
    assert [answer.status_code for answer in answers] == [204, 204, 401]
    assert said.decode().split() == ["edit.succeeded", "edit_1"]


def test_the_reference_is_what_the_types_say() -> None:
    told = "run: make made"
    assert (DOCS / "configuration.md").read_text("utf-8") == reference(), told


def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("sphinx-build")
    command = [program, "-W", "--keep-going", "-q", "-b", "html", DOCS, tmp_path]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
