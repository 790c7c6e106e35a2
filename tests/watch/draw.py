"""The pictures of the dashboards for the docs: the rehearsal's scenarios, played over and over for a while, scraped by
a real Prometheus, and drawn from the dashboards' own descriptions.

    uv run python -m tests.watch.draw [--seconds 120] [docs/dashboards]
"""

import argparse
import asyncio
import random
import time
from pathlib import Path
from typing import Any

from grafana.boards import BOARDS
from grafana.description import Board, Kind, Panel, Query
from grafana.picture import Answers, Line, draw, lines
from tests.dashboards.promql import filled
from tests.end_to_end.stage import eventually
from tests.watch.run import Run, healthy, hostile, lost_answer, primary_down, ran, refusals

WINDOW_S = 10
_AT_ONCE = (Kind.NUMBER, Kind.BARS)


async def played(run: Run, seconds: float) -> None:
    """Mostly good weather, and now and then something else."""
    end_s, chance = time.monotonic() + seconds, random.Random(3)
    troubles = [primary_down, refusals, lost_answer, hostile, primary_down]
    while time.monotonic() < end_s:
        for _ in range(3):
            await healthy(run)
            await asyncio.sleep(chance.random() * 2)
        await troubles[chance.randrange(len(troubles))](run)
        await asyncio.sleep(1)


async def answers(run: Run, board: Board, began_s: float) -> Answers:
    found: dict[Query, list[Line]] = {}
    length_s = round(time.time() - began_s)
    for panel in board.panels():
        for query in panel.queries:
            window = f"{length_s}s" if panel.kind in _AT_ONCE else f"{WINDOW_S}s"
            expr = filled(query.expr, window=window)
            found[query] = lines(query, await _asked(run, panel, expr, began_s, length_s))
    return found


async def _asked(run: Run, panel: Panel, expr: str, began_s: float, length_s: float) -> list[dict[str, Any]]:
    if panel.kind not in _AT_ONCE:
        return await run.prometheus.history(expr, began_s, max(1.0, length_s / 150))

    async def ask() -> list[dict[str, Any]]:
        return await run.prometheus.series(expr)

    return await eventually(ask)


async def main(seconds: float, folder: Path) -> None:
    began_s = time.time()
    async with ran() as run:
        await played(run, seconds)
        for board in BOARDS:
            draw(board, await answers(run, board, began_s + 8), folder / f"{board.uid.removeprefix('kontext-')}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/dashboards"))
    parser.add_argument("--seconds", type=float, default=120)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(asked.seconds, asked.folder))
