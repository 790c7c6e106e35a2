"""What each hostile picture costs a worker: milliseconds, and megabytes above an idle one.

uv run python -m tests.benchmarks.hostile_pictures
"""

import asyncio
import re
import time
from pathlib import Path

from gateway.pictures import BadPicture, Pictures, Pool
from tests.hostile.pictures import made


def memory_mb(pid: int, field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text("ascii"))
    assert found
    return int(found.group(1)) / 1024


async def verdict(pictures: Pictures, data: bytes) -> str:
    try:
        await pictures.check_input(data)
    except BadPicture as refused:
        return refused.reason.value
    return "accepted"


async def main() -> None:
    """Each in a worker of its own, so that its peak is its own."""
    slowest_ms, largest_mb = 0.0, 0.0
    print(f"{'picture':42} {'kB':>7} {'ms':>6} {'MB above idle':>14}  verdict")
    for name, data, _ in made():
        pool = Pool(workers=1)
        await pool.warm()
        pid = pool._idle[0].pid
        idle_mb, began = memory_mb(pid, "VmRSS"), time.perf_counter()
        said = await verdict(Pictures(pool), data)
        took_ms, more_mb = (time.perf_counter() - began) * 1000, memory_mb(pid, "VmHWM") - idle_mb
        await pool.aclose()
        slowest_ms, largest_mb = max(slowest_ms, took_ms), max(largest_mb, more_mb)
        print(f"{name:42} {len(data) // 1000:7} {took_ms:6.0f} {more_mb:14.1f}  {said}")
    print(f"slowest {slowest_ms:.0f} ms, largest {largest_mb:.1f} MB above idle")


if __name__ == "__main__":
    asyncio.run(main())
