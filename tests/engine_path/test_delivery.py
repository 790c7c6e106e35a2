"""What was paid for is delivered, fetched again if need be and never bought again; and it is settled at its cost."""

import pytest

from adapters.contract import Edit, FailureKind, HttpReply, ImageFormat, Picture, Tier
from gateway.engine.order import Order
from gateway.state.records import AttemptState, Status, Wish
from policies.plans import Policy
from tests.engine_path.script import LOCAL, PICTURES, RUNFLOW, RUNWARE, Line, Request, broken, not_sent, status
from tests.engine_path.stage import PREVIEW, RESULT, RUNFLOW_PRO, RUNWARE_PRO, TEAM, Stage, edited, picture


def bought(stage: Stage) -> int:
    return len(stage.script.taken)


@pytest.mark.parametrize(
    "trouble",
    [broken, not_sent, status(403), status(404, RESULT), status(200, b"not a picture")],
    ids=["broken", "not sent", "403", "404 with a placeholder", "not a picture"],
)
async def test_a_picture_that_cannot_be_fetched_is_fetched_by_a_fresh_link(stage: Stage, trouble: Line):
    say = stage.runflow
    stage.script.at(RUNFLOW, say.created, say.succeeded(mark="stale"), say.succeeded(mark="fresh"))
    stage.script.at(PICTURES, trouble, picture)
    record = await stage.replica().run(RUNFLOW_PRO)
    assert (record.status, bought(stage)) == (Status.SUCCEEDED, 1)
    assert [request.url.partition("?")[0] for request in stage.script.to(PICTURES)] == [
        f"https://{PICTURES}/stale.png",
        f"https://{PICTURES}/fresh.png",
    ]


async def test_only_the_picture_that_is_missing_is_fetched_again(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, say.acked, say.finished(2, mark="stale"), say.finished(2, mark="fresh"))
    stage.script.at(PICTURES, picture, status(500), picture)
    record = await stage.replica().run(RUNWARE_PRO, n=2)
    assert record.end is not None
    assert len(record.end.images) == 2
    assert len(stage.script.to(PICTURES)) == 3


async def test_a_part_that_came_before_the_end_is_refreshed_too(stage: Stage):
    """Of two pictures one came, so the answer that refreshes its link is still a part."""
    say = stage.runware
    stage.script.at(RUNWARE, say.acked)
    stage.script.always(RUNWARE, say.finished(1))
    stage.script.at(PICTURES, status(403), picture)
    record = await stage.replica().run(RUNWARE_PRO, n=2)
    assert record.status is Status.SUCCEEDED
    assert bought(stage) == 1


async def test_a_picture_that_stays_away_fails_the_edit_is_settled_and_not_bought_again(stage: Stage):
    stage.script.at(RUNWARE, stage.runware.acked)
    stage.script.always(RUNWARE, stage.runware.finished(cost=0.0143))
    stage.script.always(PICTURES, status(404))
    record = await stage.replica().run(RUNWARE_PRO, RUNFLOW_PRO)
    assert record.status is Status.FAILED
    assert record.end is not None
    assert record.end.problem is not None
    assert (record.end.problem.kind, record.end.cost_micro) == ("bad_picture", 14_300)
    (attempt,) = record.attempts
    assert (attempt.state, attempt.failure, attempt.cost_micro, attempt.cost_source) == (
        AttemptState.SETTLED,
        FailureKind.BAD_PICTURE,
        14_300,
        "provider",
    )
    assert bought(stage) == 1
    assert len(stage.script.to(PICTURES)) == 1 + 3


async def test_fewer_pictures_than_asked_are_delivered_with_a_word_and_at_their_share(stage: Stage):
    url = f"https://{PICTURES}/one.png"
    say = stage.runflow
    stage.script.at(RUNFLOW, say.created, say.run("partial_succeeded", None, {"outputs": [{"url": url}]}))
    record = await stage.replica().run(RUNFLOW_PRO, n=4)
    assert record.status is Status.SUCCEEDED
    assert record.end is not None
    assert record.end.notes == ("1 of 4 pictures were made",)
    (attempt,) = record.attempts
    assert (attempt.price_micro, attempt.cost_micro, attempt.cost_source) == (160_000, 40_000, "table")


@pytest.mark.parametrize(
    ("cost", "settled_micro", "source"),
    [
        (0.0312, 31_200, "provider"),
        (None, 40_000, "table"),
        (0, 40_000, "table"),
        (-1, 40_000, "table"),
        (99.0, 40_000, "table"),
    ],
)
async def test_the_providers_figure_is_believed_and_a_missing_or_absurd_one_is_the_table_price(
    stage: Stage, cost: float | None, settled_micro: int, source: str
):
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished(cost=cost))
    record = await stage.replica().run(RUNWARE_PRO)
    (attempt,) = record.attempts
    assert (attempt.cost_micro, attempt.cost_source) == (settled_micro, source)
    assert record.end is not None
    assert record.end.cost_micro == settled_micro


async def test_a_refused_result_that_was_charged_is_settled(stage: Stage):
    say = stage.runflow
    stage.script.at(RUNFLOW, say.created, say.run("succeeded", "0.040000", {"nsfw_detected": True}))
    record = await stage.replica().run(RUNFLOW_PRO, RUNWARE_PRO)
    assert record.status is Status.REFUSED
    (attempt,) = record.attempts
    assert (attempt.state, attempt.failure, attempt.cost_micro) == (
        AttemptState.SETTLED,
        FailureKind.MODERATED,
        40_000,
    )
    assert record.end is not None
    assert record.end.cost_micro == 40_000


async def test_a_failed_run_that_was_charged_is_added_to_what_delivered(stage: Stage):
    say = stage.runflow
    stage.script.at(RUNFLOW, say.created, say.run("failed", "0.040000", failure_code="OTHER"))
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await stage.replica().run(RUNFLOW_PRO, RUNWARE_PRO)
    assert record.end is not None
    assert (record.status, record.end.cost_micro) == (Status.SUCCEEDED, 80_000)
    assert [attempt.state for attempt in record.attempts] == [AttemptState.SETTLED] * 2


async def test_a_crash_while_fetching_fetches_again(stage: Stage):
    say = stage.runware
    stage.script.at(RUNWARE, say.acked, say.finished())
    stage.script.at(PICTURES, stage.script.halt(picture))
    replica = stage.replica("a")
    record = await replica.accept(RUNWARE_PRO)
    await stage.script.reached.wait()
    await replica.die(record)
    stage.script.at(RUNWARE, say.finished())
    ended = await stage.replica("b").take_over(record)
    assert (ended.status, bought(stage)) == (Status.SUCCEEDED, 1)


async def test_an_answer_of_a_strange_status_is_no_picture(stage: Stage):
    def moved(_: object) -> HttpReply:
        return HttpReply(302, {"location": "https://elsewhere.test"}, b"")

    say = stage.runware
    stage.script.at(RUNWARE, say.acked, say.finished(), say.finished())
    stage.script.at(PICTURES, moved, picture)
    assert (await stage.replica().run(RUNWARE_PRO)).status is Status.SUCCEEDED


async def test_an_edit_whose_input_is_gone_fails_and_buys_nothing(stage: Stage):
    replica = stage.replica()
    gone = Picture("0" * 64, ImageFormat.PNG, 48, 32, 100)
    wish = Wish(tier=Tier.PREVIEW, policy="any", models=(RUNWARE_PRO,))
    policy = Policy(name="any", tier=Tier.PREVIEW, offers=(RUNWARE_PRO,))
    edit = Edit(prompt="Make it blue", images=(gone,))
    order = Order(id=replica.engine.new_id(), team=TEAM, key_id="ci", edit=edit, wish=wish, policy=policy)
    record = await replica.engine.accept(order)
    ended = await replica.ended(record)
    assert (ended.status, ended.attempts[0].failure, bought(stage)) == (Status.FAILED, FailureKind.INVALID, 0)


async def test_a_submit_whose_picture_could_not_be_read_waits_for_it_and_is_not_taken_for_lost(stage: Stage):
    """Nothing was sent, and nobody who goes on from the record could know that: its money would stay held."""
    replica = stage.replica()
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    stage.shelf.away = 3
    record = await replica.run(RUNFLOW_PRO)
    assert (record.status, len(record.attempts), bought(stage)) == (Status.SUCCEEDED, 1, 1)


async def test_a_picture_that_came_in_the_answer_waits_for_room_since_nobody_can_be_asked_for_it_again(stage: Stage):
    replica = stage.replica()

    def answered(request: Request) -> HttpReply:
        stage.shelf.away = 3
        return edited(request)

    stage.script.at(LOCAL, answered)
    assert (await replica.run(PREVIEW)).status is Status.SUCCEEDED
