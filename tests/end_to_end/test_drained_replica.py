"""`kontext drain` on a real process: what runs there goes on, what is new goes elsewhere, and it comes back."""

import json
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from gateway.secret import key_hash
from tests.end_to_end.processes import EXTRA, KEY, Field, Server, field_of, kontext
from tests.end_to_end.stage import PHOTO_URI, PROMPT

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPERATOR, READER = "kx_operator", "kx_reader"
EXTRA_KEY = f"""
[teams.operators]
policy = "preview"
[[teams.operators.keys]]
id = "night"
hash = "{key_hash(OPERATOR)}"
scopes = ["admin"]
[[teams.operators.keys]]
id = "day"
hash = "{key_hash(READER)}"
scopes = ["edit", "read"]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def field() -> AsyncGenerator[Field]:
    async with field_of(EXTRA + EXTRA_KEY, seconds=1.0) as it:
        yield it


async def drained(field: Field, server: Server, *words: str, key: str = OPERATOR) -> tuple[int, str, str]:
    return await kontext(
        "drain", "--note", "a look", *words, cwd=field.folder, KONTEXT_URL=server.url, KONTEXT_API_KEY=key
    )


async def ready(field: Field, server: Server) -> int:
    return (await field.http.get(f"{server.url}/readyz")).status_code


async def test_a_drained_replica_ends_what_it_has_and_takes_nothing_new(field: Field) -> None:
    server = await field.gateway()
    edit = await field.begin(server)
    code, out, err = await drained(field, server, "--json")
    told = json.loads(out)
    assert (code, told["in_flight"], told["ready"]) == (0, 0, False), err
    assert (told["out_of_service"]["by"], told["out_of_service"]["note"]) == ("operators/night", "a look")
    assert (await field.read(server, edit))["status"] == "succeeded", "its own edit was ended here"
    assert await ready(field, server) == 503
    headers = {"authorization": f"Bearer {KEY}"}
    refused = await field.http.post(
        f"{server.url}/v1/edits", json={"prompt": PROMPT, "images": [PHOTO_URI]}, headers=headers
    )
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:kontext:problem:leaving")
    code, out, err = await drained(field, server, "--restore")
    assert (code, await ready(field, server)) == (0, 200), err
    assert "in service; 0 edits" in out


async def test_edits_that_are_still_in_flight_when_the_time_is_over_are_said(field: Field) -> None:
    server = await field.gateway()
    await field.fault("runware", fault="slow", times=1, seconds=8)
    await field.begin(server)
    code, out, _ = await drained(field, server, "--within", "0.5")
    assert (code, "1 edits are in flight" in out) == (1, True)


async def test_a_provider_is_drained_for_all_and_a_key_without_the_scope_drains_nothing(field: Field) -> None:
    server = await field.gateway()
    code, out, err = await drained(field, server, "runware")
    assert (code, "runware is drained" in out) == (0, True), err
    code, _, _ = await drained(field, server, "runware", "--restore")
    assert code == 0
    code, _, err = await drained(field, server, key=READER)
    assert (code, "scope" in err) == (2, True), err
    assert await ready(field, server) == 200
