"""OpenAI's own JavaScript SDK edits a picture here, unchanged but for its address and its key."""

import asyncio
import base64
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.end_to_end.stage import KEY, PHOTO, Stage
from tests.openai_surface.client import prompt

pytestmark = [pytest.mark.node, pytest.mark.asyncio(loop_scope="session")]

REQUIREMENT = "openai@6.49.0"
SCRIPT = Path(__file__).with_name("edit.mjs")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kontext-gateway" / f"npm-{REQUIREMENT}"


@pytest.fixture(scope="session")
def sdk_folder() -> Path:
    """A folder with the SDK, made on first use."""
    if (CACHE / "ready").exists() and shutil.which("node"):
        return CACHE
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--prefix", str(CACHE), "--no-audit", "--no-fund", "--silent", REQUIREMENT]
        subprocess.run(install, check=True, capture_output=True, timeout=240)
        (CACHE / "ready").touch()
    except (subprocess.SubprocessError, OSError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"node and npm are needed for {REQUIREMENT}: {error}")
    return CACHE


async def test_it_edits_a_picture(stage: Stage, sdk_folder: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(PHOTO)
    words = [SCRIPT, sdk_folder, f"{stage.url}/v1", KEY, photo, prompt()]
    process = await asyncio.create_subprocess_exec(
        "node", *map(str, words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    answer = json.loads(out)
    with Image.open(io.BytesIO(base64.b64decode(answer["b64_json"]))) as made:
        assert (made.format, f"{made.width}x{made.height}") == ("JPEG", answer["size"])
    assert answer["kontext"]["cost_usd"] == "0.040000"
    assert stage.billed() == ["runware/kontext-pro"]
