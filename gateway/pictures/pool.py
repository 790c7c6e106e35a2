"""A bounded number of worker processes that decode pictures, and a bounded queue in front of them.

Each worker has one job at a time. One that overruns its time, dies, or whose job was cancelled is killed, and the next
job starts another. `concurrent.futures.ProcessPoolExecutor` is not used: one dead worker fails every job in it, none
can be stopped, its children inherit our environment, and it unpickles what they answer.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator

from gateway.pictures.jobs import Answer, Job, Ping
from gateway.pictures.process import WorkerDied, WorkerProcess
from gateway.pictures.sniff import BadPicture, Fault

_TRIES = 2  # a worker may die of something else than its picture


class PoolFull(Exception):  # noqa: N818 - the name is the fact
    """Too many pictures wait already. Nothing was done; try again later."""

    def __init__(self) -> None:
        super().__init__("too many pictures are waiting to be checked; try again in a few seconds")


class Pool:
    """At most `workers` processes and `waiting` impatient jobs before them; `job_s` seconds for a job, `memory_bytes`
    of address space for a worker."""

    def __init__(
        self, *, workers: int = 2, waiting: int = 64, job_s: float = 10.0, memory_bytes: int = 1 << 30
    ) -> None:
        self._workers = workers
        self._slots = asyncio.Semaphore(workers)
        self._most_waiting = waiting
        self._waiting = 0
        self._job_s = job_s
        self._memory_bytes = memory_bytes
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._endings: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"Pool(at most {self._workers} workers, {len(self._busy)} busy, {self._waiting} jobs waiting)"

    @property
    def busy(self) -> int:
        return len(self._busy)

    @property
    def waiting(self) -> int:
        return self._waiting

    async def warm(self) -> None:
        """Start every worker now and wait until all have loaded their decoders."""
        await asyncio.gather(*(self.run(Ping(), b"", patient=True) for _ in range(self._workers)))

    async def run(self, job: Job, payload: bytes, *, patient: bool = False) -> tuple[Answer, bytes]:
        """One job. A patient one waits, however long the queue. Raises `PoolFull` and `BadPicture`."""
        async with self._slot(patient):
            for _ in range(_TRIES):
                with contextlib.suppress(WorkerDied):
                    return await self._run_once(job, payload)
        raise BadPicture(Fault.CRASHED, "the picture cannot be decoded: it broke the decoder; export it again")

    async def aclose(self) -> None:
        """End all workers. Jobs that still run are the caller's to cancel first."""
        while self._idle:
            self._end(self._idle.pop())
        while self._endings:
            await asyncio.gather(*self._endings)

    @contextlib.asynccontextmanager
    async def _slot(self, patient: bool) -> AsyncGenerator[None]:
        if self._slots.locked() and self._waiting >= self._most_waiting and not patient:
            raise PoolFull
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def _run_once(self, job: Job, payload: bytes) -> tuple[Answer, bytes]:
        worker = self._take()
        self._busy.add(worker)
        try:
            async with asyncio.timeout(self._job_s):
                return await worker.exchange(job, payload)
        except TimeoutError:
            raise BadPicture(
                Fault.TOO_SLOW,
                f"the picture takes more than {self._job_s:g} s to decode; send a simpler or smaller one",
            ) from None
        finally:
            self._busy.discard(worker)
            self._give_back(worker)

    def _take(self) -> WorkerProcess:
        """The worker that was used last, whose memory is warm; a new one where none is left."""
        while self._idle:
            worker = self._idle.pop()
            if worker.is_usable():
                return worker
            self._end(worker)
        return WorkerProcess(memory_bytes=self._memory_bytes, cpu_s=math.ceil(self._job_s) + 1)

    def _give_back(self, worker: WorkerProcess) -> None:
        if worker.is_usable():
            self._idle.append(worker)
        else:
            self._end(worker)

    def _end(self, worker: WorkerProcess) -> None:
        worker.kill()
        ending = asyncio.get_running_loop().create_task(worker.reap())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
