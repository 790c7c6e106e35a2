"""The outside world as a script: what each host answers to the next call, line by line.

It stands where the way out stands (`Egress.send`), so everything above it is the gateway's own. A line is a function
of the request: it gives a reply or raises what the way out would raise. A call that no line was written for fails the
test. Work that a provider took is noted in `taken`: the script's own bill.
"""

import asyncio
import inspect
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn
from urllib.parse import urlsplit

import msgspec

from adapters.contract import HttpReply
from gateway.egress import MaybeSent, NotSent, Profile
from tests.engine_path.hand_clock import HandClock

Line = Callable[["Request"], "HttpReply | Awaitable[HttpReply]"]

RUNWARE, RUNFLOW, LOCAL, PICTURES = "api.runware.ai", "api.runflow.io", "local.test", "im.runware.ai"
CALLER = "caller.test"


class Request:
    """One call as the way out gets it. Its body is let go when it was answered."""

    def __init__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, at_s: float, fresh: bool
    ) -> None:
        self.method, self.url, self.headers, self.body, self.at_s, self.fresh = method, url, headers, body, at_s, fresh
        self.timeout_s: float | None = None
        self.host = urlsplit(url).netloc
        self.summary = ""

    def __repr__(self) -> str:
        return f"{self.method} {self.url} {self.summary} at {self.at_s}"

    def json(self):
        return msgspec.json.decode(self.body)


class Script:
    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._lines: dict[str, deque[Line]] = defaultdict(deque)
        self._forever: dict[str, Line] = {}
        self.sent: list[Request] = []
        self.taken: list[str] = []
        self.surprises: list[str] = []
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    def at(self, host: str, *lines: Line) -> None:
        self._lines[host].extend(lines)

    def always(self, host: str, line: Line) -> None:
        """What `host` answers when none of its lines is left."""
        self._forever[host] = line

    def left(self) -> list[str]:
        return [host for host, lines in self._lines.items() if lines]

    def to(self, host: str) -> list[Request]:
        return [request for request in self.sent if request.host == host]

    def told(self, host: str) -> list[str]:
        """What each call to `host` was about, in order."""
        return [request.summary for request in self.to(host)]

    async def send(
        self,
        profile: Profile,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        timeout_s: float | None = None,
        fresh: bool = False,
    ) -> HttpReply:
        request = Request(method, url, headers or {}, body or b"", self._clock.monotonic(), fresh)
        request.timeout_s = timeout_s
        self.sent.append(request)
        lines = self._lines[request.host]
        line = lines.popleft() if lines else self._forever.get(request.host)
        try:
            assert line is not None, f"no line was written for {request!r}"
            reply = line(request)
            return await reply if inspect.isawaitable(reply) else reply
        except AssertionError as surprise:
            self.surprises.append(str(surprise))
            raise
        finally:
            request.body = b""

    # --- lines for any host -----------------------------------------------------------------------------------------

    def halt(self, line: Line | None = None) -> Line:
        """Does what `line` does, keeps its answer back, and stands still: a place to let the process die. `go_on` hands
        the answer out."""

        async def halted(request: Request) -> HttpReply:
            reply = line(request) if line else unreachable(request)
            answer = await reply if inspect.isawaitable(reply) else reply
            self.reached.set()
            await self.go_on.wait()
            return answer

        return halted

    def first(self, act: Callable[[], Awaitable[object] | None], line: Line) -> Line:
        """`line`, after something else happened."""

        async def acted(request: Request) -> HttpReply:
            if (doing := act()) is not None:
                await doing
            reply = line(request)
            return await reply if inspect.isawaitable(reply) else reply

        return acted


def unreachable(request: Request) -> HttpReply:
    """What a halted call that did nothing would answer; nobody gets it."""
    return HttpReply(500, {}, b"")


def not_sent(request: Request) -> NoReturn:
    raise NotSent("the host gave no usable answer")


def broken(request: Request) -> NoReturn:
    """The connection broke, and nothing had arrived."""
    raise MaybeSent("the host gave no usable answer")


def status(code: int, body: bytes = b"", **headers: str) -> Line:
    return lambda request: HttpReply(code, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def as_json(code: int, document: object, **headers: str) -> HttpReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(code, {"content-type": "application/json", **named}, msgspec.json.encode(document))
