"""A crowd with one Idempotency-Key at the doors of three gateways, and a storm: the operator's scripts, run small."""

from gateway.rehearsal.storm import Storm, one_key, storm
from tests.end_to_end.stage import state_folder

POSTS = 200


async def test_many_posts_of_one_key_at_three_gateways_make_one_edit() -> None:
    async with state_folder() as folder:
        crowd = await one_key(POSTS, 3, folder)
    assert crowd.is_one, crowd
    assert crowd.verdict.ends == {"succeeded": POSTS}
    assert crowd.verdict.billed_micro == crowd.verdict.booked_micro == 40_000


async def test_a_small_storm_loses_nothing_and_pays_nothing_twice() -> None:
    said: list[str] = []
    async with state_folder() as folder:
        weather = await storm(Storm(edits=24, seed=5, kill_every_s=3.0), folder, said.append)
    assert weather.verdict.is_clean, weather
    assert weather.kills > 0
    assert weather.bad_submits > 0
    assert "runware" not in weather.verdict.unresolved
