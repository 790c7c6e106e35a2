"""A gateway that is frozen for longer than its lease, and wakes in the middle of edits that others ended meanwhile."""

import asyncio
import signal

import pytest

from tests.end_to_end.stage import eventually
from tests.faults.cases import PRICE_MICRO, SLEEPERS
from tests.faults.tragedy import Told, Tragedy, tragedy

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_who_slept_past_its_lease_is_fenced_and_buys_nothing() -> None:
    async with tragedy(SLEEPERS) as play:
        sleeper = await play.victim(SLEEPERS)
        for case in SLEEPERS:
            await play.begin(sleeper, case)
        sleeper.process.send_signal(signal.SIGSTOP)
        ended = await told(play)
        for case in SLEEPERS:
            seen = ended[case.name]
            assert (seen.answer["status"], len(seen.charges)) == (case.end, case.charges), case.name
            assert seen.verdict.is_clean
            assert seen.verdict.booked_micro == case.charges * PRICE_MICRO
            assert seen.epochs > 1, "another took over"
        sleeper.process.send_signal(signal.SIGCONT)
        sleeper.let_go()
        await eventually(lambda: all_fenced(play))
        awake = await told(play)
        for case in SLEEPERS:
            before, after = ended[case.name], awake[case.name]
            assert after.charges == before.charges, case.name
            assert after.rows == before.rows, "the sleeper wrote nothing"
            assert after.epochs == before.epochs
        assert await sleeper.end(signal.SIGTERM) == 0


async def told(play: Tragedy) -> dict[str, Told]:
    seen = await asyncio.gather(*(play.told(case) for case in SLEEPERS))
    return dict(zip((case.name for case in SLEEPERS), seen, strict=True))


async def all_fenced(play: Tragedy) -> bool:
    """Every edit of the sleeper met its fence."""
    log = (play.folder / "victim.log").read_text()
    return log.count("edit_fenced") >= len(SLEEPERS)
