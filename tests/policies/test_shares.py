from hypothesis import given
from hypothesis import strategies as st

from policies.shares import LATEST_S, SOONEST_S, Standing, fits, retry_after_s

SHARES = st.floats(0.01, 1000)


def greedy(limit: int, *, share: float = 1.0, alone: bool = False, others: int = 0) -> int:
    """What a team ends up with that takes one more as long as it may."""
    mine = 0
    while fits(Standing(limit=limit, taken=others + mine, mine=mine, share=share, alone=alone), 1):
        mine += 1
    return mine


def test_one_team_that_takes_all_it_can_leaves_a_fifth():
    assert greedy(1000) == 800
    assert greedy(1000, share=3) == 924, "twelve thirteenths, and one for the rounding"


def test_the_only_team_may_have_it_all():
    assert greedy(1000, alone=True) == 1000


def test_what_others_hold_shrinks_the_allowance():
    assert greedy(1000, others=500) == 400


def test_who_holds_nothing_finds_room_while_there_is_any():
    assert fits(Standing(limit=10, taken=9, mine=0, share=0.01), 1)
    assert not fits(Standing(limit=10, taken=10, mine=0), 1)
    assert not fits(Standing(limit=10, taken=9, mine=0), 2)


COMERS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 40)), max_size=200)


@given(COMERS, st.lists(SHARES, min_size=5, max_size=5))
def test_no_order_of_comers_passes_the_limit(comers: list[tuple[int, int]], shares: list[float]):
    held = [0] * 5
    for team, amount in comers:
        standing = Standing(limit=100, taken=sum(held), mine=held[team], share=shares[team])
        if fits(standing, amount):
            held[team] += amount
    assert sum(held) <= 100


@given(st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0, 1e4))
def test_when_to_come_again_is_bounded_and_never_sooner_for_more(ahead: float, usual_s: float, places: float):
    told = retry_after_s(ahead, usual_s, places)
    assert SOONEST_S <= told <= LATEST_S
    assert told <= retry_after_s(ahead + 1, usual_s, places)


def test_when_to_come_again_is_the_work_ahead_over_the_places():
    assert retry_after_s(10, 8.0, 4) == 20
    assert retry_after_s(1, 2.5, 0) == 3
