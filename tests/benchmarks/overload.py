"""What becomes of a gateway that is asked for twice what it can do. Prints figures; asserts nothing.

    uv run python -m tests.benchmarks.overload [--places 40] [--seconds 60] [--edits N] [--json]

The provider takes so many edits of four seconds at a time. Callers come at 70 % of that, then at 200 % for a minute,
then at 70 % again, whatever the gateway makes of it; `[limits] queue_s` is 1 s. *Capacity* is the places over what
an attempt took in the first phase, when none waited: polling is part of it. Goals: in overload 95 % of the capacity
is served, an accepted edit's p99 is within 1.5 times that of the first phase, refusals have a p99 below 50 ms, and
all is as before within 10 s. `--edits` shrinks it to about so many.
"""

import argparse
import time

from tests.benchmarks.field import Answer, Callers, Plan, gateways, photo, seconds_of, stand_in, told

EASY_S, TAKES_S = 20.0, 4.0


def served_per_s(answers: list[Answer], since_s: float, until_s: float) -> float:
    """Successes that ended in that time, a second."""
    return sum(one.status == 200 and since_s <= one.due_s + one.seconds < until_s for one in answers) / (
        until_s - since_s
    )


def attempt_s(series: dict[str, float]) -> float:
    """What an attempt took on average so far."""
    took = sum(value for name, value in series.items() if name.startswith("kontext_attempt_duration_seconds_sum"))
    count = sum(value for name, value in series.items() if name.startswith("kontext_attempt_duration_seconds_count"))
    return took / count if count else TAKES_S


def recovered_s(answers: list[Answer], over_s: float) -> float:
    """From the end of the overload to the last refusal after it; 0 where there was none."""
    return max((one.due_s - over_s for one in answers if one.status != 200 and one.due_s >= over_s), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--edits", type=int)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    capacity, easy_s = asked.places / TAKES_S, EASY_S
    hard_s = asked.seconds
    if asked.edits:
        easy_s = hard_s = asked.edits / (3.4 * capacity)
    easy, hard = int(0.7 * capacity * easy_s), int(2 * capacity * hard_s)
    plans = (
        Plan(name="before", per_s=0.7 * capacity, count=easy),
        Plan(name="overload", per_s=2 * capacity, count=hard, after_s=easy_s),
        Plan(name="after", per_s=0.7 * capacity, count=easy, after_s=easy_s + hard_s),
    )
    with (
        stand_in(TAKES_S) as provider,
        gateways(provider, places=asked.places, seconds=TAKES_S, more="[limits]\nqueue_s = 1.0\n") as [one],
    ):
        callers = Callers(one.url, plans, photo())
        time.sleep(easy_s + TAKES_S / 2)
        possible = asked.places / attempt_s(one.metrics())
        answers = callers.answers()
    before, during, after = ([answer for answer in answers if answer.plan == plan.name] for plan in plans)
    goodput = served_per_s(answers, easy_s + TAKES_S, easy_s + hard_s)
    refused = [int(answer.retry_after) for answer in during if answer.retry_after and answer.status != 200]
    told(
        {
            "capacity: places over an attempt's time (edits/s)": possible,
            "served in overload (edits/s)": goodput,
            "served in overload (% of capacity)": 100 * goodput / possible,
            "refused in overload (%)": 100 * len(refused) / max(1, len(during)),
            "broken (%)": 100 * sum(answer.status == 0 for answer in answers) / len(answers),
            "Retry-After, mean (s)": sum(refused) / max(1, len(refused)),
            "accepted p99 before (s)": seconds_of(before)["p99"],
            "accepted p99 in overload (s)": seconds_of(during)["p99"],
            "accepted p99 in overload (times)": seconds_of(during)["p99"] / max(0.001, seconds_of(before)["p99"]),
            "refusal p50 (ms)": 1000 * seconds_of(during, ok=False)["p50"],
            "refusal p99 (ms)": 1000 * seconds_of(during, ok=False)["p99"],
            "last refusal after the overload (s)": recovered_s(after, easy_s + hard_s),
            "accepted p99 after (s)": seconds_of(after)["p99"],
        },
        as_json=asked.json,
    )


if __name__ == "__main__":
    main()
