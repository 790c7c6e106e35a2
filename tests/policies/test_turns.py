from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from policies.turns import Turns, ahead_s, next_team, taken

Given = tuple[Turns, Counter[str]]
TEAMS = ("a", "b", "c")
SHARES = st.fixed_dictionaries({team: st.integers(1, 5) for team in TEAMS})


def given_out(
    turns: Turns, shares: dict[str, int], waiting: tuple[str, ...], places: int
) -> tuple[Turns, Counter[str]]:
    """Who got how many of so many places, all of a second's work, while everybody waits all the time."""
    got: Counter[str] = Counter()
    for _ in range(places):
        team = next_team(turns, waiting)
        turns = taken(turns, team, 1.0, shares[team])
        got[team] += 1
    return turns, got


@given(SHARES, st.integers(1, 400))
def test_places_go_by_the_shares_and_no_team_is_more_than_a_turn_behind(shares: dict[str, int], places: int):
    _, got = given_out(Turns(), shares, TEAMS, places)
    for team in TEAMS:
        assert abs(got[team] - places * shares[team] / sum(shares.values())) <= len(TEAMS)


@given(SHARES, st.integers(1, 200))
def test_who_comes_anew_is_next_and_has_earned_nothing_by_idling(shares: dict[str, int], before: int):
    turns, _ = given_out(Turns(), shares, ("a", "b"), before)
    assert next_team(turns, ("a", "b", "c")) in {"c", next_team(turns, ("a", "b"))}
    turns, got = given_out(turns, shares, TEAMS, 60)
    assert got["c"] <= 60 * shares["c"] / sum(shares.values()) + len(TEAMS)
    assert got["c"] >= 60 * shares["c"] / sum(shares.values()) - len(TEAMS)


def test_a_new_team_goes_before_one_that_was_just_served():
    turns = taken(Turns(), "busy", 10.0, 1.0)
    assert next_team(turns, ("busy", "new")) == "new"


def test_long_work_counts_for_more_than_short_work():
    turns = Turns()
    got: Counter[str] = Counter()
    for _ in range(110):
        team = next_team(turns, ("long", "short"))
        turns = taken(turns, team, 10.0 if team == "long" else 1.0, 1.0)
        got[team] += 1
    assert abs(got["short"] - 10 * got["long"]) <= 10


def test_nothing_is_remembered_of_who_lies_behind():
    turns, _ = given_out(Turns(), dict.fromkeys(map(str, range(100)), 1), tuple(map(str, range(100))), 1000)
    for _ in range(200):
        turns = taken(turns, "0", 1.0, 1.0)
    assert len(turns.due) < 5


def test_what_comes_before_one_more_is_its_own_queue_and_what_others_are_given_meanwhile():
    assert ahead_s({}, {"a": 1.0}, "a") == 0
    assert ahead_s({"a": 30.0}, {"a": 1.0}, "a") == 30
    assert ahead_s({"greedy": 900.0}, {"greedy": 1.0, "new": 1.0}, "new") == 0, "a long queue is no priority"
    assert ahead_s({"a": 30.0, "b": 90.0}, {"a": 1.0, "b": 2.0}, "a") == 90
    assert ahead_s({"a": 30.0, "b": 10.0}, {"a": 1.0, "b": 2.0}, "a") == 40
