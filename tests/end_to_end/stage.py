"""A gateway, the stand-ins that it buys from, and a caller, in one event loop and over real sockets.

One stage serves many tests: the gateway's private engine and its picture workers take longer to start than most edits
take. What a test scripts and what was billed is forgotten before the next one.

Name the fixtures in a conftest: `from tests.end_to_end.stage import stage, theatre`.
"""

import asyncio
import base64
import io
import itertools
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest_asyncio
from PIL import Image

from gateway.configuration import load
from gateway.engine.timing import Timing
from gateway.rehearsal.server import Rehearsal
from gateway.secret import key_hash
from gateway.server import serving
from gateway.state.embedded import stop
from tests.end_to_end.receiver import Receiver

Answer = dict[str, Any]
T = TypeVar("T")

KEY, READ_KEY, EDIT_KEY, OTHER_KEY, EXPIRED_KEY = "kx_all", "kx_read", "kx_edit", "kx_other", "kx_expired"
PURSE_KEY, SLOW_KEY, POOR_KEY, STRICT_KEY, NARROW_KEY = "kx_purse", "kx_slow", "kx_poor", "kx_strict", "kx_narrow"
OPERATOR_KEY, HEDGED_KEY, LOCAL_HEDGED_KEY = "kx_operator", "kx_hedged", "kx_local_hedged"
UPLOADER_KEY = "kx_uploader"
SECONDS = 0.2
"""How long an edit takes at the stand-ins."""

PROVIDERS = ("runware", "runflow")
"""Each is also the name of the policy that tries it first, and the other one after it."""

TIMING = Timing(resolve_s=5.0, refresh_s=(0.1, 0.2), reconcile_s=3600.0)
"""The reconciler asks providers, too, and tests count who was asked."""

CONFIG = """\
[state]
dir = "state"

[egress]
allow_hosts = ["127.0.0.1:{pictures}", "127.0.0.1:{closed}", "127.0.0.1:{hooks}"]

[providers.runware]
api_key = "file:stand-in.key"
base_url = "{runware}"
timeout_s = 1
guard_s = 1
{runware_models}

[providers.runflow]
api_key = "file:stand-in.key"
base_url = "{runflow}"
timeout_s = 1
quarantine_s = 0.5
{runflow_models}

[providers.closed]  # nobody listens there
adapter = "runware"
api_key = "file:stand-in.key"
base_url = "http://127.0.0.1:{closed}"
{closed_models}

[providers.silent]  # its host never completes a connection
adapter = "runflow"
api_key = "file:stand-in.key"
base_url = "http://127.0.0.1:{silent}"
timeout_s = 1
{silent_models}

[providers.tortoise]  # Runware by another name, whose times nobody else's edits have taught us
adapter = "runware"
api_key = "file:stand-in.key"
base_url = "{runware}"
{tortoise_models}

[providers.local]
base_url = "embedded:preview"

[policies.runware]
offers = ["runware/kontext-pro", "runflow/kontext-pro"]

[policies.runflow]
offers = ["runflow/kontext-pro", "runware/kontext-pro"]

[policies.raced]
offers = ["tortoise/kontext-pro", "runflow/kontext-pro"]

[policies.locally_raced]
tier = "preview"
offers = ["tortoise/kontext-max", "local/preview"]

[policies.closed]
offers = ["closed/kontext-pro", "runflow/kontext-pro"]

[policies.silent]
offers = ["silent/kontext-pro", "runware/kontext-pro"]

[policies.cheapest]
tier = "draft"
order = ["cheapest"]
offers = ["runware/kontext-max", "runware/kontext-pro", "runware/kontext-dev"]

[policies.max_first]
offers = ["runware/kontext-max", "runware/kontext-pro"]

[policies.degrading]
degrade_to = "draft"
offers = ["closed/kontext-pro", "runware/kontext-dev"]

[policies.preview]
tier = "preview"
offers = ["local/preview"]

[teams.tests]
policy = "runware"
keys = [
    {{ id = "all", hash = "{key}" }},
    {{ id = "read", hash = "{read_key}", scopes = ["read"] }},
    {{ id = "edit", hash = "{edit_key}", scopes = ["edit"] }},
    {{ id = "expired", hash = "{expired_key}", expires = 2020-01-01 }},
    {{ id = "operator", hash = "{operator_key}", scopes = ["admin"] }},
]

[teams.purse]  # three standard edits a day, and one key that may do little
policy = "runware"
budget = {{ day_usd = "0.12" }}
keys = [
    {{ id = "purse", hash = "{purse_key}" }},
    {{ id = "slow", hash = "{slow_key}", per_minute = 2, concurrency = 1 }},
    {{ id = "uploader", hash = "{uploader_key}", per_minute = 2 }},
    {{ id = "poor", hash = "{poor_key}", budget = {{ total_usd = "0.05" }} }},
]

[teams.strict]
policy = "runware"
require_idempotency_key = true
keys = ["{strict_key}"]

[teams.narrow]  # may use one offer, and asks for premium where a request says nothing
policy = "max_first"
tier = "premium"
offers = ["runware/kontext-max"]
keys = ["{narrow_key}"]

[teams.hedged]  # bought a second runner
policy = "raced"
hedge = {{ max_extra_usd = "0.04" }}
keys = ["{hedged_key}"]

[teams.locally]  # the same, of what nobody bills
policy = "locally_raced"
hedge = {{}}
keys = ["{local_hedged_key}"]

[teams.others]
policy = "runware"
keys = ["{other_key}"]

[teams.lost]  # two live keys, of which one is revoked
policy = "runware"
keys = ["{lost_key}", "{kept_key}"]
"""


def today() -> date:
    return datetime.now(UTC).date()


def picture(width: int = 480, height: int = 320, kind: str = "JPEG", *, transparent: bool = False) -> bytes:
    """A picture with something in it: a gradient. `transparent` gives a mask whose left half may change."""
    gradient = Image.linear_gradient("L").resize((width, height))
    made = Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.ROTATE_180), gradient))
    if transparent:
        made.putalpha(Image.new("L", (width, height), 255))
        made.paste((0, 0, 0, 0), (0, 0, width // 2, height))
    out = io.BytesIO()
    made.save(out, kind)
    return out.getvalue()


def data_uri(data: bytes, media_type: str = "image/jpeg") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


PHOTO = picture()
PHOTO_URI = data_uri(PHOTO)
PROMPT = "Make the mug blue"
_VARIANTS = itertools.count(1)


async def eventually(probe: Callable[[], Awaitable[T | None]], within_s: float = 15.0) -> T:
    """What `probe` gives as soon as it gives anything; fails after `within_s`."""
    end = time.monotonic() + within_s
    while True:
        found = await probe()
        if found:
            return found
        assert time.monotonic() < end, f"nothing after {within_s} s"
        await asyncio.sleep(0.05)  # between two questions over the network, not for a result


class Stage:
    """What a test has at hand."""

    def __init__(
        self,
        url: str,
        rehearsal: Rehearsal,
        http: httpx.AsyncClient,
        pictures_url: str,
        closed: int,
        config: Path,
        hooks: Receiver,
    ) -> None:
        self.config, self.hooks = config, hooks
        self.url, self.rehearsal, self.http = url, rehearsal, http
        self.pictures_url, self.closed_url = pictures_url, f"http://127.0.0.1:{closed}"

    async def post(
        self, *, key: str | None = KEY, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        """An edit of the photo, waited for. A field that is None is left out. Each has a prompt of its own, since a
        refusal sticks to what was refused."""
        document = {"prompt": f"{PROMPT}, variant {next(_VARIANTS)}", "images": [PHOTO_URI], **fields}
        document = {name: value for name, value in document.items() if value is not None}
        return await self.request("POST", "/v1/edits", key=key, headers=headers, json=document)

    async def edit(self, **fields: Any) -> Answer:
        """As `post`, for an edit that must succeed."""
        response = await self.post(**fields)
        assert response.status_code == 200, response.text
        return response.json()

    async def at_both(self, **fields: Any) -> dict[str, httpx.Response]:
        """Two edits at once, one with each provider as its primary and the other as its way out."""
        responses = await asyncio.gather(*(self.post(policy=provider, **fields) for provider in PROVIDERS))
        return dict(zip(PROVIDERS, responses, strict=True))

    async def get(self, path: str, key: str | None = KEY, **rest: Any) -> httpx.Response:
        return await self.request("GET", path, key=key, **rest)

    async def request(
        self, method: str, path: str, *, key: str | None = KEY, headers: dict[str, str] | None = None, **rest: Any
    ) -> httpx.Response:
        sent = {**({"authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
        return await self.http.request(method, self.url + path, headers=sent, **rest)

    async def ended(self, edit_id: str, within_s: float = 15.0) -> Answer:
        """The edit, once it is no longer going on."""

        async def probe() -> Answer | None:
            answer = (await self.get(f"/v1/edits/{edit_id}")).json()
            return None if answer["status"] in ("queued", "running") else answer

        return await eventually(probe, within_s)

    async def restore(self) -> None:
        """An operator says of every provider that it is well."""
        for provider in (*PROVIDERS, "closed", "silent", "local"):
            path = f"/admin/providers/{provider}/restore"
            response = await self.request("POST", path, key=OPERATOR_KEY, json={"note": "a test begins"})
            assert response.status_code == 200, response.text

    def billed(self) -> list[str]:
        """Who charged for what, as offers."""
        return [f"{entry.provider}/{entry.model}" for entry in self.rehearsal.bill.entries]

    def billed_micro(self) -> int:
        return self.rehearsal.bill.total_micro_usd()

    def contacted(self, provider: str) -> bool:
        return bool(self.rehearsal.log.of(provider))

    def submits(self) -> dict[str, int]:
        """How many orders reached each provider, taken or not."""
        return {provider: len(self.rehearsal.log.of(provider, "submit")) for provider in PROVIDERS}


def cost_micro(answer: Answer) -> int:
    return int(Decimal(answer["cost"]["usd"]).scaleb(6))


def story(answer: Answer) -> list[tuple[str, str]]:
    """What the answer's routing tells of its attempts."""
    return [(attempt["offer"], attempt["outcome"]) for attempt in answer["routing"]["attempts"]]


# --- building it ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def state_folder() -> AsyncGenerator[Path]:
    """A folder for a configuration whose state lies in `state`; the engine that runs there is ended."""
    folder = Path(tempfile.mkdtemp(prefix="kontext-test-"))
    try:
        yield folder
    finally:
        if (folder / "state").exists():
            await stop(folder / "state")
        shutil.rmtree(folder)


@contextmanager
def closed_port() -> Generator[int]:
    """A port at which nobody listens, and which nobody else can take."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def silent_port() -> Generator[int]:
    """A port whose host lets every connection attempt hang: its queue of waiting connections is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        try:
            yield listening.getsockname()[1]
        finally:
            for one in waiting:
                one.close()


PAGES: dict[str, tuple[str, bytes]] = {
    "/photo.jpg": ("image/jpeg", PHOTO),
    "/page.html": ("text/html", b"<!doctype html><p>not a picture</p>"),
}


@asynccontextmanager
async def picture_server() -> AsyncGenerator[int]:
    """A web server of pictures; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        media_type, body = PAGES.get(head.split(b" ")[1].decode(), ("", b""))
        status = "200 OK" if media_type else "404 Not Found"
        headers = f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{headers}connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def _quick(provider: str, *models: str) -> str:
    return "\n".join(f"[providers.{provider}.models.{model}]\nusual_s = {SECONDS}" for model in models)


def configuration(folder: Path, rehearsal: Rehearsal, *, pictures: int, closed: int, silent: int, hooks: int) -> Path:
    """A `kontext.toml` in `folder` that buys from the stand-ins and from two providers that are not there."""
    (folder / "stand-in.key").write_text(rehearsal.key)
    path = folder / "kontext.toml"
    path.write_text(
        CONFIG.format(
            runware=rehearsal.runware_url,
            runflow=rehearsal.runflow_url,
            pictures=pictures,
            closed=closed,
            silent=silent,
            hooks=hooks,
            runware_models=_quick("runware", "kontext-pro", "kontext-max", "kontext-dev"),
            runflow_models=_quick("runflow", "kontext-pro", "kontext-max"),
            tortoise_models=_quick("tortoise", "kontext-pro", "kontext-max"),
            closed_models=_quick("closed", "kontext-pro"),
            silent_models=_quick("silent", "kontext-pro"),
            key=key_hash(KEY),
            read_key=key_hash(READ_KEY),
            edit_key=key_hash(EDIT_KEY),
            expired_key=key_hash(EXPIRED_KEY),
            operator_key=key_hash(OPERATOR_KEY),
            other_key=key_hash(OTHER_KEY),
            purse_key=key_hash(PURSE_KEY),
            hedged_key=key_hash(HEDGED_KEY),
            local_hedged_key=key_hash(LOCAL_HEDGED_KEY),
            slow_key=key_hash(SLOW_KEY),
            uploader_key=key_hash(UPLOADER_KEY),
            poor_key=key_hash(POOR_KEY),
            strict_key=key_hash(STRICT_KEY),
            narrow_key=key_hash(NARROW_KEY),
            lost_key=key_hash("kx_lost"),
            kept_key=key_hash("kx_kept"),
        )
    )
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def theatre() -> AsyncGenerator[Stage]:
    """The stage, built once."""
    async with (
        Rehearsal.serve(seconds=SECONDS, fast=True) as rehearsal,
        picture_server() as pictures,
        Receiver.serve() as hooks,
        state_folder() as folder,
        httpx.AsyncClient(timeout=30) as http,
    ):
        with closed_port() as closed, silent_port() as silent:
            path = configuration(folder, rehearsal, pictures=pictures, closed=closed, silent=silent, hooks=hooks.port)
            settings = load(path, {}, today())
            async with serving(settings, timing=TIMING) as url:
                yield Stage(url, rehearsal, http, f"http://127.0.0.1:{pictures}", closed, path, hooks)


@pytest_asyncio.fixture(loop_scope="session")
async def stage(theatre: Stage) -> AsyncGenerator[Stage]:
    """The stage, swept: no script, no bill, no log, and no provider is sick of what it was made to say before. A test
    leaves no edit going on."""
    theatre.rehearsal.reset()
    await theatre.restore()
    yield theatre
    theatre.rehearsal.faults.reset()
