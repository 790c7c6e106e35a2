"""What slow connections cost everybody else. Prints a table; asserts nothing.

    uv run python tests/benchmarks/slow_clients.py [--slow 2000] [--seconds 10] [--rate 20] [--json]

Quotes (a picture checked, a plan made) are asked for at a steady rate, open-loop: first alone, then while so many slow
connections are held open by this process, a third each that drip a head, drip a body, and say nothing. One that is cut
off is opened again at once. Goal: the p99 of the quotes stays within 1.5 times. Two processes: the gateway as `kontext
serve` runs it, and this client.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from PIL import Image

from gateway.secret import key_hash
from gateway.state.embedded import stop

KEY = "kx_benchmark"
CONFIG = """\
[providers.local]
[policies.preview]
tier = "preview"
offers = ["local/preview"]
[teams.benchmark]
policy = "preview"
keys = ["{key}"]
"""


@contextmanager
def gateway() -> Generator[str]:
    with tempfile.TemporaryDirectory(prefix="kontext-bench-") as folder:
        config = Path(folder) / "kontext.toml"
        config.write_text(CONFIG.format(key=key_hash(KEY)))
        command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config), "--port", "0"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ, text=True
        )
        try:
            assert process.stdout
            yield process.stdout.readline().split(" at ")[1].split()[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            asyncio.run(stop(Path(folder) / ".kontext"))


def document() -> bytes:
    out = BytesIO()
    Image.new("RGB", (256, 256), "teal").save(out, "JPEG")
    picture = f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
    return json.dumps({"prompt": "Make it black and white", "images": [picture]}).encode()


class Slow:
    """The slow connections. `opened` counts those that were cut off and came back, too."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self.opened = 0
        self._opened = asyncio.Condition()

    async def all_open(self, count: int) -> None:
        async with self._opened:
            await self._opened.wait_for(lambda: self.opened >= count)

    async def hold(self, number: int) -> None:
        first, drip = (
            (b"GET / HTTP/1.1\r\nx: ", b"a"),
            (b"POST /v1/edits HTTP/1.1\r\nhost: a\r\nauthorization: Bearer " + KEY.encode() + b"\r\n"
             b"content-type: application/json\r\ncontent-length: 50000\r\n\r\n", b" "),
            (b"", b""),
        )[number % 3]  # fmt: skip
        while True:
            with contextlib.suppress(OSError):
                await self._once(first, drip)
            await asyncio.sleep(0.1)

    async def _once(self, first: bytes, drip: bytes) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        async with self._opened:
            self.opened += 1
            self._opened.notify_all()
        try:
            writer.write(first)
            while not reader.at_eof():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(4096), 1.0)
                writer.write(drip)
        finally:
            writer.transport.abort()


async def measured(url: str, seconds: float, rate: float) -> list[float]:
    """How long each quote took from the moment it was due, in milliseconds."""
    took: list[float] = []
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
        body = document()

        async def one(due: float) -> None:
            response = await http.post("/v1/quotes", content=body)
            assert response.status_code == 200, response.text
            took.append((time.perf_counter() - due) * 1000)

        begun, tasks = time.perf_counter(), list[asyncio.Task[None]]()
        for number in range(round(seconds * rate)):
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(due)))
        await asyncio.gather(*tasks)
    return took


def figures(took: list[float]) -> dict[str, float]:
    ordered = sorted(took)
    return {"p50 ms": round(statistics.median(ordered), 1), "p99 ms": round(ordered[int(len(ordered) * 0.99)], 1)}


async def compared(url: str, slow: int, seconds: float, rate: float) -> dict[str, dict[str, float]]:
    await measured(url, 2, rate)  # warm
    alone = figures(await measured(url, seconds, rate))
    holder = Slow(url)
    tasks = [asyncio.create_task(holder.hold(number)) for number in range(slow)]
    await asyncio.wait_for(holder.all_open(slow), 60)
    beside = figures(await measured(url, seconds, rate))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    ratio = {name: round(beside[name] / alone[name], 2) for name in alone}
    return {"alone": alone, f"beside {slow} slow ones": {**beside, "opened": holder.opened}, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slow", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with gateway() as url:
        told = asyncio.run(compared(url, asked.slow, asked.seconds, asked.rate))
    if asked.json:
        print(json.dumps(told))
    else:
        for name, row in told.items():
            print(f"{name:<28}" + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
