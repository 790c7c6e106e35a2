"""The load scripts run, small, and print what they measured. No figure is held against a goal here."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    "in_flight": ("edits in flight", 20),
    "lag": ("broken (%)", 0),
    "overload": ("broken (%)", 0),
    "fairness": ("of them refused (%)", 0),
    "drain": ("lost", 0),
}
"""By script: a figure that does not depend on the machine, and what it is in a run of twenty edits."""


async def printed(script: str) -> dict[str, float]:
    command = (sys.executable, "-m", f"tests.benchmarks.{script}", "--edits", "20", "--json")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    out, errors = await asyncio.wait_for(process.communicate(), 150)
    assert process.returncode == 0, errors.decode()[-2000:]
    return json.loads(out)


async def test_every_script_runs_and_prints_its_figures() -> None:
    found = await asyncio.gather(*(printed(script) for script in SCRIPTS))
    for (script, (name, expected)), figures in zip(SCRIPTS.items(), found, strict=True):
        assert figures[name] == expected, script
