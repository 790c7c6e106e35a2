"""An edit that waits for its provider holds no picture in memory: two thousand of them must fit."""

import random

from PIL import Image

from adapters.contract import HttpReply
from tests.copies import Copies
from tests.engine_path.script import RUNWARE, Request
from tests.engine_path.stage import RUNWARE_PRO, Stage
from tests.pictures.samples import encoded

NOISE = encoded(Image.frombytes("RGB", (200, 200), random.Random(1).randbytes(120_000)), "png")


async def test_an_edit_that_waits_for_its_provider_holds_no_picture(stage: Stage):
    copies, replica = Copies(NOISE), stage.replica()
    sending: list[int] = []

    def look(request: Request) -> HttpReply:
        sending.append(copies.count())
        return stage.runware.acked(request)

    stage.script.at(RUNWARE, look, stage.runware.finished())
    assert copies.count() == 1, "the test's own"
    stage.clock.hold()
    record = await replica.accept(RUNWARE_PRO, data=NOISE)
    await stage.clock.somebody_sleeps()
    assert copies.count() == 1, "nothing while it sleeps until the poll"
    assert sending[0] > 1, "the scan sees a picture where there is one"
    stage.clock.release()
    await replica.ended(record)
    assert copies.count() == 1, "and nothing when it is over"
