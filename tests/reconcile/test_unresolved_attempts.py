"""What was left unresolved is asked for again until its provider knows, and never sent again."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace

from adapters.contract import Edit, ModelSize
from gateway.engine.timing import Timing
from gateway.ledger.restore import restore
from gateway.restoration import known_keys, lost_edits, spending
from gateway.state.budgets import Balance
from gateway.state.records import AttemptState, EditRecord, Status
from gateway.state.restore import Restore
from gateway.state.scripts import Step
from tests.engine_path.script import RUNFLOW, RUNWARE, Line, broken, status
from tests.engine_path.stage import RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage, configured
from tests.ledger.histories import History
from tests.reconcile.office import Clerk, Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELD, SPENT, NOTHING = Balance(held_micro=40_000), Balance(spent_micro=40_000), Balance()


async def unresolved_at_runflow(stage: Stage, replica: Replica) -> EditRecord:
    """A run whose answer was lost, and which the list did not show in time."""
    stage.script.at(RUNFLOW, stage.runflow.lost)
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    record = await replica.run(RUNFLOW_PRO)
    assert record.status is Status.UNRESOLVED
    return record


async def unresolved_at_runware(stage: Stage, replica: Replica) -> EditRecord:
    stage.script.always(RUNWARE, status(500))
    record = await replica.run(RUNWARE_PRO)
    assert record.status is Status.UNRESOLVED
    return record


@pytest.fixture
def replica(stage: Stage) -> Replica:
    return stage.replica("a", timing=Timing(resolve_s=60))


@pytest.fixture
def clerk(office: Office, replica: Replica) -> Clerk:
    return office.clerk(replica)


async def test_a_run_that_shows_later_is_settled_and_delivered(stage, office, replica, clerk):
    record = await unresolved_at_runflow(stage, replica)
    assert await office.balance() == HELD
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded("0.038000"))
    assert await clerk.round()
    found = await stage.stored(record.id)
    assert (found.status, found.attempts[0].state) == (Status.SUCCEEDED, AttemptState.SETTLED)
    assert found.end is not None
    assert (found.end.late, found.end.offer, found.end.cost_micro) == (True, RUNFLOW_PRO, 38_000)
    assert await stage.shelf.get("growth", "results", found.end.images[0].digest)
    assert await office.balance() == Balance(spent_micro=38_000)
    assert stage.script.told(RUNFLOW).count("run") == 1
    assert not stage.script.surprises
    assert clerk.found("runflow", "settled") == 1
    assert clerk.value("kontext_cost_usd_total", offer=RUNFLOW_PRO, tier="standard", cost_source="provider") == 0.038
    assert clerk.value("kontext_cost_drift_usd_total", offer=RUNFLOW_PRO, sign="under") == 0.002
    assert (await office.audited()).violations == ()


async def test_a_task_at_runware_is_found_without_being_sent_again(stage, office, replica, clerk):
    record = await unresolved_at_runware(stage, replica)
    submits = len([sent for sent in stage.script.to(RUNWARE) if sent.summary == "imageInference"])
    stage.script.at(RUNWARE, stage.runware.silent, stage.runware.not_archived)
    await clerk.round()
    assert (await stage.stored(record.id)).status is Status.UNRESOLVED
    stage.script.at(RUNWARE, stage.runware.finished())
    await clerk.round(3600)
    assert (await stage.stored(record.id)).status is Status.SUCCEEDED
    assert await office.balance() == SPENT
    assert len([sent for sent in stage.script.to(RUNWARE) if sent.summary == "imageInference"]) == submits
    assert (await office.audited()).violations == ()


FAILURES = {
    "failed": ("task_failed", Status.FAILED, "taskFailed"),
    "moderated": ("moderated", Status.REFUSED, "invalidProviderContent"),
}


@pytest.mark.parametrize("which", FAILURES)
async def test_a_task_that_failed_gives_its_money_back(stage, office, replica, clerk, which):
    kind, end, code = FAILURES[which]
    record = await unresolved_at_runware(stage, replica)
    stage.script.at(RUNWARE, stage.runware.failed(code), stage.runware.failed(code))
    await clerk.round()
    found = await stage.stored(record.id)
    assert (found.status, found.attempts[0].state) == (end, AttemptState.RELEASED)
    assert found.end is not None
    assert found.end.problem is not None
    assert found.end.problem.kind == kind
    assert await office.balance() == NOTHING
    assert clerk.found("runware", "released") == 1


async def test_a_failure_that_was_charged_is_settled(stage, office, replica, clerk):
    record = await unresolved_at_runflow(stage, replica)
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.run("failed", cost="0.040000"))
    await clerk.round()
    found = await stage.stored(record.id)
    assert (found.status, found.attempts[0].state) == (Status.FAILED, AttemptState.SETTLED)
    assert found.end is not None
    assert found.end.cost_micro == 40_000
    assert await office.balance() == SPENT
    assert (await office.audited()).violations == ()


async def test_a_run_that_no_list_shows_is_released_where_its_silence_counts(stage, office):
    replica = stage.replica("a", timing=Timing(resolve_s=60), runflow="absent_after_s = 300")
    clerk = office.clerk(replica)
    record = await unresolved_at_runflow(stage, replica)
    await clerk.round(200)
    assert (await stage.stored(record.id)).status is Status.UNRESOLVED
    await clerk.round(200)
    found = await stage.stored(record.id)
    assert (found.status, found.attempts[0].state) == (Status.FAILED, AttemptState.RELEASED)
    assert await office.balance() == NOTHING
    assert (await office.audited()).violations == ()


async def test_work_that_goes_on_is_left_until_it_ends(stage, office, replica, clerk):
    record = await unresolved_at_runflow(stage, replica)
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.run("running"))
    await clerk.round()
    assert (await stage.stored(record.id)).status is Status.UNRESOLVED
    assert await office.balance() == HELD
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await clerk.round()
    assert (await stage.stored(record.id)).status is Status.SUCCEEDED


@pytest.mark.parametrize("silence", [broken, status(500), status(404)], ids=["broken", "500", "404"])
async def test_what_nobody_knows_keeps_its_money_and_shows_in_the_metrics(stage, office, replica, clerk, silence: Line):
    record = await unresolved_at_runflow(stage, replica)
    stage.script.always(RUNFLOW, silence)
    await clerk.round()
    assert (await stage.stored(record.id)).status is Status.UNRESOLVED
    assert await office.balance() == HELD
    assert clerk.value("kontext_unresolved_attempts") == 1
    assert clerk.value("kontext_unresolved_usd") == 0.04
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await clerk.round()
    assert clerk.value("kontext_unresolved_attempts") == clerk.value("kontext_unresolved_usd") == 0


async def test_an_edit_that_came_back_without_an_attempt_grows_old_too(stage, clerk):
    """A lost store brought it back, and it holds money until somebody judges it: its age must tell them."""
    history = History()
    history.now_ms = stage.clock.now_ms()
    history.edit().accept(40_000)
    accepted = {row.edit: row for row in history.rows}
    found = restore(history.rows, history.now_ms)
    given = spending(found), lost_edits(found, accepted), known_keys(found)
    await Restore(stage.line).restore(*given, operation="a")
    await clerk.round(7_200)
    assert clerk.value("kontext_unresolved_usd") == 0.04
    assert 7_100 < clerk.value("kontext_unresolved_oldest_age_seconds") < 7_300


async def test_the_older_it_is_the_less_often_it_is_asked_for_and_in_the_end_not_at_all(stage, office, replica, clerk):
    await unresolved_at_runflow(stage, replica)

    async def asks(rounds: int, every_s: float) -> int:
        before = len(stage.script.to(RUNFLOW))
        for _ in range(rounds):
            await clerk.round(every_s)
        return len(stage.script.to(RUNFLOW)) - before

    assert await asks(5, 60) == 5
    stage.clock.forward(4 * 3600)
    assert 1 <= await asks(24, 60) <= 2
    stage.clock.forward(2 * 86_400)
    assert 2 <= await asks(24 * 3, 1200) <= 24  # once an hour at the least
    stage.clock.forward(7 * 86_400)
    assert await asks(3, 7200) == 0
    assert await office.balance() == HELD


async def test_a_picture_that_cannot_be_used_was_paid_for_all_the_same(stage, office, replica, clerk):
    record = await unresolved_at_runflow(stage, replica)
    gone = (stage.runflow.succeeded(mark="gone"),) * 4
    stage.script.at(RUNFLOW, stage.runflow.listed, *gone)
    stage.script.always("im.runware.ai", status(404))
    await clerk.round()
    found = await stage.stored(record.id)
    assert (found.status, found.attempts[0].state) == (Status.FAILED, AttemptState.SETTLED)
    assert await office.balance() == SPENT


async def test_an_operator_who_is_faster_wins(stage, office, replica, clerk):
    record = await unresolved_at_runflow(stage, replica)
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())

    async def release() -> None:
        released = replace(record.attempts[0], state=AttemptState.RELEASED)
        assert record.end is not None
        end = replace(record.end, status=Status.FAILED)
        await office.corrections.resolve(record, released, end, operation="1/released", note="an operator: gone")

    stage.line.before[Step.RESOLVE] = release
    assert await clerk.round()
    found = await stage.stored(record.id)
    assert (found.status, found.attempts[0].state) == (Status.FAILED, AttemptState.RELEASED)
    assert await office.balance() == NOTHING


async def test_two_who_do_it_at_once_settle_once(stage, office, replica, clerk):
    record = await unresolved_at_runflow(stage, replica)
    say, other = stage.runflow, office.clerk(stage.replica("b"), "b")
    stage.script.at(RUNFLOW, say.listed, say.succeeded(), say.listed, say.succeeded())

    async def the_other() -> None:
        await other.resolver.resolve([record])

    stage.line.before[Step.RESOLVE] = the_other
    await clerk.round()
    assert (await stage.stored(record.id)).status is Status.SUCCEEDED
    assert await office.balance() == SPENT
    assert (await office.audited()).violations == ()


async def test_one_replica_does_it_and_every_one_tells_its_metrics(stage, office, replica, clerk):
    await unresolved_at_runflow(stage, replica)
    other = office.clerk(stage.replica("b"), "b")
    assert await clerk.round()
    sent = len(stage.script.sent)
    assert not await other.round()
    assert len(stage.script.sent) == sent
    assert other.value("kontext_unresolved_attempts") == 1
    assert await clerk.round(), "the one that has the duty keeps it"
    await stage.line.delete("{kontext}:duty:reconcile")  # as if its holder had been silent for long
    assert await other.round()
    assert not await clerk.round()


async def test_an_edit_that_another_attempt_delivered_keeps_its_picture(stage, office, replica, clerk):
    """The team would rather pay twice than wait; what the first attempt cost is found out later."""
    record = await unresolved_at_runflow(stage, replica)
    assert record.end is not None
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    over = replace(record, status=Status.SUCCEEDED, end=replace(record.end, status=Status.SUCCEEDED))
    await clerk.resolver.resolve([over])
    found = await stage.stored(record.id)
    assert found.attempts[0].state is AttemptState.SETTLED
    assert stage.script.to("im.runware.ai") == []
    assert await office.balance() == SPENT


@pytest.mark.parametrize("offer", [RUNWARE_PRO, RUNFLOW_PRO])
async def test_an_edit_whose_content_was_lost_is_still_found(stage, office, replica, clerk, offer):
    """As `kontext restore` brings it back: ids and money, but no prompt and no picture."""
    unresolved = unresolved_at_runware if offer == RUNWARE_PRO else unresolved_at_runflow
    record = await unresolved(stage, replica)
    host = offer.partition("/")[0]
    say = {
        "runware": (
            RUNWARE,
            stage.runware.finished(),
        ),
        "runflow": (RUNFLOW, stage.runflow.listed, stage.runflow.succeeded()),
    }[host]
    stage.script.at(*say)
    plan = replace(record.plan, candidates=(), exclusions=())
    empty = Edit(prompt="", images=(), size=ModelSize(), enhance_prompt=True)
    await clerk.resolver.resolve([replace(record, edit=empty, plan=plan, revision="restored")])
    found = await stage.stored(record.id)
    assert found.status is Status.SUCCEEDED
    assert found.end is not None
    assert [image.warnings for image in found.end.images] == [()]


async def test_one_that_another_release_wrote_keeps_no_other_from_its_truth(stage, office, replica, clerk):
    strange, record = [await unresolved_at_runflow(stage, replica) for _ in range(2)]
    await stage.line.hset(f"{{kontext}}:edit:{strange.id}", "document", b'{"version":99}')
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await clerk.round()
    assert (await stage.stored(record.id)).status is Status.SUCCEEDED


# --- a team that would rather pay twice: two attempts of one edit are unknown ----------------------------------------


@pytest_asyncio.fixture(loop_scope="session")
async def doubted(stage: Stage, office: Office) -> AsyncIterator[tuple[Clerk, EditRecord]]:
    settings = configured(stage.folder)
    team = replace(settings.teams["growth"], accepts_risk=True)
    replica = Replica(stage, "a", Timing(resolve_s=60), replace(settings, teams={"growth": team}))
    stage.script.at(RUNFLOW, stage.runflow.lost)
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    stage.script.always(RUNWARE, status(500))
    record = await replica.run(RUNFLOW_PRO, RUNWARE_PRO, deadline_s=95)
    assert [attempt.state for attempt in record.attempts] == [AttemptState.UNRESOLVED] * 2
    yield office.clerk(replica), record
    await replica.engine.aclose()


async def test_an_edit_that_cannot_pay_for_another_attempt_has_not_failed_while_one_may_have_made_it(stage, office):
    settings = configured(stage.folder)
    team = replace(settings.teams["growth"], accepts_risk=True)
    replica = Replica(stage, "a", Timing(resolve_s=60), replace(settings, teams={"growth": team}))
    stage.script.at(RUNFLOW, stage.runflow.lost)
    stage.script.always(RUNFLOW, stage.runflow.nothing_listed)
    record = await replica.ended(await replica.accept(RUNFLOW_PRO, RUNWARE_PRO, max_cost_micro=60_000))
    assert (record.status, len(record.attempts)) == (Status.UNRESOLVED, 1)
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await office.clerk(replica).round()
    assert (await stage.stored(record.id)).status is Status.SUCCEEDED
    await replica.engine.aclose()


async def test_a_success_waits_for_the_truth_about_the_other(stage, office, doubted):
    """The edit ends with its last unknown attempt, and must not end without its picture."""
    clerk, record = doubted
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await clerk.round()
    assert (await stage.stored(record.id)).status is Status.UNRESOLVED
    assert await office.balance() == Balance(held_micro=80_000)
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    stage.script.at(RUNWARE, stage.runware.failed("taskFailed"), stage.runware.failed("taskFailed"))
    await clerk.round()
    found = await stage.stored(record.id)
    assert [attempt.state for attempt in found.attempts] == [AttemptState.SETTLED, AttemptState.RELEASED]
    assert found.end is not None
    assert (found.status, found.end.offer, len(found.end.images)) == (Status.SUCCEEDED, RUNFLOW_PRO, 1)
    assert await office.balance() == SPENT
    assert (await office.audited()).violations == ()


async def test_a_refusal_by_one_is_final_whatever_the_other_made(stage, office, doubted):
    clerk, record = doubted
    stage.script.at(RUNWARE, *[stage.runware.failed("invalidProviderContent")] * 2)
    await clerk.round()
    assert (await stage.stored(record.id)).status is Status.UNRESOLVED
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    await clerk.round()
    found = await stage.stored(record.id)
    assert found.end is not None
    assert (found.status, found.end.cost_micro, found.end.images) == (Status.REFUSED, 40_000, ())
    assert await office.balance() == SPENT
    assert (await office.audited()).violations == ()


async def test_where_both_were_bought_both_are_paid_and_one_is_delivered(stage, office, doubted):
    clerk, record = doubted
    stage.script.at(RUNFLOW, stage.runflow.listed, stage.runflow.succeeded())
    stage.script.at(RUNWARE, stage.runware.finished())
    await clerk.round()
    found = await stage.stored(record.id)
    assert found.end is not None
    assert (found.status, found.end.cost_micro, len(found.end.images)) == (Status.SUCCEEDED, 80_000, 1)
    assert await office.balance() == Balance(spent_micro=80_000)
    assert (await office.audited()).violations == ()
