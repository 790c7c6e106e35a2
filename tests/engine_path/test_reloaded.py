"""Another configuration takes effect in the middle of an edit: what is under way keeps its own, what is new gets it."""

from msgspec.structs import replace

from gateway.settings import Settings
from gateway.state.records import AttemptState, Status
from tests.engine_path.script import RUNFLOW, RUNWARE, not_sent
from tests.engine_path.stage import RUNFLOW_PRO, RUNWARE_PRO, Stage


def without_runware(settings: Settings) -> Settings:
    return replace(
        settings,
        providers={name: one for name, one in settings.providers.items() if name != "runware"},
        offers={name: one for name, one in settings.offers.items() if one.provider != "runware"},
        revision="another",
    )


async def test_an_offer_that_the_new_file_no_longer_has_finishes_what_it_began(stage: Stage) -> None:
    replica = stage.replica()
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.working), stage.runware.finished())
    before = replica.current.settings
    record = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    replica.current.replace(without_runware(before))
    stage.script.go_on.set()
    ended = await replica.ended(record)
    assert (ended.status, ended.revision) == (Status.SUCCEEDED, before.revision)
    assert ended.attempts[0].state is AttemptState.SETTLED
    assert ended.attempts[0].cost_micro == 40_000


async def test_the_next_attempt_goes_to_an_offer_that_is_still_sold(stage: Stage) -> None:
    """The plan is the edit's own; of its offers, one that the new file no longer has is passed over."""
    replica = stage.replica()
    another = without_runware(replica.current.settings)
    fails = stage.script.first(lambda: replica.current.replace(another), not_sent)
    stage.script.at(RUNFLOW, fails, stage.runflow.created, stage.runflow.succeeded(cost="0.080000"))
    ended = await replica.run(RUNFLOW_PRO, RUNWARE_PRO, "runflow/kontext-max")
    assert [attempt.offer for attempt in ended.attempts] == [RUNFLOW_PRO, "runflow/kontext-max"]
    assert ended.status is Status.SUCCEEDED


async def test_a_new_edit_is_planned_under_the_new_configuration(stage: Stage) -> None:
    replica = stage.replica()
    replica.current.replace(without_runware(replica.current.settings))
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    ended = await replica.ended(await replica.accept(RUNWARE_PRO, RUNFLOW_PRO))
    assert ended.revision == "another"
    assert [attempt.offer for attempt in ended.attempts] == [RUNFLOW_PRO]
