"""The books of edits that two runners worked on: every invariant of money holds at every turn, and a second charge that
nobody bought is found."""

import pytest
from msgspec.structs import replace

from gateway.ledger.audit import audit
from gateway.ledger.rows import RowKind
from gateway.state.budgets import Balance
from gateway.state.records import Status
from tests.engine_path.script import LOCAL, RUNFLOW, RUNWARE
from tests.engine_path.stage import PREVIEW, RUNFLOW_PRO, RUNWARE_PRO, Stage, edited
from tests.engine_path.test_races import BOUGHT, Gate, over
from tests.reconcile.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")
BOTH = 80_000


async def raced(stage: Stage, office: Office) -> None:
    """The second runner delivers; the outrun first is booked when it ends."""
    replica, slow = stage.replica(team=BOUGHT), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.working), stage.runware.finished())
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    ended = await replica.ended(record)
    assert ended.status is Status.SUCCEEDED
    assert (await office.audited()).violations == (), "while the outrun one still runs"
    slow.open()
    await over(record)


async def test_books_of_a_race_are_clean_and_say_what_both_cost(stage: Stage, office: Office) -> None:
    await raced(stage, office)
    assert (await office.audited()).violations == ()
    assert await office.balance() == Balance(spent_micro=BOTH)


async def test_a_second_charge_that_nobody_bought_is_found(stage: Stage, office: Office) -> None:
    """The same rows without the mark: the auditor must not take them."""
    await raced(stage, office)
    rows = [replace(row, mark=None) if row.kind is RowKind.OPEN else row for row in await office.rows()]
    assert {one.invariant for one in audit(rows).violations} == {"M8"}, "opened beside one that still ran"


async def test_books_of_a_local_second_runner_hold_one_price(stage: Stage, office: Office) -> None:
    replica, slow = stage.replica(team="hedge = {}"), Gate()
    stage.script.at(RUNWARE, stage.runware.acked, slow.before(stage.runware.working), stage.runware.finished())
    stage.script.at(LOCAL, edited)
    record = await replica.accept(RUNWARE_PRO, PREVIEW)
    assert (await replica.ended(record)).status is Status.SUCCEEDED
    slow.open()
    await over(record)
    assert (await office.audited()).violations == ()
    assert await office.balance() == Balance(spent_micro=BOTH // 2)
