"""Another configuration takes effect in the middle of an edit: what is under way keeps its own, what is new gets it."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from gateway.engine.timing import Timing
from gateway.settings import Settings
from gateway.state.records import AttemptState, Status
from tests.engine_path.script import LOCAL, RUNFLOW, RUNWARE, not_sent
from tests.engine_path.stage import PREVIEW, RUNFLOW_MAX, RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage


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


def of_one_picture(settings: Settings, *offers: str) -> Settings:
    """These offers make one picture at a time from now on."""
    changed = {
        name: replace(one, abilities=replace(one.abilities, n=1)) if name in offers else one
        for name, one in settings.offers.items()
    }
    return replace(settings, offers=changed, revision="another")


async def test_an_offer_that_can_no_longer_do_the_edit_is_passed_over(stage: Stage) -> None:
    replica = stage.replica()
    another = of_one_picture(replica.current.settings, RUNWARE_PRO)
    fails = stage.script.first(lambda: replica.current.replace(another), not_sent)
    stage.script.at(RUNFLOW, fails, stage.runflow.created, stage.runflow.succeeded())
    ended = await replica.run(RUNFLOW_PRO, RUNWARE_PRO, RUNFLOW_MAX, n=2)
    assert [attempt.offer for attempt in ended.attempts] == [RUNFLOW_PRO, RUNFLOW_MAX]
    assert ended.status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "another", [without_runware, lambda found: of_one_picture(found, RUNWARE_PRO)], ids=["gone", "narrower"]
)
async def test_an_edit_in_line_for_what_is_not_sold_any_more_buys_nothing(
    stage: Stage, another: Callable[[Settings], Settings]
) -> None:
    replica = stage.replica(runware="max_concurrency = 1")
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.finished(2)))
    first = await replica.accept(RUNWARE_PRO, n=2)
    await stage.script.reached.wait()
    stage.clock.hold()
    waiting = await replica.accept(RUNWARE_PRO, n=2, prompt="Make the mug red")
    await stage.clock.somebody_sleeps()
    replica.current.replace(another(replica.current.settings))
    stage.script.go_on.set()
    stage.clock.release()
    assert (await replica.ended(first)).status is Status.SUCCEEDED
    ended = await replica.ended(waiting)
    assert (ended.status, ended.attempts, len(stage.script.taken)) == (Status.FAILED, (), 1)


async def test_a_lost_answer_is_looked_for_though_the_edit_could_not_be_sent_again(stage: Stage) -> None:
    """The next release, or file, lets the offer do less: its submit is not repeated, and not a defect either."""
    old, say = stage.replica("a"), stage.runware
    stage.script.at(RUNWARE, stage.script.halt(say.acked))
    record = await old.accept(RUNWARE_PRO, n=2)
    await stage.script.reached.wait()
    await old.die(record)
    replica = stage.replica("b")
    replica.current.replace(of_one_picture(replica.current.settings, RUNWARE_PRO))
    stage.script.at(RUNWARE, say.silent, say.not_archived, say.finished(2))
    ended = await replica.take_over(record)
    assert (ended.status, len(stage.script.taken)) == (Status.SUCCEEDED, 1)


async def test_what_ran_at_a_machine_that_the_next_file_does_not_name_goes_on_elsewhere(stage: Stage) -> None:
    """Nobody bills for it, so there is nothing to find out, and nobody who could."""
    old = stage.replica("a")
    stage.script.at(LOCAL, stage.script.halt())
    record = await old.accept(PREVIEW, RUNWARE_PRO)
    await stage.script.reached.wait()
    await old.die(record)
    settings = old.current.settings
    offers = {name: one for name, one in settings.offers.items() if name != PREVIEW}
    replica = Replica(stage, "b", Timing(), replace(settings, offers=offers, revision="another"))
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    ended = await replica.take_over(record)
    await replica.engine.aclose()
    assert [attempt.state for attempt in ended.attempts] == [AttemptState.RELEASED, AttemptState.SETTLED]
    assert ended.status is Status.SUCCEEDED


async def test_a_new_edit_is_planned_under_the_new_configuration(stage: Stage) -> None:
    replica = stage.replica()
    replica.current.replace(without_runware(replica.current.settings))
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    ended = await replica.ended(await replica.accept(RUNWARE_PRO, RUNFLOW_PRO))
    assert ended.revision == "another"
    assert [attempt.offer for attempt in ended.attempts] == [RUNFLOW_PRO]
