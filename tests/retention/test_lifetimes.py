"""For how long an edit's pictures are kept: its inputs an hour beyond its end, its results as long as is configured."""

import hashlib

from adapters.contract import Edit, ImageFormat, Picture
from gateway.keeper import of_input
from gateway.results import Kind, MissingPicture
from tests.engine_path.script import RUNWARE
from tests.engine_path.stage import INPUT, PROMPT, RUNWARE_PRO, TEAM, Replica, Stage
from tests.retention.keeping import HOUR_S, WEEK_S

DIGEST = hashlib.sha256(INPUT).hexdigest()


async def kept(stage: Stage, kind: Kind, digest: str) -> bool:
    try:
        await stage.shelf.get(TEAM, kind, digest)
    except MissingPicture:
        return False
    return True


async def swept(replica: Replica) -> None:
    while (await replica.keeper.sweep(10)).looked:
        pass


async def test_an_edits_pictures_outlive_it_as_long_as_is_said(stage: Stage) -> None:
    replica = stage.replica()
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.finished()))
    edit = Edit(prompt=PROMPT, images=(Picture(DIGEST, ImageFormat.PNG, 48, 32, len(INPUT)),))
    order = replica.order(edit, RUNWARE_PRO)
    await replica.keeper.put(TEAM, "inputs", DIGEST, INPUT, of_input(order.id))
    record = await replica.engine.accept(order)
    await stage.script.reached.wait()
    stage.clock.forward(5 * HOUR_S)
    await swept(replica)
    assert await kept(stage, "inputs", DIGEST), "an edit that goes on needs its input"
    stage.script.go_on.set()
    ended = await replica.ended(record)
    assert ended.end is not None
    result = ended.end.images[0].digest
    for later_s, inputs, results in (
        (HOUR_S - 1, True, True),
        (HOUR_S, False, True),
        (WEEK_S - 2 * HOUR_S, False, True),
        (HOUR_S, False, False),
    ):
        stage.clock.forward(later_s)
        await swept(replica)
        assert (await kept(stage, "inputs", DIGEST), await kept(stage, "results", result)) == (inputs, results)


async def test_a_time_that_the_caller_named_is_the_results(stage: Stage) -> None:
    replica = stage.replica()
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    edit = Edit(prompt=PROMPT, images=(await stage.keep(INPUT),))
    ended = await replica.ended(await replica.engine.accept(replica.order(edit, RUNWARE_PRO, ttl_s=2 * HOUR_S)))
    assert ended.end is not None
    digest = ended.end.images[0].digest
    for later_s, there in ((2 * HOUR_S - 1, True), (HOUR_S, False)):
        stage.clock.forward(later_s)
        await swept(replica)
        assert await kept(stage, "results", digest) is there
