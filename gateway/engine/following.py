"""The edits that this replica works on, each in a task of its own."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from gateway.engine.handover import HandOver
from gateway.engine.pauses import Pauses
from gateway.engine.room import Hold
from gateway.engine.route import Route
from gateway.engine.witness import Witness
from gateway.observe import Metrics, log
from gateway.results import ResultsUnavailable
from gateway.state.connection import StoreUnavailable
from gateway.state.edits import Fenced
from gateway.state.records import EditRecord
from gateway.task import end

MOST_DEFECTS = 3


class Following:
    def __init__(self, route: Route, handover: HandOver, pauses: Pauses, witness: Witness, metrics: Metrics) -> None:
        self._route, self._handover, self._pauses = route, handover, pauses
        self._witness, self._metrics = witness, metrics
        self._tasks: dict[str, asyncio.Task[EditRecord | None]] = {}
        self._defects: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Following({len(self)} edits)"

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, edit: str) -> bool:
        return edit in self._tasks

    def task(self, edit: str) -> "asyncio.Task[EditRecord | None] | None":
        """Its result is the end, or None where it is not ours to end."""
        return self._tasks.get(edit)

    def rests(self, edit: str) -> bool:
        """Whether it is left alone: it waits for room for its picture, or a defect of ours broke it three times, and it
        waits for another version."""
        return self._defects[edit] >= MOST_DEFECTS or self._pauses.holds(edit)

    def count_defect(self, edit: str) -> None:
        self._defects[edit] += 1

    def start(self, edit: str, path: Coroutine[Any, Any, EditRecord], hold: Hold) -> None:
        """`hold` is let go when the path is over."""
        task = asyncio.create_task(self._guarded(edit, path), name=edit)
        self._tasks[edit] = task
        self._route.cancels.follow(edit)
        task.add_done_callback(lambda over: self._forget(edit, over, hold))

    async def break_off(self, edit: str) -> None:
        """The path of an earlier epoch, where it still runs and has not noticed."""
        if outdated := self._tasks.get(edit):
            await end(outdated)

    async def aclose(self) -> None:
        """Breaks every path off; the edits stay in the store."""
        await end(*self._tasks.values())

    def _forget(self, edit: str, task: "asyncio.Task[EditRecord | None]", hold: Hold) -> None:
        hold.let_go()
        if self._tasks.get(edit) is not task:
            return  # it was replaced by a path of a later epoch
        del self._tasks[edit]
        self._witness.let_go(edit)
        self._route.cancels.forget(edit)

    async def _guarded(self, edit: str, path: Coroutine[Any, Any, EditRecord]) -> EditRecord | None:
        """The end of a path, or None where it is not ours to end: another replica took over, or the store is away and
        the record stays claimable."""
        try:
            ended = await path
        except Fenced:
            log.warning("edit_fenced", edit=edit)
        except StoreUnavailable:
            self._metrics.store_errors.labels("edit").inc()
            log.error("edit_left_to_recovery", edit=edit, error="the store is away")
        except ResultsUnavailable as error:
            self._metrics.results_errors.labels("edit").inc()
            pause_s = self._pauses.pause(edit)
            log.error("edit_waits_for_results", edit=edit, error=str(error), seconds=pause_s, waiting=len(self._pauses))
            return None
        except Exception as error:  # noqa: BLE001 - a defect must not lose the edit: it stays open, and recovery resumes it
            self.count_defect(edit)
            log.error("edit_path_failed", edit=edit, error=type(error).__name__, exc_info=error)
        else:
            self._handover.begin(ended)
            self._pauses.forget(edit)
            return ended
        self._pauses.forget(edit)
        return None
