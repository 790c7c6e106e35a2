"""Hostile pictures: taken or refused as the table says, by one worker that may use 64 MB more than an idle one has.

The limit is the one that a worker puts on itself. Times are printed by `tests/benchmarks/hostile_pictures.py`.
"""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.pictures import BadPicture, Fault, Pictures, Pool
from tests.end_to_end.stage import Stage
from tests.hostile.pictures import PICTURES
from tests.pictures.samples import SECRET, encoded, gradient, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")

ABOVE_IDLE = 64 << 20
REFUSED = [name for name, (_, verdict) in PICTURES.items() if verdict is not None]


async def idle_bytes() -> int:
    """The address space of a worker that has loaded its decoders."""
    pool = Pool(workers=1)
    await pool.warm()
    status = await asyncio.to_thread(Path(f"/proc/{pool._idle[0].pid}/status").read_text, "ascii")
    await pool.aclose()
    found = re.search(r"VmSize:\s+(\d+) kB", status)
    assert found
    return int(found.group(1)) * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small_pool() -> AsyncGenerator[Pool]:
    memory_bytes = await idle_bytes() + ABOVE_IDLE if sys.platform == "linux" else 1 << 30
    pool = Pool(workers=1, memory_bytes=memory_bytes)
    await pool.warm()
    yield pool
    await pool.aclose()


@pytest.mark.parametrize("name", PICTURES)
async def test_it_is_taken_or_refused_as_the_table_says(small_pool: Pool, name: str) -> None:
    make, verdict = PICTURES[name]
    (worker,) = small_pool._idle
    try:
        checked = await Pictures(small_pool).check_input(make())
    except BadPicture as refused:
        assert refused.reason is verdict
    else:
        assert verdict is None
        picture = opened(checked.data)
        assert SECRET not in checked.data
        assert {"exif", "icc_profile", "xmp", "comment"}.isdisjoint(picture.info)
        assert picture.mode != "CMYK"
        assert not getattr(picture, "is_animated", False)
    assert small_pool._idle == [worker], "no picture costs its worker"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the address space cannot be bounded")
async def test_the_limit_is_a_limit(small_pool: Pool) -> None:
    """What needs more than that is refused by the same worker, in words."""
    with pytest.raises(BadPicture) as refused:
        await Pictures(small_pool).check_input(encoded(gradient(64, 64).resize((5000, 5000)), "png"))
    assert refused.value.reason is Fault.SIZE


@pytest.mark.parametrize("name", REFUSED)
async def test_a_caller_is_told_which_picture_and_what_to_send(stage: Stage, name: str) -> None:
    files = [("image", ("photo.png", PICTURES[name][0](), "image/png"))]
    response = await stage.request("POST", "/v1/edits", data={"prompt": "Make it blue"}, files=files)
    problem = response.json()
    assert (response.status_code, problem["type"], problem["field"]) == (
        422,
        "urn:kontext:problem:invalid",
        "images[0]",
    )
    assert problem["expected"]
    assert stage.billed() == []
