"""Every attempt that ended is held against its provider's word once: a difference has a name, and is booked."""

import pytest

from adapters.contract import Attempt, Edit, ModelSize
from adapters.runflow import Runflow
from adapters.runflow_settings import RunflowSettings
from adapters.runware import Runware
from gateway.engine.inquiry import look_ups
from gateway.engine.timing import Timing
from gateway.ledger.evidence import Charge
from gateway.ledger.rows import Mark, RowKind
from gateway.state.budgets import Balance
from gateway.state.records import AttemptState, Status
from tests.engine_path.script import RUNFLOW, RUNWARE, broken, status
from tests.engine_path.stage import RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage
from tests.reconcile.office import Clerk, Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOTH = frozenset({"runware", "runflow"})


@pytest.fixture
def replica(stage: Stage) -> Replica:
    return stage.replica("a", timing=Timing(resolve_s=60))


@pytest.fixture
def clerk(office: Office, replica: Replica) -> Clerk:
    return office.clerk(replica)


async def bought(stage: Stage, replica: Replica, cost: float | None = 0.04):
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished(cost=cost))
    return await replica.run(RUNWARE_PRO)


async def given_up(stage: Stage, replica: Replica, *then: str):
    """A 503 that names no task: by Runware's word nothing was started."""
    stage.script.at(RUNWARE, status(503))
    if then:
        stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    return await replica.run(RUNWARE_PRO, *then)


async def test_what_agrees_is_counted_and_asked_for_once(stage, office, replica, clerk):
    await bought(stage, replica)
    stage.script.at(RUNWARE, stage.runware.finished())
    await clerk.round()
    await clerk.round()
    assert not stage.script.surprises
    assert clerk.found("runware", "matched") == 1
    assert await office.rows(RowKind.CORRECT) == []


async def test_one_that_another_release_wrote_keeps_no_other_from_being_compared(stage, office, replica, clerk):
    strange, _ = [await bought(stage, replica) for _ in range(2)]
    await stage.line.hset(f"{{kontext}}:edit:{strange.id}", "document", b'{"version":99}')
    stage.script.at(RUNWARE, stage.runware.finished())
    await clerk.round()
    assert clerk.found("runware", "matched") == 1


async def test_nothing_is_compared_before_its_time_or_long_after(stage, office, replica, clerk):
    await bought(stage, replica)
    sent = len(stage.script.sent)
    await clerk.round(30)
    await clerk.round(3600)
    assert len(stage.script.sent) == sent
    assert not stage.script.surprises


@pytest.mark.parametrize(("booked", "told"), [(0.04, 0.05), (0.04, 0.03), (None, 0.035)])
async def test_another_amount_is_corrected_to_the_providers(stage, office, replica, clerk, booked, told):
    record = await bought(stage, replica, booked)
    stage.script.at(RUNWARE, stage.runware.finished(cost=told))
    await clerk.round()
    told_micro = round(told * 1e6)
    assert await office.balance() == Balance(spent_micro=told_micro)
    (row,) = await office.rows(RowKind.CORRECT)
    assert (row.settled_micro, row.source, row.mark) == (told_micro - 40_000, "provider", None)
    assert clerk.found("runware", "amount_differs") == 1
    charge = Charge(provider="runware", key=record.attempts[0].id, amount_micro=told_micro)
    assert (await office.audited(charge, providers=BOTH)).violations == ()


async def test_a_restart_in_between_corrects_nothing_twice(stage, office, replica, clerk):
    await bought(stage, replica)
    stage.script.at(RUNWARE, *(stage.runware.finished(cost=0.05),) * 3)
    await clerk.round()
    await office.clerk(replica).reconciler.round()  # before the correction reached the books
    await office.clerk(replica).round()  # and after
    assert await office.balance() == Balance(spent_micro=50_000)
    assert len(await office.rows(RowKind.CORRECT)) == 1


async def test_a_late_acceptance_beside_a_delivery_is_a_duplicate_charge(stage, office, replica, clerk):
    record = await given_up(stage, replica, RUNFLOW_PRO)
    assert (record.status, record.attempts[0].state) == (Status.SUCCEEDED, AttemptState.RELEASED)
    stage.script.at(RUNWARE, stage.runware.finished())
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await clerk.round()
    assert clerk.found("runware", "duplicate_charge") == clerk.found("runflow", "matched") == 1
    (row,) = await office.rows(RowKind.CORRECT)
    assert (row.settled_micro, row.mark, row.attempt) == (40_000, Mark.DUPLICATE_CHARGE, 1)
    assert await office.balance() == Balance(spent_micro=80_000)
    assert (await stage.stored(record.id)).attempts[0].state is AttemptState.RELEASED
    charges = [Charge(provider=one.provider, key=one.id, amount_micro=40_000) for one in record.attempts]
    assert (await office.audited(*charges, providers=BOTH)).violations == ()


async def test_a_late_acceptance_beside_one_that_nobody_knows_is_a_duplicate_too(stage, office, replica, clerk):
    """The other one may show any day, and then it would be too late to say so."""
    stage.script.at(RUNWARE, status(503))
    stage.script.at(RUNFLOW, stage.runflow.lost)
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    record = await replica.run(RUNWARE_PRO, RUNFLOW_PRO)
    assert record.status is Status.UNRESOLVED
    stage.script.at(RUNWARE, stage.runware.finished())
    await clerk.round()
    (row,) = await office.rows(RowKind.CORRECT)
    assert (row.settled_micro, row.mark, row.attempt) == (40_000, Mark.DUPLICATE_CHARGE, 1)
    assert await office.balance() == Balance(spent_micro=40_000, held_micro=40_000)
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await clerk.round(600)
    charges = [Charge(provider=one.provider, key=one.id, amount_micro=40_000) for one in record.attempts]
    assert (await office.audited(*charges, providers=BOTH)).violations == ()


async def test_a_charge_for_an_edit_that_failed_is_theirs_only(stage, office, replica, clerk):
    stage.script.at(RUNWARE, status(503), status(503))
    record = await replica.run(RUNWARE_PRO)
    assert record.status is Status.FAILED
    stage.script.at(RUNWARE, stage.runware.finished(), stage.runware.silent, stage.runware.not_archived)
    await clerk.round()
    assert clerk.found("runware", "theirs_only") == 1
    (row,) = await office.rows(RowKind.CORRECT)
    assert row.mark is None
    assert await office.balance() == Balance(spent_micro=40_000)
    charge = Charge(provider="runware", key=record.attempts[0].id, amount_micro=40_000)
    assert (await office.audited(charge, providers=BOTH)).violations == ()


async def test_work_that_was_given_up_and_goes_on_is_looked_at_again(stage, office, replica, clerk):
    await given_up(stage, replica, RUNFLOW_PRO)
    stage.script.at(RUNWARE, stage.runware.working, stage.runware.working)
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await clerk.round()
    assert await office.rows(RowKind.CORRECT) == []
    stage.script.at(RUNWARE, stage.runware.finished())
    await clerk.round()
    assert clerk.found("runware", "duplicate_charge") == 1


async def test_a_release_that_the_provider_does_not_know_matches(stage, office, replica, clerk):
    await given_up(stage, replica, RUNFLOW_PRO)
    stage.script.always(RUNWARE, status(404))
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    for _ in range(4):
        await clerk.round()
    assert clerk.found("runware", "matched") == 1
    assert await office.balance() == Balance(spent_micro=40_000)


async def test_a_charge_that_the_provider_does_not_show_is_ours_only_and_stays(stage, office, replica, clerk):
    """Not after the first silence: the provider may be away."""
    await bought(stage, replica)
    stage.script.always(RUNWARE, broken)
    for counted in (0, 0, 1, 1):
        await clerk.round()
        assert clerk.found("runware", "ours_only") == counted
    assert await office.balance() == Balance(spent_micro=40_000)
    assert await office.rows(RowKind.CORRECT) == []


async def test_an_edit_under_way_waits_for_its_end(stage, office, replica, clerk):
    """Only then it is known whether the charge was a second one."""
    stage.script.at(RUNWARE, status(503))
    stage.script.at(RUNFLOW, stage.script.halt(stage.runflow.created))
    record = await replica.accept(RUNWARE_PRO, RUNFLOW_PRO)
    await stage.script.reached.wait()
    await clerk.round()
    assert len(stage.script.to(RUNWARE)) == 1
    stage.script.at(RUNFLOW, stage.runflow.succeeded())
    stage.script.go_on.set()
    await replica.ended(record)
    stage.script.at(RUNWARE, stage.runware.finished())
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await clerk.round()
    assert clerk.found("runware", "duplicate_charge") == 1


# --- the questions --------------------------------------------------------------------------------------------------


def asked(replica: Replica, offer: str, **edit: object) -> Attempt:
    wish = Edit(prompt="", images=(), size=ModelSize(), enhance_prompt=True)
    return Attempt(id="ab" * 16, number=1, edit=wish, offer=replica.settings.offers[offer])


async def test_each_question_of_an_adapter_is_asked_once_and_none_of_them_can_buy(replica: Replica):
    runware = look_ups(Runware(), asked(replica, RUNWARE_PRO), over_s=0)
    runflow = look_ups(Runflow(), asked(replica, RUNFLOW_PRO), over_s=0)
    assert (len(runware), len(runflow)) == (2, 1)
    assert not any(call.step.may_cost for call in (*runware, *runflow))


@pytest.mark.parametrize(("over_s", "questions"), [(299, 1), (300, 2)])
async def test_a_question_whose_silence_counts_is_asked_when_it_does(replica: Replica, over_s: float, questions: int):
    runflow = Runflow(RunflowSettings(absent_after_s=300))
    assert len(look_ups(runflow, asked(replica, RUNFLOW_PRO), over_s)) == questions
