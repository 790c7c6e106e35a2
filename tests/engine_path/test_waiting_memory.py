"""An edit that waits for its provider holds no picture in memory: two thousand of them must fit."""

import gc
import random

from PIL import Image

from adapters.contract import HttpReply
from tests.engine_path.script import RUNWARE, Request
from tests.engine_path.stage import RUNWARE_PRO, Stage
from tests.pictures.samples import encoded

LARGE = 50_000


def large_values() -> dict[int, int]:
    """Bytes and text of more than 50 kB that anything alive refers to, suspended coroutines included: id to size."""
    gc.collect()
    found: dict[int, int] = {}
    for holder in gc.get_objects():
        for value in gc.get_referents(holder):
            if isinstance(value, (bytes, bytearray, memoryview, str)) and len(value) > LARGE:
                found[id(value)] = len(value)
    return found


async def test_an_edit_that_waits_for_its_provider_holds_no_picture(stage: Stage):
    noise = encoded(Image.frombytes("RGB", (200, 200), random.Random(1).randbytes(120_000)), "png")
    assert len(noise) > LARGE
    replica = stage.replica()
    sending: list[int] = []

    def look(request: Request) -> HttpReply:
        sending.append(len(large_values().keys() - before.keys()))
        return stage.runware.acked(request)

    stage.script.at(RUNWARE, look, stage.runware.finished())
    before = large_values()
    stage.clock.hold()
    record = await replica.accept(RUNWARE_PRO, data=noise)
    await stage.clock.somebody_sleeps()
    assert large_values().keys() - before.keys() == set(), "nothing while it sleeps until the poll"
    assert sending[0] >= 1, "the scan sees a picture where there is one"
    stage.clock.release()
    await replica.ended(record)
    assert large_values().keys() - before.keys() == set(), "and nothing when it is over"
