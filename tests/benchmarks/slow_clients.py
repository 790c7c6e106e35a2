"""What slow connections cost everybody else. Prints a table; asserts nothing.

    uv run python tests/benchmarks/slow_clients.py [--slow 2000] [--seconds 10] [--rate 20] [--json]

Quotes (a picture checked, a plan made) are asked for at a steady rate, open-loop: first alone, then while so many slow
connections are held open by another process, a third each that drip a head, drip a body, and say nothing. One that is
cut off is opened again. Goal on an idle machine: the p99 of the quotes stays within 1.5 times. Three processes: the
gateway as `kontext serve` runs it, the slow ones, and this client.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from PIL import Image

from gateway.secret import key_hash
from gateway.state.embedded import stop

KEY = "kx_benchmark"
SETTLE_S = 4.0
"""Until the gateway has read the heads of those that have one."""
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


FIRST_AND_DRIP = (
    (b"GET / HTTP/1.1\r\nx: ", b"a"),
    (
        b"POST /v1/edits HTTP/1.1\r\nhost: a\r\nauthorization: Bearer " + KEY.encode() + b"\r\n"
        b"content-type: application/json\r\ncontent-length: 50000\r\n\r\n",
        b" ",
    ),
    (b"", b""),
)


def hold(url: str, count: int, said: Connection) -> None:
    """Keeps so many connections open, for ever: once a second each says its byte, or is opened again, in its own part
    of the second. Says how many were opened so far, after each round."""
    parts, opened = urlsplit(url), 0
    held: list[socket.socket | None] = [None] * count
    while True:
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, began + number / count - time.monotonic()))
            first, drip = FIRST_AND_DRIP[number % 3]
            sock = held[number]
            if sock is not None and _says(sock, drip):
                continue
            with contextlib.suppress(OSError):
                sock = held[number] = socket.create_connection((parts.hostname, parts.port or 0), 5)
                sock.setblocking(False)
                sock.send(first)
                opened += 1
        said.send(opened)


def _says(sock: socket.socket, drip: bytes) -> bool:
    """Whether it is still open."""
    try:
        sock.send(drip)
        open_still = bool(sock.recv(4096))
    except BlockingIOError:
        return True
    except OSError:
        open_still = False
    if not open_still:
        sock.close()
    return open_still


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


def compared(url: str, slow: int, seconds: float, rate: float) -> dict[str, dict[str, float]]:
    asyncio.run(measured(url, 2, rate))  # warm
    alone = figures(asyncio.run(measured(url, seconds, rate)))
    ours, theirs = multiprocessing.Pipe()
    holder = multiprocessing.get_context("spawn").Process(target=hold, args=(url, slow, theirs), daemon=True)
    holder.start()
    while ours.recv() < slow:
        pass
    time.sleep(SETTLE_S)
    beside: dict[str, float] = figures(asyncio.run(measured(url, seconds, rate)))
    while ours.poll():
        beside["opened"] = ours.recv()
    holder.terminate()
    holder.join()
    ratio = {name: round(beside[name] / alone[name], 2) for name in alone}
    return {"alone": alone, f"beside {slow} slow ones": beside, "ratio": ratio}


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
        told = compared(url, asked.slow, asked.seconds, asked.rate)
    if asked.json:
        print(json.dumps(told))
    else:
        for name, row in told.items():
            print(f"{name:<28}" + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
