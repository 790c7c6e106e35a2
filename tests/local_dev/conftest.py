"""One tiny model, and one server of it by the real command, for all tests: to import torch costs more than to edit."""

import asyncio
import base64
import io
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from gateway.local import pictures
from tests.end_to_end.processes import Server, environment
from tests.end_to_end.stage import eventually

ROCKET = Path(__file__).parents[1] / "pictures" / "photos" / "rocket.jpg"
STEPS = 3


def photograph() -> Image.Image:
    """In sRGB, as everybody works on it."""
    return pictures.decode(ROCKET.read_bytes())


def png(of: Image.Image) -> bytes:
    out = io.BytesIO()
    of.save(out, "PNG")
    return out.getvalue()


PHOTO = png(photograph())
PLACES = 10
WORDS = ("--max-pixels", "65536", "--steps", str(STEPS), "--threads", "1", "--queue", str(PLACES - 1))
PROMPT = "Make the rocket blue"
# The worker's allocator returns what an edit needed, so that a limit on its memory is met by the next one for certain.
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


class Studio:
    """The server and a caller of it."""

    def __init__(self, server: Server, http: httpx.AsyncClient, log: Path) -> None:
        self.server, self.url, self.http, self._log = server, server.url, http, log

    def log(self) -> str:
        return self._log.read_text()

    async def post(self, *, picture: bytes | None = None, mask: bytes | None = None, edit: str | None = None,
                   **fields: Any) -> httpx.Response:  # fmt: skip
        files = {"image": ("rocket.png", picture or PHOTO, "image/png")}
        if mask is not None:
            files["mask"] = ("mask.png", mask, "image/png")
        data = {"prompt": PROMPT, "seed": 7, **fields}
        data = {name: str(value) for name, value in data.items() if value is not None}
        headers = {"x-edit-id": edit} if edit else {}
        return await self.http.post(f"{self.url}/v1/images/edits", data=data, files=files, headers=headers)

    async def edit(self, **fields: Any) -> Image.Image:
        return picture_of(await self.post(**fields))

    async def health(self) -> dict[str, Any]:
        return (await self.http.get(f"{self.url}/health")).json()

    async def ready(self) -> dict[str, Any]:
        async def probe() -> dict[str, Any] | None:
            health = await self.health()
            assert health["status"] != "failed", health
            return health if health["status"] == "ready" else None

        return await eventually(probe, 120)


def picture_of(answer: httpx.Response, number: int = 0) -> Image.Image:
    assert answer.status_code == 200, answer.text
    picture = Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][number]["b64_json"])))
    picture.load()
    return picture


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    words = (sys.executable, "-m", "tests.local_dev.tiny", str(folder))
    build = await asyncio.create_subprocess_exec(*words, env=environment(HF_HUB_OFFLINE="1"))
    assert await build.wait() == 0
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def studio(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    words = ("local", "--engine", "kontext-dev", "--weights", str(weights), "--port", "0", *WORDS)
    server = await Server.start(*words, cwd=folder, **GIVES_BACK)
    try:
        async with httpx.AsyncClient(timeout=60) as http:
            made = Studio(server, http, folder / "servers.log")
            await made.ready()
            yield made
    finally:
        await server.end(signal.SIGTERM, 20)
