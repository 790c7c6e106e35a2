"""A running gateway whose file changes: by the folder that it watches, and by SIGHUP; under load nobody notices."""

import asyncio
import signal
from collections.abc import Awaitable

import pytest

from gateway.secret import key_hash
from tests.end_to_end.processes import KEY, Field, Server
from tests.end_to_end.stage import PHOTO_URI, PROMPT, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")
NEW = "kx_new"


async def ready(field: Field, server: Server) -> dict[str, str]:
    return (await field.http.get(f"{server.url}/readyz")).json()


async def status(field: Field, server: Server, key: str) -> int:
    return (await field.http.get(f"{server.url}/v1/models", headers={"authorization": f"Bearer {key}"})).status_code


async def test_a_changed_file_is_in_force_soon_and_a_broken_one_never(field: Field) -> None:
    server, text = await field.gateway(), field.config.read_text()
    before = await ready(field, server)
    try:
        field.config.write_text(text.replace(key_hash(KEY), key_hash(NEW)))
        await eventually(lambda: _is(status(field, server, NEW), 200))
        assert await status(field, server, KEY) == 401, "the old key is revoked"
        field.config.write_text("[[[")
        server.process.send_signal(signal.SIGHUP)
        await eventually(lambda: _is(_configuration(field, server), "refused"))
        assert await status(field, server, NEW) == 200
    finally:
        field.config.write_text(text)
    await eventually(lambda: _is(_configuration(field, server), "applied"))
    assert await ready(field, server) == before


async def test_reloads_under_load_fail_no_request(field: Field) -> None:
    """Edits begin before, between and after; each is succeeded, and tells the revision that it was planned under."""
    server, text = await field.gateway(), field.config.read_text()
    headers = {"authorization": f"Bearer {KEY}"}
    document = {"prompt": PROMPT, "images": [PHOTO_URI], "policy": "preview", "tier": "preview"}

    async def edit() -> tuple[int, str]:
        response = await field.http.post(f"{server.url}/v1/edits", json=document, headers=headers)
        return response.status_code, response.json().get("routing", {}).get("revision", response.text)

    try:
        asked: list[asyncio.Task[tuple[int, str]]] = []
        for number in range(4):
            before = (await ready(field, server))["revision"]
            field.config.write_text(f"{text}\n[policies.spare{number}]\noffers = ['runware/kontext-pro']\n")
            asked += [asyncio.create_task(edit()) for _ in range(3)]
            await eventually(lambda before=before: _is_not(_revision(field, server), before))
            asked += [asyncio.create_task(edit()) for _ in range(3)]
        answers = await asyncio.gather(*asked)
    finally:
        field.config.write_text(text)
    assert {code for code, _ in answers} == {200}, answers
    assert len({revision for _, revision in answers}) > 1


async def _configuration(field: Field, server: Server) -> str:
    return (await ready(field, server))["configuration"]


async def _revision(field: Field, server: Server) -> str:
    return (await ready(field, server))["revision"]


async def _is_not(asked: Awaitable[object], unwanted: object) -> bool:
    return await asked != unwanted


async def _is(asked: Awaitable[object], wanted: object) -> bool:
    return await asked == wanted
