"""How much memory a gateway takes with two thousand edits in flight. Prints figures; asserts nothing.

    uv run python -m tests.benchmarks.in_flight [--edits 2000] [--per-s 40] [--json]

Every edit is a 100 kB JPEG, accepted by a provider that takes ten minutes for it. Half of the callers wait on their
connection, half were told 202. Goal: less than 600 MB resident, of the gateway's process (its two picture workers do
not grow with the edits in flight).
"""

import argparse
import time

from tests.benchmarks.field import Callers, Gateway, Plan, gateways, photo, stand_in, told

SECONDS = 600.0


def in_flight(gateway: Gateway) -> float:
    return gateway.metrics()["kontext_edits_in_flight"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=2000)
    parser.add_argument("--per-s", type=float, default=40)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    more = f"[limits]\nin_flight = {2 * asked.edits}\n"
    half, per_s = asked.edits // 2, asked.per_s / 2
    plans = (
        Plan(name="waiting", per_s=per_s, count=half),
        Plan(name="told", per_s=per_s, count=half, prefer="respond-async"),
    )
    with stand_in(SECONDS) as provider, gateways(provider, places=2 * asked.edits, seconds=SECONDS, more=more) as [one]:
        idle_mb = one.memory_mb()
        callers = Callers(one.url, plans, photo())
        peak_mb, until_s = idle_mb, time.monotonic() + 30 + 6 * asked.edits / asked.per_s
        while (reached := in_flight(one)) < 2 * half and time.monotonic() < until_s:
            time.sleep(0.5)
            peak_mb = max(peak_mb, one.memory_mb())
        took_s = time.monotonic() - callers.began_s
        time.sleep(5)
        found = {
            "edits in flight": reached,
            "seconds until all were accepted": took_s,
            "memory, idle (MB)": idle_mb,
            "memory, highest on the way (MB)": peak_mb,
            "memory, all in flight (MB)": one.memory_mb(),
            "memory an edit in flight (kB)": 1024 * (one.memory_mb() - idle_mb) / max(1.0, reached),
        }
    told(found, as_json=asked.json)


if __name__ == "__main__":
    main()
