"""Every example of the OpenAPI document is sent to the gateway, and answered as the document says."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import jsonschema
import pytest
import pytest_asyncio

from gateway.api.examples import ADDRESS, EDIT, EXAMPLES, FORM, HOOK, JSON, PICTURE, UPLOAD
from tests.end_to_end.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

Place = tuple[str, str, str, str]
"""Method, path, media type and name of an example."""

PLACES: list[Place] = [
    (method, path, one.media_type, name)
    for (method, path), examples in EXAMPLES.items()
    for name, one in examples.items()
]


@pytest_asyncio.fixture(loop_scope="session")
async def document(stage: Stage) -> dict[str, Any]:
    return (await stage.get("/schema", key=None)).json()


@pytest_asyncio.fixture(loop_scope="session")
async def stand_ins(stage: Stage) -> AsyncGenerator[dict[str, str]]:
    """What stands in this test for what a reader has: an address, an edit, a receiver, and the upload that the examples
    name by its true id."""
    edit = await stage.edit(policy="preview", prompt="Make it black and white")
    upload = await stage.request("POST", "/v1/images", json={"image": PICTURE})
    assert upload.json()["id"] == UPLOAD
    yield {ADDRESS: f"{stage.pictures_url}/photo.jpg", EDIT: edit["id"], HOOK: f"{stage.hooks.url}/examples"}
    for endpoint in (await stage.get("/v1/webhooks")).json()["data"]:
        await stage.request("DELETE", f"/v1/webhooks/{endpoint['id']}")


def documented(document: dict[str, Any]) -> dict[Place, Any]:
    return {
        (method, path, media_type, name): example["value"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for media_type, content in (operation.get("requestBody") or {"content": {}})["content"].items()
        for name, example in (content.get("examples") or {}).items()
    }


async def test_every_body_that_is_not_a_picture_has_examples_and_all_are_sent_here(document: dict[str, Any]) -> None:
    bodies = {
        (method, path, media_type)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for media_type in (operation.get("requestBody") or {"content": {}})["content"]
        if not media_type.startswith("image/")
    }
    found = documented(document)
    assert set(found) == set(PLACES)
    assert {place[:3] for place in found} == bodies


async def sent(stage: Stage, place: Place, value: Any) -> httpx.Response:
    method, path, media_type, _ = place
    if media_type == JSON:
        return await stage.request(method.upper(), path, json=value)
    assert media_type == FORM
    fields = [(name, one) for name, given in value.items() for one in (given if isinstance(given, list) else [given])]
    parts = [(name, (None, one if isinstance(one, str) else json.dumps(one))) for name, one in fields]
    return await stage.request(method.upper(), path, files=parts)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[1]}-{place[3]}")
async def test_an_example_is_answered_as_documented(
    stage: Stage, document: dict[str, Any], stand_ins: dict[str, str], place: Place
) -> None:
    method, path, media_type, _ = place
    operation = document["paths"][path][method]
    text = json.dumps(documented(document)[place])
    for name, own in stand_ins.items():
        text = text.replace(name, own)
    value = json.loads(text)
    conforms(value, operation["requestBody"]["content"][media_type], document)
    response = await sent(stage, place, value)
    success = min(status for status in operation["responses"] if status.startswith("2"))
    assert response.status_code == int(success), response.text
    answered = operation["responses"][success]["content"][response.headers["content-type"].partition(";")[0]]
    conforms(response.json(), answered, document)


def conforms(value: Any, content: dict[str, Any], document: dict[str, Any]) -> None:
    jsonschema.validate(value, {**content["schema"], "components": document["components"]})
