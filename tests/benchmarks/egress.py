"""What a provider call costs in CPU: our transport beside httpx's default one, in the same run.

    python tests/benchmarks/egress.py [--json] [--calls 2000] [--asyncio]

A small JSON POST to a loopback server in a process of its own; the CPU time is this process's. Rows are calls in
flight. `egress` is the whole of `Egress.send` (judging the URL, deadline, cap); `transport` is our transport alone;
`httpx` is `AsyncClient` with its default transport, `httpx transport` that transport below the client layer.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import time
from collections.abc import Awaitable, Callable

import httpx

from gateway.egress import PROVIDER, Egress
from gateway.egress.resolver import CheckedResolver
from gateway.egress.transport import AiohttpTransport

BODY = json.dumps(
    [{"taskType": "imageInference", "taskUUID": "0" * 32, "positivePrompt": "Make the mug blue"}]
).encode()
ANSWER = json.dumps({"data": [{"taskType": "imageInference", "taskUUID": "0" * 32, "cost": 0.04}]}).encode()
HEADERS = {"content-type": "application/json", "authorization": "Bearer not-a-key"}
IN_FLIGHT = (1, 16, 256)
ROUNDS = 5

Row = dict[str, int | str]
Call = Callable[[], Awaitable[int]]


class Server(asyncio.Protocol):
    """Answers every request that arrives whole. As cheap as can be, so that two cores are enough for both sides."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        if self.seen.endswith(BODY):
            self.seen = b""
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n"
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.write(head.encode() + ANSWER)


def serve(listening: socket.socket) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Server, sock=listening)
        await server.serve_forever()

    asyncio.run(forever())


async def cpu_us(call: Call, in_flight: int, calls: int) -> float:
    """CPU microseconds per call, after a warm-up that opens the connections."""
    await _burst(call, in_flight, 2 * in_flight)
    began = time.process_time()
    await _burst(call, in_flight, calls)
    return (time.process_time() - began) / calls * 1e6


async def _row(name: str, call: Call, calls: int) -> Row:
    """Interleaved rounds and their median, so that a busy neighbour does not fall on one column alone."""
    rounds = [[await cpu_us(call, n, calls) for n in IN_FLIGHT] for _ in range(ROUNDS)]
    medians = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {"call": name, **{str(n): round(us) for n, us in zip(IN_FLIGHT, medians, strict=True)}}


async def _burst(call: Call, in_flight: int, calls: int) -> None:
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            assert await call() == 200

    await asyncio.gather(*(worker() for _ in range(in_flight)))


async def measure(base: str, calls: int) -> list[Row]:
    egress = Egress.open()
    profile = PROVIDER.at(base)
    ours = AiohttpTransport(CheckedResolver(frozenset({base.removeprefix("http://")})), connect_s=3.0)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    theirs = httpx.AsyncHTTPTransport(limits=limits)
    client = httpx.AsyncClient(limits=limits, trust_env=False)

    async def through_egress() -> int:
        return (await egress.send(profile, "POST", base + "/v1", HEADERS, BODY)).status

    async def through(transport: httpx.AsyncBaseTransport) -> int:
        request = httpx.Request("POST", base + "/v1", headers=HEADERS, content=BODY)
        response = await transport.handle_async_request(request)
        await response.aread()
        return response.status_code

    async def through_client() -> int:
        return (await client.post(base + "/v1", headers=HEADERS, content=BODY)).status_code

    kinds: dict[str, Call] = {
        "egress": through_egress,
        "transport": lambda: through(ours),
        "httpx transport": lambda: through(theirs),
        "httpx": through_client,
    }
    rows = [await _row(name, call, calls) for name, call in kinds.items()]
    await asyncio.gather(egress.aclose(), ours.aclose(), theirs.aclose(), client.aclose())
    return rows


def run(calls: int, *, uvloop: bool) -> list[Row]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        process = multiprocessing.get_context("fork").Process(target=serve, args=(listening,), daemon=True)
        process.start()
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            if uvloop:
                import uvloop as fast

                return fast.run(measure(base, calls))
            return asyncio.run(measure(base, calls))
        finally:
            process.terminate()
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--calls", type=int, default=2000, help=f"measured calls per number, in each of {ROUNDS} rounds"
    )
    parser.add_argument("--asyncio", action="store_true", help="asyncio's own loop instead of uvloop")
    options = parser.parse_args()
    rows = run(options.calls, uvloop=not options.asyncio)
    if options.json:
        print(json.dumps({"unit": "CPU µs per call", "rows": rows}))
        return
    print(f"{'CPU µs per call, in flight:':28}" + "".join(f"{n:>8}" for n in IN_FLIGHT))
    for row in rows:
        print(f"{row['call']:28}" + "".join(f"{row[str(n)]:>8}" for n in IN_FLIGHT))
    ratio = float(rows[0]["16"]) / float(rows[-1]["16"])
    print(f"egress / httpx at 16 in flight: {ratio:.2f} (goal: at most 0.25)")


if __name__ == "__main__":
    main()
