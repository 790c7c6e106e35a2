"""How late the event loop wakes who sleeps while large pictures come in. Prints figures; asserts nothing.

    uv run python -m tests.benchmarks.lag [--per-s 50] [--seconds 20] [--megabytes 5] [--edits N] [--json]

Callers come so many a second and send a JPEG of 5 MB each, whatever the gateway makes of it; what has no room is
refused before it is read. Goal: a 99th percentile below 20 ms. `--edits` ends it after so many. Beside it stands how
late a process is woken that does nothing else: what the machine alone adds.
"""

import argparse
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from tests.benchmarks.field import Callers, Plan, gateways, lag_ms, noise, seconds_of, stand_in, told
from tests.benchmarks.overhead import quantiles

TICK_S = 0.05
"""As the gateway's own sleeper."""


@contextmanager
def idle_sleeper() -> Generator[list[float]]:
    """How many milliseconds late a thread of this process, which only waits, is woken each time."""
    late_ms, over = [0.0], threading.Event()

    def sleep() -> None:
        while not over.is_set():
            began_s = time.monotonic()
            time.sleep(TICK_S)
            late_ms.append(1000 * (time.monotonic() - began_s - TICK_S))

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    try:
        yield late_ms
    finally:
        over.set()
        sleeper.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-s", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--megabytes", type=float, default=5)
    parser.add_argument("--edits", type=int)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    picture = noise(asked.megabytes)
    count = asked.edits or int(asked.per_s * asked.seconds)
    plan = Plan(name="large", per_s=asked.per_s, count=count)
    with stand_in(1.0) as provider, gateways(provider, places=1000, seconds=1.0) as [one]:
        before = one.metrics()
        with idle_sleeper() as late_ms:
            answers = Callers(one.url, [plan], picture).answers()
        after = one.metrics()
        lasted_s = max(answer.due_s + answer.seconds for answer in answers)
        served = sum(answer.status == 200 for answer in answers)
        found = {
            "picture (MB)": len(picture) / 1e6,
            "offered (edits/s)": asked.per_s,
            "served (edits/s)": served / lasted_s,
            "refused (%)": 100 * sum(answer.status in (429, 503) for answer in answers) / count,
            "broken (%)": 100 * sum(answer.status == 0 for answer in answers) / count,
            "event-loop lag p50 (ms)": lag_ms(before, after, 0.5),
            "event-loop lag p99 (ms)": lag_ms(before, after, 0.99),
            "event-loop lag p99.9 (ms)": lag_ms(before, after, 0.999),
            "an idle process's sleeper, p99 (ms)": quantiles(late_ms)["p99"],
            "edit p50 (s)": seconds_of(answers)["p50"],
            "edit p99 (s)": seconds_of(answers)["p99"],
            "memory at the end (MB)": one.memory_mb(),
        }
    told(found, as_json=asked.json)


if __name__ == "__main__":
    main()
