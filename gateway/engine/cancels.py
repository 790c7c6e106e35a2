"""Whose callers want no more of their edits: what this replica has heard so far. The store knows it for certain, and
its steps refuse to go on; hearing it earlier spares a wait."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from gateway.state.records import EditRecord

_T = TypeVar("_T")


class Cancels:
    def __init__(self) -> None:
        self._heard: dict[str, asyncio.Event] = {}

    def follow(self, edit: str) -> None:
        """From here on this replica wants to hear of the edit."""
        self._heard.setdefault(edit, asyncio.Event())

    def forget(self, edit: str) -> None:
        self._heard.pop(edit, None)

    def hear(self, edit: str) -> None:
        if edit in self._heard:
            self._heard[edit].set()

    def is_asked(self, record: EditRecord) -> bool:
        heard = self._heard.get(record.id)
        return bool(record.cancel_ms) or (heard is not None and heard.is_set())

    async def unless_asked(self, record: EditRecord, work: Coroutine[Any, Any, _T]) -> _T | None:
        """What `work` comes to; None where somebody asks first: then it is broken off."""
        heard = self._heard.setdefault(record.id, asyncio.Event())
        if record.cancel_ms:
            heard.set()
        task, asked = asyncio.create_task(work, name=record.id), asyncio.create_task(heard.wait())
        try:
            await asyncio.wait((task, asked), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            asked.cancel()
            await asyncio.gather(task, asked, return_exceptions=True)

    async def pause(self, record: EditRecord, sleep: Coroutine[Any, Any, None]) -> None:
        """Sleeps, or less: until somebody asks."""
        heard = self._heard.setdefault(record.id, asyncio.Event())
        tasks = (asyncio.ensure_future(sleep), asyncio.ensure_future(heard.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
