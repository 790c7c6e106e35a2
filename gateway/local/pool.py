"""Worker threads for pixel work, so many at once and so many waiting; beyond that the caller is told to come back."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Busy(Exception):  # noqa: N818 - a state of the pool, not a fault
    """All workers are taken and the queue is full."""


class Pool:
    """Used from one event loop. Its threads start with the first job and end with the process."""

    def __init__(self, workers: int, waiting: int) -> None:
        self._workers, self._room = workers, workers + waiting
        self._inside = 0
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="local-engine")

    def __repr__(self) -> str:
        return f"Pool({self._inside} of {self._room} places taken)"

    def taken(self) -> tuple[int, int, int]:
        """Jobs that run, jobs that wait, and how many both may be."""
        running = min(self._inside, self._workers)
        return running, self._inside - running, self._room

    def check(self) -> None:
        """Before a large body is read for nothing.

        Raises:
            Busy: there is no place now.
        """
        if self._inside >= self._room:
            raise Busy

    async def run(self, job: Callable[[], T]) -> T:
        """The job's result. A caller that is cancelled takes a waiting job with it; a running one keeps its place.

        Raises:
            Busy: there is no place now.
        """
        self.check()
        self._inside += 1
        job_future = self._threads.submit(job)
        waiter = asyncio.wrap_future(job_future)
        waiter.add_done_callback(self._left)
        try:
            # Shielded, or a cancelled caller would free the place of a thread that still decodes.
            return await asyncio.shield(waiter)
        except asyncio.CancelledError:
            job_future.cancel()
            raise

    def _left(self, _: asyncio.Future[T]) -> None:
        self._inside -= 1
