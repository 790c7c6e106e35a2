"""Ten thousand requests made of chance leave the number of series where it was, below a stated one: no path, key,
model, policy, prompt, team or method of a caller's ever becomes a label."""

import random
import string
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import msgspec
import pytest
import pytest_asyncio

from gateway.api.context import Context
from gateway.api.traffic import App, Traffic
from gateway.app import create_app, opened
from gateway.configuration import load
from gateway.secret import key_hash
from gateway.settings import Settings
from tests.end_to_end.stage import PHOTO_URI, state_folder, today

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUESTS = 10_000
SEED = 5
MOST_SERIES = 1_000
"""Of a replica with eight offers at three providers, whatever is sent to it."""

KEY = "kx_hostile"
CONFIG = """\
[state]
dir = "state"

[providers.runware]
api_key = "file:key"

[providers.runflow]
api_key = "file:key"

[providers.local]
base_url = "embedded:preview"

[policies.production]
offers = ["runware/kontext-pro", "runflow/kontext-pro", "runware/kontext-max"]

[policies.preview]
tier = "preview"
offers = ["local/preview"]

[teams.tests]
policy = "preview"
budget = {{ day_usd = "1.00" }}
keys = ["{hash}"]
"""


class Hostile:
    """A gateway in this process, spoken to below HTTP: ten thousand sockets would measure something else."""

    def __init__(self, app: App, context: Context) -> None:
        self.app, self.context, self.statuses = app, context, Counter[int]()

    async def send(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> None:
        raw_path, _, query = quote(path, safe="/?&=%").partition("?")
        fields = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path.partition("?")[0], "raw_path": raw_path.encode(), "query_string": query.encode(),
            "root_path": "", "headers": fields, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def take(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] += 1

        await self.app(scope, receive, take)

    def series(self) -> set[str]:
        lines = self.context.metrics.render("")[0].decode().splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def configured(folder: Path) -> Settings:
    (folder / "key").write_text("no provider is asked")
    path = folder / "kontext.toml"
    path.write_text(CONFIG.format(hash=key_hash(KEY)))
    return load(path, {}, today())


@pytest_asyncio.fixture(loop_scope="module")
async def gateway() -> AsyncGenerator[Hostile]:
    async with state_folder() as folder, opened(configured(folder)) as context:
        yield Hostile(Traffic(cast("App", create_app(context)), context.metrics), context)


def noise(chance: random.Random) -> str:
    letters = string.ascii_letters + string.digits + "äß漢🙂'\"{}\\,=\n/?"
    return "".join(chance.choice(letters) for _ in range(chance.randint(1, 24)))


def order(chance: random.Random) -> bytes:
    """An edit that names what nobody has, now and then one that could be made."""
    wish: dict[str, Any] = {"prompt": noise(chance), "images": [PHOTO_URI]}
    field = chance.choice(["policy", "models", "tier", "metadata", "options", "size", "webhook_url", noise(chance)])
    wish[field] = {
        "models": [f"{noise(chance)}/{noise(chance)}"],
        "metadata": {noise(chance): noise(chance)},
        "options": {noise(chance): {noise(chance): 1}},
    }.get(field, noise(chance))
    return msgspec.json.encode(wish)


async def one(gateway: Hostile, chance: random.Random) -> None:
    key = KEY if chance.random() < 0.5 else f"kx_{noise(chance)}"
    headers = {"authorization": f"Bearer {key}", "traceparent": noise(chance), "content-type": "application/json"}
    headers = {name: value.replace("\n", " ") for name, value in headers.items()}
    match chance.randrange(4):
        case 0:
            await gateway.send(
                chance.choice(["GET", "POST", "PUT", "BREW", noise(chance)]), f"/{noise(chance)}", headers
            )
        case 1:
            await gateway.send("GET", f"/v1/edits/{noise(chance)}", headers)
        case 2:
            await gateway.send("GET", f"/v1/usage?by={noise(chance)}&team={noise(chance)}", headers)
        case _:
            await gateway.send("POST", "/v1/edits", headers | {"prefer": "wait=1"}, order(chance))


async def test_hostile_traffic_leaves_the_number_of_series_below_the_stated_one(gateway: Hostile) -> None:
    chance = random.Random(SEED)
    for _ in range(200):
        await one(gateway, chance)
    before = gateway.series()
    for _ in range(REQUESTS - 200):
        await one(gateway, chance)
    after = gateway.series()
    print(f"{len(before)} series before, {len(after)} after; answers: {dict(gateway.statuses)}")
    assert sum(gateway.statuses.values()) == REQUESTS
    assert not any(status >= 500 for status in gateway.statuses), gateway.statuses
    assert len(after) < MOST_SERIES
    assert len(after - before) < 30, sorted(after - before)
    assert not [series for series in after if "🙂" in series or "漢" in series]
