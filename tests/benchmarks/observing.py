"""What watching costs: CPU of the gateway per edit, with everything on and with everything off. Prints a table; asserts
nothing.

    uv run python tests/benchmarks/observing.py [--edits 20] [--rounds 40] [--json]

*Everything*: metrics with exemplars, a log line for each edit and attempt through its redaction, spans sent by OTLP to
a collector on this machine. *Without spans*: what a gateway without the extra `otel` pays. *Nothing*: counters that do
not count, no log, no spans. A scrape of `/metrics` is measured by itself.

The edits, one after another, go to the preview in the gateway's own process (a small picture turned grey), so that the
rest of an edit is as cheap as it gets, and the share the worst there is. CPU is the gateway process's own, without its
picture workers. The three gateways run side by side and take turns.
"""

import argparse
import asyncio
import http.client
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

from gateway.state.embedded import stop

KEY = "kx_benchmark"
BOUNDARY = "benchmark-boundary"
MODES = ("nothing", "without spans", "everything")


# --- the gateway, in a process of its own ---------------------------------------------------------------------------


def serve(mode: str, folder: Path) -> None:
    """As `kontext serve` does it without a configuration, from `folder`."""
    from gateway.cli.config import read_settings, source_of
    from gateway.observe import configure_logging, silence_logging
    from gateway.server import run
    from gateway.settings import Settings

    if mode == "nothing":
        silence_logging()
        _count_nothing()
    else:
        configure_logging(as_json=True)
    os.chdir(folder)
    source = source_of(None)
    settings = read_settings(source)

    def announce(_: Settings, url: str) -> None:
        print(url, flush=True)

    run(settings, "127.0.0.1", 0, announce, source)


def _count_nothing() -> None:
    """Counters and gauges that do nothing, whatever they are told."""
    from prometheus_client import Counter, Gauge, Histogram

    from gateway.observe.money import Money

    def same(self: object, *_: object, **__: object) -> object:
        return self

    def nothing(*_: object, **__: object) -> None:
        return None

    counting = ((Counter, ("inc",)), (Gauge, ("inc", "dec", "set")), (Histogram, ("observe",)), (Money, ("add",)))
    for kind, names in counting:
        for name, instead in (*((one, nothing) for one in names), ("labels", same)):
            setattr(kind, name, instead)


@contextmanager
def gateway(mode: str, collector: str) -> Generator[tuple[str, int]]:
    """Its address and its process's id."""
    with tempfile.TemporaryDirectory(prefix="kontext-bench-") as folder, (Path(folder) / "log").open("wb") as log:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environment["KONTEXT_DEV_KEY"] = KEY
        if mode == "everything":
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", mode, "--folder", folder],
            stdout=subprocess.PIPE, stderr=log, env=environment, text=True,
        )  # fmt: skip
        try:
            assert process.stdout
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            asyncio.run(stop(Path(folder) / ".kontext"))


@contextmanager
def collector() -> Generator[str]:
    """Takes spans by OTLP and forgets them."""

    class Taken(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Taken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


# --- the client -----------------------------------------------------------------------------------------------------


def connected(url: str) -> http.client.HTTPConnection:
    place = urlsplit(url)
    return http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)


def form() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(out, "JPEG")
    head = f"--{BOUNDARY}\r\ncontent-disposition: form-data; name="
    text = f'{head}"prompt"\r\n\r\nMake it black and white\r\n'
    file = f'{head}"image"; filename="photo.jpg"\r\ncontent-type: image/jpeg\r\n\r\n'
    return text.encode() + file.encode() + out.getvalue() + f"\r\n--{BOUNDARY}--\r\n".encode()


def edits(url: str, count: int) -> None:
    connection, body = connected(url), form()
    headers = {
        "authorization": f"Bearer {KEY}",
        "content-type": f"multipart/form-data; boundary={BOUNDARY}",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    for _ in range(count):
        connection.request("POST", "/v1/edits", body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise SystemExit(f"the edit failed: {answer!r}")


def cpu_us(pid: int) -> float:
    """CPU time of one process with its threads, to the nanosecond that the scheduler knows."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1000


def edit_us(url: str, pid: int, count: int) -> float:
    before = cpu_us(pid)
    edits(url, count)
    return (cpu_us(pid) - before) / count


def scrape_us(url: str, pid: int, count: int) -> float:
    headers = {"authorization": f"Bearer {KEY}", "accept": "application/openmetrics-text; version=1.0.0"}
    connection, before = connected(url), cpu_us(pid)
    for _ in range(count):
        connection.request("GET", "/metrics", headers=headers)
        connection.getresponse().read()
    return (cpu_us(pid) - before) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=20, help="of each gateway in a round")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.folder)
        return
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    with ExitStack() as stack:
        spans_to = stack.enter_context(collector())
        gateways = {mode: stack.enter_context(gateway(mode, spans_to)) for mode in MODES}
        for url, _ in gateways.values():
            edits(url, 50)
        for _ in range(asked.rounds):
            for mode, (url, pid) in gateways.items():
                found[mode].append(edit_us(url, pid, asked.edits))
        scrape = scrape_us(*gateways["without spans"], 50)
    tell(found, scrape, as_json=asked.json)


def tell(found: dict[str, list[float]], scrape: float, *, as_json: bool) -> None:
    """Medians: of each gateway, and of what each round's pair lay apart, in which a machine's moods cancel."""
    nothing = found["nothing"]
    table = {
        mode: (statistics.median(values), statistics.median(map(float.__sub__, values, nothing)))
        for mode, values in found.items()
    }
    if as_json:
        print(json.dumps({"us_per_edit": table, "us_per_scrape": scrape}))
        return
    for mode, (each, more) in table.items():
        print(f"{mode:15} {each:7.0f} µs of CPU an edit   {more:+6.0f} µs")
    print(f"{'one scrape':15} {scrape:7.0f} µs of CPU")


if __name__ == "__main__":
    main()
