"""Every route × every kind of id × two teams × every scope: nothing of another team is read, changed or hinted at.

The routes are read from the application, so that a new one fails here until it is classified.
"""

import itertools
import re
from typing import Any

import httpx
import pytest
from msgspec import Struct

from tests.end_to_end.stage import EDIT_KEY, EXPIRED_KEY, KEY, OPERATOR_KEY, OTHER_KEY, READ_KEY, Stage, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Route(Struct, frozen=True):
    """`scopes`: one of them is asked for; none asks for no key. `owned`: it leads to something of one team, and answers
    `own` for an edit of one's own that has ended. `nowhere`: what one without a key answers here."""

    scopes: frozenset[str]
    owned: bool = False
    own: int = 200
    nowhere: int = 200
    body: dict[str, Any] | None = None


EDIT, READ, ADMIN = frozenset({"edit"}), frozenset({"read"}), frozenset({"admin"})
NOTE: dict[str, Any] = {"note": "a test"}
VERDICT: dict[str, Any] = {"verdict": "released", "note": "a test"}
ROUTES: dict[tuple[str, str], Route] = {
    ("post", "/v1/edits"): Route(EDIT, body={}),
    ("get", "/v1/edits"): Route(READ),
    ("get", "/v1/edits/{edit_id}"): Route(READ, owned=True),
    ("delete", "/v1/edits/{edit_id}"): Route(EDIT, owned=True, own=409),
    ("delete", "/v1/edits/{edit_id}/content"): Route(EDIT, owned=True),
    ("get", "/v1/edits/{edit_id}/events"): Route(READ, owned=True),
    ("get", "/v1/edits/{edit_id}/images/{number}"): Route(READ, owned=True),
    ("post", "/v1/images/edits"): Route(EDIT, body={}),
    ("post", "/v1/images"): Route(EDIT, body={}),
    ("get", "/v1/images/{image_id}"): Route(READ, owned=True),
    ("delete", "/v1/images/{image_id}"): Route(EDIT, owned=True, own=204),
    ("post", "/v1/quotes"): Route(EDIT | READ, body={}),
    ("get", "/v1/models"): Route(READ),
    ("get", "/v1/models/{model_id}"): Route(READ),
    ("get", "/v1/usage"): Route(READ),
    ("post", "/v1/webhooks"): Route(EDIT, body={}),
    ("get", "/v1/webhooks"): Route(READ),
    ("get", "/v1/webhooks/{endpoint_id}"): Route(READ),
    ("delete", "/v1/webhooks/{endpoint_id}"): Route(EDIT),
    ("post", "/v1/webhooks/{endpoint_id}/rotate"): Route(EDIT),
    ("post", "/v1/webhooks/{endpoint_id}/enable"): Route(EDIT),
    ("get", "/v1/webhooks/{endpoint_id}/deliveries"): Route(READ),
    ("post", "/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver"): Route(EDIT),
    ("post", "/callbacks/{provider}/{token}"): Route(frozenset(), nowhere=404),
    ("get", "/admin/unresolved"): Route(ADMIN),
    ("get", "/admin/corrections"): Route(ADMIN),
    ("post", "/admin/edits/{edit_id}/attempts/{number}/verdict"): Route(ADMIN, body=VERDICT),
    ("post", "/admin/edits/{edit_id}/verdict"): Route(ADMIN, body=VERDICT),
    ("get", "/admin/providers"): Route(ADMIN),
    ("post", "/admin/providers/{name}/drain"): Route(ADMIN, body=NOTE),
    ("post", "/admin/providers/{name}/restore"): Route(ADMIN, body=NOTE),
    ("post", "/admin/keys/{team}/{key}/revoke"): Route(ADMIN, body=NOTE),
    ("get", "/admin/audit"): Route(ADMIN),
    ("get", "/admin/replica"): Route(ADMIN),
    ("post", "/admin/replica/drain"): Route(ADMIN, body=NOTE),
    ("post", "/admin/replica/restore"): Route(ADMIN, body=NOTE),
    ("get", "/healthz"): Route(frozenset()),
    ("get", "/readyz"): Route(frozenset()),
    ("get", "/metrics"): Route(READ),
}
"""Edits of one team alone are reached by `read`. An operator's scope reaches across teams, and reads no picture."""

SCOPES = {EDIT_KEY: {"edit"}, READ_KEY: {"read"}, OPERATOR_KEY: {"admin"}, KEY: {"edit", "read"}}
UNKNOWN = "edit_01980000000070008000000000000000"
UNKNOWN_IMAGE = "img_01980000000070008000000000000000"
NO_IDS = {
    "unknown": UNKNOWN,
    "malformed": "edit_",
    "empty words": "null",
    "another kind": UNKNOWN_IMAGE,
    "long": "edit_" + "0" * 500,
    "a glob": "edit_*",
    "two braces": "edit_{kontext}",
    "a line": "edit_%0d%0aset-cookie:a=b",
    "a null": "edit_%00",
    "a path": "edit_%2e%2e%2fadmin",
    "not UTF-8": "edit_%ff",
}


async def routes(stage: Stage) -> set[tuple[str, str]]:
    document = (await stage.get("/schema", key=None)).json()
    return {(method, path) for path, item in document["paths"].items() for method in item if method != "parameters"}


async def call(stage: Stage, method: str, path: str, key: str | None) -> httpx.Response:
    """As the route wants it, with places for its parameters that lead nowhere."""
    route = ROUTES[method, path]
    filled = path.replace("{edit_id}", UNKNOWN).replace("{image_id}", UNKNOWN_IMAGE).replace("{number}", "0")
    filled = re.sub(r"\{\w+\}", "nobody", filled)
    return await stage.request(method.upper(), filled, key=key, json=route.body)


async def test_every_route_is_classified(stage: Stage) -> None:
    assert await routes(stage) == set(ROUTES), "say here which scope a new route asks for, and whether it is owned"


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_a_route_answers_its_scope_and_no_other(stage: Stage, route: tuple[str, str]) -> None:
    asked = ROUTES[route].scopes
    if not asked:
        assert (await call(stage, *route, None)).status_code == ROUTES[route].nowhere
        return
    for key, scopes in SCOPES.items():
        status = (await call(stage, *route, key)).status_code
        assert (status == 403) == (not asked & scopes), (key, status)
        assert status != 500
    refused = [await call(stage, *route, key) for key in (None, "", "kx_nobody", EXPIRED_KEY, "é".encode().hex())]
    assert {(response.status_code, response.content) for response in refused} == {(401, refused[0].content)}
    assert stage.billed() == []


def without_id(response: httpx.Response, edit_id: str) -> tuple[int, bytes, dict[str, str]]:
    """What tells two answers apart, but for the id that was asked for and the time."""
    headers = {name: value for name, value in response.headers.items() if name not in ("date", "content-length")}
    return response.status_code, response.content.replace(edit_id.encode(), b"ID"), headers


@pytest.mark.parametrize("route", [route for route in ROUTES if ROUTES[route].owned], ids=" ".join)
async def test_what_is_another_teams_is_answered_as_what_is_not(stage: Stage, route: tuple[str, str]) -> None:
    unknown_id = UNKNOWN if "{edit_id}" in route[1] else UNKNOWN_IMAGE
    for key, other in itertools.permutations((KEY, OTHER_KEY)):
        own_id, foreign_id = await made(stage, route, key), await made(stage, route, other)
        unknown = await asked_for(stage, route, key, unknown_id)
        told = await asked_for(stage, route, key, foreign_id)
        own = await asked_for(stage, route, key, own_id)
        assert own.status_code == ROUTES[route].own
        assert told.status_code == 404
        assert without_id(told, foreign_id) == without_id(unknown, unknown_id)
        assert foreign_id not in told.text


async def made(stage: Stage, route: tuple[str, str], key: str) -> str:
    """The id of what the route leads to: an edit, or an upload of a picture that no other team has."""
    if "{edit_id}" in route[1]:
        return (await stage.edit(policy="preview", prompt="Make it black and white", key=key))["id"]
    files = {"image": picture(50 if key == KEY else 60, 40)}
    return (await stage.request("POST", "/v1/images", key=key, files=files)).json()["id"]


async def asked_for(stage: Stage, route: tuple[str, str], key: str, asked_id: str) -> httpx.Response:
    method, path = route
    filled = path.format(edit_id=asked_id, image_id=asked_id, number=0)
    return await stage.request(method.upper(), filled, key=key, json=ROUTES[route].body)


@pytest.mark.parametrize("kind", NO_IDS)
@pytest.mark.parametrize("route", [route for route in ROUTES if "{edit_id}" in route[1] or "{image_id}" in route[1]])
async def test_no_id_leads_to_a_defect(stage: Stage, route: tuple[str, str], kind: str) -> None:
    key = OPERATOR_KEY if ROUTES[route].scopes == ADMIN else KEY
    response = await asked_for(stage, route, key, NO_IDS[kind])
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert "set-cookie" not in response.headers


async def test_lists_and_usage_hold_only_ones_own(stage: Stage) -> None:
    mine = await stage.edit(policy="preview", prompt="Make it black and white", metadata={"whose": "mine"})
    theirs = await stage.edit(policy="preview", prompt="Make it black and white", key=OTHER_KEY)
    page = await stage.get("/v1/edits?limit=1")
    assert theirs["id"] not in page.text
    assert mine["id"] in page.text
    cursor = page.json()["next"]
    stolen = await stage.get("/v1/edits", key=OTHER_KEY, params={"cursor": cursor or "x", "tag": "whose:mine"})
    assert mine["id"] not in stolen.text
    assert "others" not in (await stage.get("/v1/usage?by=team")).text


async def test_one_teams_idempotency_key_is_not_anothers(stage: Stage) -> None:
    headers = {"idempotency-key": "the-same-for-both"}
    fields: dict[str, Any] = {"policy": "preview", "prompt": "Make it black and white", "headers": headers}
    mine, theirs = await stage.edit(**fields), await stage.edit(**fields, key=OTHER_KEY)
    assert mine["id"] != theirs["id"]


async def test_a_revoked_key_is_answered_as_an_unknown_one(stage: Stage) -> None:
    await stage.get("/v1/models", key="kx_lost")
    unknown = await stage.get("/v1/models", key="kx_nobody")
    revoked = await stage.request("POST", "/admin/keys/lost/lost-0/revoke", key=OPERATOR_KEY, json=NOTE)
    assert (revoked.status_code, revoked.json()) == (200, {"team": "lost", "key": "lost-0", "revoked": True})
    refused = await stage.get("/v1/models", key="kx_lost")
    assert (refused.status_code, refused.content) == (401, unknown.content)
    again = await stage.request("POST", "/admin/keys/lost/lost-0/revoke", key=OPERATOR_KEY, json=NOTE)
    assert again.status_code == 200
    assert (await stage.get("/v1/models", key="kx_kept")).status_code == 200, "the team's other key lives"
    for path in ("lost/nobody", "nobody/lost-0", "tests/lost-0"):
        response = await stage.request("POST", f"/admin/keys/{path}/revoke", key=OPERATOR_KEY, json=NOTE)
        assert response.status_code == 404
