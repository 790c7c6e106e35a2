"""What becomes of the edits in flight of a gateway that is told to end. Prints figures; asserts nothing.

    uv run python -m tests.benchmarks.drain [--edits 200] [--json]

Two gateways share a store. One of them gets the edits, half of them from callers that wait, and then SIGTERM; the
other one goes on with them. Goals: none is lost or paid twice, no connection breaks, and the process is gone within
25 s.
"""

import argparse
import json
import signal
import time
from urllib.request import Request, urlopen

from tests.benchmarks.field import KEY, Callers, Gateway, Plan, ended_by, gateways, photo, stand_in, told

GOING_ON = ("queued", "running")


def status(gateway: Gateway, edit: str) -> str:
    request = Request(f"{gateway.url}/v1/edits/{edit}", headers={"authorization": f"Bearer {KEY}"})
    with urlopen(request, timeout=30) as reply:
        return str(json.load(reply)["status"])


def ended(gateway: Gateway, edits: list[str], within_s: float) -> dict[str, str]:
    """How each stands once all have ended, or so many seconds later."""
    until_s, found = time.monotonic() + within_s, dict[str, str]()
    while len(found) < len(edits) and time.monotonic() < until_s:
        for edit in [edit for edit in edits if edit not in found]:
            if (now := status(gateway, edit)) not in GOING_ON:
                found[edit] = now
        time.sleep(0.2)
    return found


def charges(provider: str) -> int:
    with urlopen(f"{provider}/rehearsal/bill", timeout=30) as reply:
        return len(json.load(reply)["entries"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--per-s", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    half, takes_s = asked.edits // 2, 2 + 2 * asked.edits / asked.per_s
    plans = (
        Plan(name="waiting", per_s=asked.per_s / 2, count=half),
        Plan(name="told", per_s=asked.per_s / 2, count=half, prefer="respond-async"),
    )
    with (
        stand_in(takes_s) as provider,
        gateways(provider, 2, places=2 * asked.edits, seconds=takes_s) as [leaving, staying],
    ):
        callers = Callers(leaving.url, plans, photo())
        until_s = time.monotonic() + takes_s + 30
        while leaving.metrics()["kontext_edits_in_flight"] < 2 * half and time.monotonic() < until_s:
            time.sleep(0.2)
        in_flight = leaving.metrics()["kontext_edits_in_flight"]
        left_s = ended_by(leaving, signal.SIGTERM, 60)
        answers = callers.answers()
        edits = [answer.edit for answer in answers if answer.edit]
        found = ended(staying, edits, 3 * takes_s + 60)
        figures = {
            "in flight at the signal": in_flight,
            "seconds until the process was gone": left_s,
            "connections broken": float(sum(answer.status == 0 for answer in answers)),
            "callers that were told where their edit is (202)": float(sum(answer.status == 202 for answer in answers)),
            "edits accepted": float(len(edits)),
            "of them succeeded, at the other gateway or before": float(
                sum(now == "succeeded" for now in found.values())
            ),
            "lost": float(len(edits) - len(found)),
            "charged": float(charges(provider)),
        }
    told(figures, as_json=asked.json)


if __name__ == "__main__":
    main()
