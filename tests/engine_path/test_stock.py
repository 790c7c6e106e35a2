"""What a team has here already, and for how long: uploads against the sweeps, and results against their time."""

import hashlib

import pytest
from msgspec.structs import replace

from adapters.contract import ImageFormat, Picture
from gateway.engine.stock import Stock
from gateway.keeper import HOUR_MS, Keeper, of_input
from gateway.pictures import CheckedInput
from gateway.results import MissingPicture
from gateway.state.edits import Edits
from gateway.state.patience import Patience
from gateway.state.records import AttemptState, End, Status
from gateway.state.references import Reference, References
from gateway.state.uploads import Upload, Uploads
from tests.engine_path.stage import Stage
from tests.state.samples import attempt, edit_record, end

TEAM, DATA, DAY_S = "growth", b"the picture", 86_400.0
DIGEST = hashlib.sha256(DATA).hexdigest()
PICTURE = Picture(DIGEST, ImageFormat.PNG, 48, 32, len(DATA))
READER = Reference(who="edit_reader", for_ms=1)


class Shop:
    def __init__(self, stage: Stage) -> None:
        self.stage, clock = stage, stage.clock
        patience = Patience(clock, 0)
        self.keeper = Keeper(stage.shelf, References(stage.line, clock.now_ms), patience, clock, DAY_S)
        self.edits = Edits(stage.line, "a", clock=clock.now_ms)
        uploads = Uploads(stage.line, life_ms=HOUR_MS, clock=clock.now_ms)
        self.stock = Stock(uploads, self.edits, self.keeper, patience, clock)

    async def kept(self) -> Upload:
        return await self.stock.keep(TEAM, CheckedInput(DATA, PICTURE))

    async def later(self, seconds: float) -> None:
        """And everything is swept whose time is over."""
        self.stage.clock.now_s += seconds
        await self.keeper.sweep(100)

    async def has_bytes(self) -> bool:
        try:
            return await self.stage.shelf.get(TEAM, "inputs", DIGEST) == DATA
        except MissingPicture:
            return False

    async def delivered(self, ttl_s: int | None = None) -> str:
        """The reference to the picture of an edit that has just succeeded."""
        record = edit_record()
        output = replace(record.wish.output, ttl_s=ttl_s)
        record, begun = await self.edits.accept(
            replace(record, wish=replace(record.wish, output=output)), attempt(), None
        )
        assert begun is not None
        image = replace(end(Status.SUCCEEDED).images[0], digest=DIGEST)
        await self.stage.shelf.put(TEAM, "results", DIGEST, DATA)
        done = replace(begun, state=AttemptState.SETTLED, cost_micro=40_000)
        await self.edits.finish(record, End(status=Status.SUCCEEDED, images=(image,), cost_micro=40_000), done)
        return f"{record.id}/0"


@pytest.fixture
def shop(stage: Stage) -> Shop:
    return Shop(stage)


async def test_an_upload_outlives_every_sweep_until_its_end_and_none_after(shop: Shop) -> None:
    upload = await shop.kept()
    await shop.later(3_599)
    assert await shop.has_bytes()
    assert await shop.stock.find(TEAM, upload.id) == upload
    await shop.later(2)
    assert not await shop.has_bytes()
    assert await shop.stock.upload(TEAM, upload.id, READER) is None


async def test_use_keeps_the_picture_with_its_upload(shop: Shop) -> None:
    upload = await shop.kept()
    await shop.later(3_000)
    assert await shop.stock.upload(TEAM, upload.id, READER) == PICTURE
    await shop.later(3_000)
    assert await shop.has_bytes()
    assert await shop.stock.upload(TEAM, upload.id, READER) == PICTURE


async def test_an_edit_keeps_the_picture_of_an_upload_that_was_deleted(shop: Shop) -> None:
    upload = await shop.kept()
    await shop.stock.upload(TEAM, upload.id, of_input("edit_" + "0" * 32))
    await shop.stock.forget(TEAM, upload)
    assert await shop.has_bytes()
    assert await shop.stock.find(TEAM, upload.id) is None
    await shop.later(3_601)
    assert not await shop.has_bytes(), "the edit was never accepted"


async def test_a_deleted_upload_that_nobody_uses_leaves_nothing(shop: Shop) -> None:
    await shop.stock.forget(TEAM, await shop.kept())
    assert not await shop.has_bytes()


async def test_an_upload_whose_picture_was_lost_is_unknown_and_not_half_there(shop: Shop) -> None:
    upload = await shop.kept()
    await shop.keeper.release(TEAM, "inputs", DIGEST, upload.id)
    assert await shop.stock.upload(TEAM, upload.id, READER) is None


@pytest.mark.parametrize(("ttl_s", "lives_s"), [(None, DAY_S), (60, 60)])
async def test_a_result_can_be_named_for_as_long_as_it_can_be_fetched(
    shop: Shop, ttl_s: int | None, lives_s: float
) -> None:
    reference = await shop.delivered(ttl_s)
    shop.stage.clock.now_s += lives_s
    assert await shop.stock.result(TEAM, reference) == DATA
    shop.stage.clock.now_s += 1
    assert await shop.stock.result(TEAM, reference) is None


async def test_a_result_is_its_teams_and_gone_with_its_bytes(shop: Shop) -> None:
    reference = await shop.delivered()
    assert await shop.stock.result("others", reference) is None
    await shop.stage.shelf.delete(TEAM, "results", DIGEST)
    assert await shop.stock.result(TEAM, reference) is None
