"""Worker processes: bounded in number, queue, time and memory; a dead one costs at most its own job."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from gateway.pictures.jobs import Clean, Cleaned, Ping, Ready, Refused
from gateway.pictures.pool import Pool, PoolFull
from gateway.pictures.process import WorkerProcess
from gateway.pictures.sniff import INPUT, BadPicture, Fault
from tests.pictures.samples import ROCKET, encoded, exif, foreign_profile, gradient

JOB = Clean(limits=INPUT)
SMALL = encoded(gradient(), "jpeg")


@asynccontextmanager
async def pool_of(**options):
    pool = Pool(**{"workers": 1, **options})
    try:
        yield pool
    finally:
        await pool.aclose()


async def until(condition):
    """Lets the loop turn until something is so."""
    while not condition():  # noqa: ASYNC110 - the pool has no event for it, and wants none
        await asyncio.sleep(0)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_job_comes_back_and_its_worker_serves_the_next():
    async with pool_of() as pool:
        for data in (SMALL, ROCKET):
            answer, cleaned = await pool.run(JOB, data)
            assert isinstance(answer, Cleaned)
            assert cleaned.startswith(b"\xff\xd8")
            (worker,) = pool._idle
        pids = {worker.pid}
        await pool.run(JOB, SMALL)
        assert {worker.pid for worker in pool._idle} == pids


async def test_a_refusal_keeps_its_reason_and_its_worker():
    async with pool_of() as pool:
        answer, rest = await pool.run(JOB, b"%PDF-1.7")
        assert answer == Refused(Fault.UNSUPPORTED, "this is a PDF; send JPEG, PNG or WEBP")
        assert rest == b""
        assert len(pool._idle) == 1


async def test_a_picture_larger_than_any_socket_buffer_passes_both_ways():
    noise = Image.frombytes("RGB", (1200, 1200), os.urandom(1200 * 1200 * 3))
    data = encoded(noise, "png", compress_level=0)
    async with pool_of() as pool:
        answer, cleaned = await pool.run(JOB, data)
    assert isinstance(answer, Cleaned)
    assert cleaned == data


async def test_warm_starts_every_worker():
    async with pool_of(workers=2) as pool:
        await pool.warm()
        assert len({worker.pid for worker in pool._idle}) == 2


async def test_no_more_jobs_run_at_once_than_there_are_workers():
    async with pool_of(workers=2) as pool:
        jobs = [asyncio.create_task(pool.run(JOB, SMALL)) for _ in range(6)]
        busiest, pids = 0, set()
        while not all(job.done() for job in jobs):
            busiest = max(busiest, len(pool._busy))
            pids |= {worker.pid for worker in pool._busy}
            await asyncio.sleep(0)
        assert busiest == 2
        assert len(pids) == 2
        assert all(isinstance(job.result()[0], Cleaned) for job in jobs)


async def test_a_full_queue_refuses_all_but_the_patient():
    async with pool_of(waiting=1) as pool:
        running = asyncio.create_task(pool.run(JOB, SMALL))
        await until(lambda: pool._busy)
        waiting = asyncio.create_task(pool.run(JOB, SMALL))
        await until(lambda: pool._waiting == 1)
        with pytest.raises(PoolFull):
            await pool.run(JOB, SMALL)
        patient = asyncio.create_task(pool.run(JOB, SMALL, patient=True))
        for job in (running, waiting, patient):
            assert isinstance((await job)[0], Cleaned)
        assert isinstance((await pool.run(JOB, SMALL))[0], Cleaned)


async def test_a_killed_worker_costs_no_job_but_time():
    async with pool_of(workers=2) as pool:
        first = asyncio.create_task(pool.run(JOB, SMALL))
        await until(lambda: pool._busy)
        (victim,) = pool._busy
        other = asyncio.create_task(pool.run(JOB, ROCKET))
        os.kill(victim.pid, signal.SIGKILL)
        assert isinstance((await first)[0], Cleaned)
        assert isinstance((await other)[0], Cleaned)
        assert victim.pid not in {worker.pid for worker in pool._idle}


async def test_a_picture_that_kills_every_worker_fails_alone():
    async with pool_of(workers=2) as pool:
        other = asyncio.create_task(pool.run(JOB, ROCKET))
        await until(lambda: pool._busy)
        (spared,) = pool._busy
        deadly = asyncio.create_task(pool.run(JOB, SMALL))
        while not deadly.done():
            for worker in pool._busy - {spared}:
                os.kill(worker.pid, signal.SIGKILL)
            await asyncio.sleep(0)
        with pytest.raises(BadPicture) as refused:
            await deadly
        assert refused.value.reason is Fault.CRASHED
        assert isinstance((await other)[0], Cleaned)
        assert isinstance((await pool.run(JOB, SMALL))[0], Cleaned)


async def test_workers_that_died_while_idle_are_not_noticed():
    async with pool_of(workers=2) as pool:
        await pool.warm()
        for worker in pool._idle:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it is dying already
        assert isinstance((await pool.run(JOB, SMALL))[0], Cleaned)


async def test_a_job_that_overruns_its_time_is_ended_with_its_worker():
    async with pool_of(job_s=0.001) as pool:
        job = asyncio.create_task(pool.run(JOB, SMALL))
        await until(lambda: pool._busy)
        (worker,) = pool._busy
        with pytest.raises(BadPicture, match=r"more than 0\.001 s") as refused:
            await job
        assert refused.value.reason is Fault.TOO_SLOW
        assert not pool._idle
    assert not is_alive(worker.pid)


async def test_a_cancelled_job_frees_its_slot_and_ends_its_worker():
    async with pool_of() as pool:
        job = asyncio.create_task(pool.run(JOB, SMALL))
        await until(lambda: pool._busy)
        (worker,) = pool._busy
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert (await pool.run(Ping(), b""))[0] == Ready()
        assert worker not in pool._idle
    assert not is_alive(worker.pid)


async def test_a_picture_that_needs_more_memory_than_allowed_is_refused():
    large = encoded(Image.new("RGB", (5000, 5000), "navy"), "png")
    async with pool_of(memory_bytes=200 << 20) as pool:
        answer, _ = await pool.run(JOB, large)
        assert isinstance(answer, Refused)
        assert answer.reason is Fault.SIZE
        assert isinstance((await pool.run(JOB, SMALL))[0], Cleaned)


async def test_the_largest_picture_with_the_most_work_fits_into_the_default_memory():
    large = Image.new("RGBA", (5000, 5000), (10, 20, 30, 40))
    data = encoded(large, "png", compress_level=1, exif=exif(6), icc_profile=foreign_profile())
    async with pool_of(job_s=60) as pool:
        answer, _ = await pool.run(JOB, data)
    assert isinstance(answer, Cleaned)


async def test_closing_ends_every_worker():
    async with pool_of(workers=2) as pool:
        await pool.warm()
        pids = [worker.pid for worker in pool._idle]
    assert not any(is_alive(pid) for pid in pids)


async def test_a_worker_ends_by_itself_when_the_gateway_is_gone():
    worker = WorkerProcess(memory_bytes=1 << 30, cpu_s=10)
    assert (await worker.exchange(Ping(), b""))[0] == Ready()
    worker._line.close()
    await worker.reap()
    assert worker._process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_worker_has_neither_our_environment_nor_our_files(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNWARE_API_KEY", "canary")
    async with pool_of() as pool:
        with (tmp_path / "ledger").open("w") as ours:
            os.set_inheritable(ours.fileno(), True)
            await pool.warm()
            process = Path(f"/proc/{pool._idle[0].pid}")
            assert b"canary" not in (process / "environ").read_bytes()
            opened = {str(link.readlink()) for link in (process / "fd").iterdir() if int(link.name) > 2}
    assert len(opened) == 1
    assert opened.pop().startswith("socket:")
