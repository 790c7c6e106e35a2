"""What the gateway adds to a provider's own time. Prints a table; asserts nothing.

    uv run python tests/benchmarks/overhead.py [--edits 200] [--polled 24] [--json]

*Added time*: one edit after another of a 100 kB JPEG, against a stand-in whose answer to the submit already holds the
picture's address. From the client's clock of the whole request, the stand-in's own log of what it took to answer is
taken off. Goal on an idle machine: a median below 10 ms for JPEG in and out; PNG is printed without a goal.

*Polling*: edits of 5 to 15 s each, all at once, against a stand-in that must be polled: how much later than the picture
was ready the edit ended. Goal: below 10 % on average.

Three processes: this client, the gateway as `kontext serve` runs it, the stand-ins.
"""

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from gateway.rehearsal.configuration import write_config
from gateway.rehearsal.runware import RunwareSwitches
from gateway.rehearsal.server import Rehearsal
from gateway.secret import key_hash
from gateway.state.embedded import stop

KEY = "kx_benchmark"
PHOTO = Path(__file__).parents[2] / "gateway" / "photos" / "coffee.png"
BOUNDARY = "benchmark-boundary"
MODELS = '["runware/kontext-pro"]'  # equal prices are spread over providers, and only one answers a submit at once


# --- the three processes --------------------------------------------------------------------------------------------


def _stand_in(said: Connection, in_ack: bool) -> None:
    async def main() -> None:
        switches = RunwareSwitches(picture_in_ack=in_ack)
        async with Rehearsal.serve(seconds=0.0 if in_ack else 2.0, fast=True, runware=switches) as rehearsal:
            said.send(rehearsal.url)
            await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def stand_in(*, in_ack: bool) -> Generator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_stand_in, args=(theirs, in_ack), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


@contextmanager
def gateway(stand_in_url: str) -> Generator[str]:
    with gateways(stand_in_url, 1) as [(_, url)]:
        yield url


@contextmanager
def gateways(stand_in_url: str, count: int) -> Generator[list[tuple[int, str]]]:
    """So many on one state: the process and the address of each."""
    with tempfile.TemporaryDirectory(prefix="kontext-bench-") as folder:
        config = Path(folder) / "kontext.toml"
        write_config(config, stand_in_url, key_hash(KEY))
        text = config.read_text().replace("[providers.runware]", "[providers.runware]\nmax_concurrency = 64")
        config.write_text(text)
        command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config), "--port", "0"]
        started: list[subprocess.Popen[str]] = []
        try:
            served: list[tuple[int, str]] = []
            for _ in range(count):
                process = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ, text=True
                )
                started.append(process)
                assert process.stdout
                served.append((process.pid, process.stdout.readline().split(" at ")[1].split()[0]))
            yield served
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                process.wait()
            asyncio.run(stop(Path(folder) / ".kontext"))


# --- the client -----------------------------------------------------------------------------------------------------


def jpeg(bytes_wanted: int = 100_000) -> bytes:
    """The photograph at Kontext's 3:2, as a JPEG of about the wanted size."""
    with Image.open(PHOTO) as photo:
        picture = photo.convert("RGB").resize((1248, 832))
    found = b""
    for quality in range(95, 20, -3):
        out = BytesIO()
        picture.save(out, "JPEG", quality=quality)
        found = out.getvalue()
        if len(found) <= bytes_wanted:
            break
    return found


def form(picture: bytes, fields: dict[str, str]) -> bytes:
    head = f"--{BOUNDARY}\r\ncontent-disposition: form-data; name="
    texts = "".join(f'{head}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    file = f'{head}"image"; filename="photo.jpg"\r\ncontent-type: image/jpeg\r\n\r\n'
    return texts.encode() + file.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


def edit(connection: http.client.HTTPConnection, body: bytes) -> tuple[dict[str, Any], float]:
    """One edit's answer and the seconds that the client waited."""
    headers = {
        "authorization": f"Bearer {KEY}",
        "content-type": f"multipart/form-data; boundary={BOUNDARY}",
        "prefer": "wait=120",
    }
    began = time.perf_counter()
    connection.request("POST", "/v1/edits", body, headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    seconds = time.perf_counter() - began
    if response.status != 200:
        raise SystemExit(f"the edit failed: {answer}")
    return answer, seconds


def connected(url: str) -> http.client.HTTPConnection:
    place = urlsplit(url)
    return http.client.HTTPConnection(place.hostname or "", place.port, timeout=150)


def get(url: str, path: str) -> Any:
    connection = connected(url)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def put_fault(url: str, scripts: list[dict[str, Any]]) -> None:
    connection = connected(url)
    connection.request("PUT", "/rehearsal/faults/runware", json.dumps(scripts))
    connection.getresponse().read()


# --- what is measured -----------------------------------------------------------------------------------------------


def added_ms(url: str, provider: str, fmt: str, edits: int) -> list[float]:
    """Per edit: the client's time less what the stand-in took to answer its calls."""
    connection = connected(url)
    body = form(jpeg(), {"prompt": "Make the mug blue", "models": MODELS, "output.format": fmt})
    for _ in range(20):
        edit(connection, body)
    added: list[float] = []
    for _ in range(edits):
        before = len(get(provider, "/rehearsal/log")["exchanges"])
        _, seconds = edit(connection, body)
        calls = get(provider, "/rehearsal/log")["exchanges"][before:]
        added.append((seconds - sum(call["seconds"] for call in calls)) * 1000)
    return added


def polling(url: str, provider: str, edits: int) -> list[float]:
    """Per edit: how much later than its picture was ready it ended, as a share of the provider's time."""
    times = [5 + 10 * number / max(1, edits - 1) for number in range(edits)]
    shares: list[float] = []
    with ThreadPoolExecutor(edits) as pool:
        waiting = []
        for seconds in times:
            put_fault(provider, [{"fault": "slow", "seconds": seconds, "times": 1}])
            waiting.append(pool.submit(_one, url))
            while any(script["fault"] == "slow" for script in _scripts(provider)):
                time.sleep(0.01)
        for seconds, future in zip(times, waiting, strict=True):
            attempt = future.result()["routing"]["attempts"][0]
            shares.append((attempt["seconds"] - seconds) / seconds)
    return shares


def _one(url: str) -> dict[str, Any]:
    body = form(jpeg(), {"prompt": "Make the mug blue", "models": MODELS, "output.format": "jpeg"})
    return edit(connected(url), body)[0]


def _scripts(provider: str) -> list[dict[str, Any]]:
    return list(get(provider, "/rehearsal/faults").get("runware", []))


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    found = {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in at.items()}
    return {"mean": statistics.fmean(ordered), **found, "max": ordered[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--polled", type=int, default=24)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with stand_in(in_ack=True) as provider, gateway(provider) as url:
        for fmt in ("jpeg", "png"):
            found[f"added time, JPEG in, {fmt.upper()} out (ms)"] = quantiles(added_ms(url, provider, fmt, asked.edits))
    with stand_in(in_ack=False) as provider, gateway(provider) as url:
        shares = [share * 100 for share in polling(url, provider, asked.polled)]
        found["polling, provider time 5 to 15 s (% added)"] = quantiles(shares)
    if asked.json:
        print(json.dumps(found))
        return
    for name, values in found.items():
        print(f"{name:45}", "  ".join(f"{key} {value:7.2f}" for key, value in values.items()))


if __name__ == "__main__":
    main()
