"""The gateway's application without a server in front: one call costs a fraction of a millisecond, so that whole products
of strings and places fit into seconds. What the wire itself refuses is tested elsewhere, over sockets.
"""

# ruff: noqa: E501 - tables of texts

import asyncio
import base64
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import date
from io import BytesIO
from typing import Any

import msgspec
from msgspec import Struct
from PIL import Image

from gateway.app import create_app, opened
from gateway.configuration import load
from gateway.secret import key_hash
from tests.end_to_end.stage import state_folder

KEY, OPERATOR_KEY = "kx_all", "kx_operator"
CONFIG = """\
[state]
dir = "state"
[providers.local]
[policies.preview]
tier = "preview"
offers = ["local/preview"]
[teams.tests]
policy = "preview"
keys = [
    {{ id = "all", hash = "{key}", scopes = ["edit", "read"] }},
    {{ id = "operator", hash = "{operator}", scopes = ["read", "admin"] }},
]
"""


def _picture() -> str:
    out = BytesIO()
    Image.new("RGB", (64, 64), "teal").save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


PICTURE = _picture()


class Answer(Struct, frozen=True):
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def media_type(self) -> str:
        return dict(self.headers).get(b"content-type", b"").partition(b";")[0].decode()

    @property
    def problem(self) -> str:
        """Its kind."""
        return str(msgspec.json.decode(self.body, type=dict[str, Any])["type"]).rpartition(":")[2]


class Door:
    def __init__(self, app: Any) -> None:  # an ASGI application
        self._app = app

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] = (),
        key: str = KEY,
        media_type: str = "application/json",
        whole: bool = True,
    ) -> Answer:
        """`path` as a server hands it on, its escapes undone; `query` raw. Not `whole`: the caller is gone then."""
        own = [(b"authorization", f"Bearer {key}".encode()), (b"content-type", media_type.encode()), (b"host", b"door")]
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode("utf-8", "replace"), "root_path": "", "query_string": query, "headers": [*own, *headers],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "extensions": {}, "state": {},
        }  # fmt: skip
        sent: list[dict[str, Any]] = []
        cut = () if whole else ({"type": "http.disconnect"},)
        given = iter(({"type": "http.request", "body": body, "more_body": not whole}, *cut))

        async def receive() -> dict[str, Any]:
            return next(given, None) or await asyncio.Future()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, *rest = sent
        return Answer(start["status"], tuple(start["headers"]), b"".join(one.get("body", b"") for one in rest))

    async def post(self, path: str, document: object, **rest: Any) -> Answer:
        return await self.call("POST", path, msgspec.json.encode(document), **rest)


@asynccontextmanager
async def opened_door() -> AsyncGenerator[Door]:
    async with state_folder() as folder:
        file = folder / "kontext.toml"
        file.write_text(CONFIG.format(key=key_hash(KEY), operator=key_hash(OPERATOR_KEY)))
        async with opened(load(file, {}, date(2027, 1, 15))) as context:
            yield Door(create_app(context))
