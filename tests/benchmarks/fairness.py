"""What a team feels of another one that asks for ten times its share. Prints figures; asserts nothing.

    uv run python -m tests.benchmarks.fairness [--places 40] [--seconds 60] [--edits N] [--json]

The provider takes so many edits of four seconds at a time. Two teams have the same share, half of that each. The
modest one asks for half of its share all the time; from the middle on the greedy one asks for ten times its share.
Goal: the modest team's p99 stays within 1.2 times what it was alone.
"""

import argparse

from gateway.secret import key_hash
from tests.benchmarks.field import Callers, Plan, gateways, photo, seconds_of, stand_in, told

TAKES_S = 4.0
GREEDY = "kx_greedy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--edits", type=int)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    share = asked.places / TAKES_S / 2
    half_s = asked.edits / (11 * share) if asked.edits else asked.seconds / 2
    modest, greedy = max(1, int(0.5 * share * half_s)), max(1, int(10 * share * half_s))
    plans = (
        Plan(name="alone", per_s=0.5 * share, count=modest),
        Plan(name="beside", per_s=0.5 * share, count=modest, after_s=half_s),
        Plan(name="greedy", per_s=10 * share, count=greedy, after_s=half_s, key=GREEDY),
    )
    team = f'[teams.greedy]\npolicy = "production"\nkeys = ["{key_hash(GREEDY)}"]\n[limits]\nqueue_s = 10\n'
    with stand_in(TAKES_S) as provider, gateways(provider, places=asked.places, seconds=TAKES_S, more=team) as [one]:
        answers = Callers(one.url, plans, photo()).answers()
    alone, beside, theirs = ([answer for answer in answers if answer.plan == plan.name] for plan in plans)
    told(
        {
            "modest team's share (edits/s)": share,
            "its edits, alone and beside the greedy": float(2 * modest),
            "of them refused (%)": 100 * sum(answer.status != 200 for answer in (*alone, *beside)) / (2 * modest),
            "its p50 alone (s)": seconds_of(alone)["p50"],
            "its p50 beside (s)": seconds_of(beside)["p50"],
            "its p99 alone (s)": seconds_of(alone)["p99"],
            "its p99 beside (s)": seconds_of(beside)["p99"],
            "its p99 beside (times)": seconds_of(beside)["p99"] / max(0.001, seconds_of(alone)["p99"]),
            "greedy team's edits": float(greedy),
            "of them refused (%)  ": 100 * sum(answer.status != 200 for answer in theirs) / greedy,
            "its p99 (s)": seconds_of(theirs)["p99"],
        },
        as_json=asked.json,
    )


if __name__ == "__main__":
    main()
