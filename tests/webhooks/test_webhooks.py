"""Webhooks as a team sees them: registered by the API, told by a gateway, read by Standard Webhooks' own library."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from standardwebhooks import WebhookVerificationError

from tests.end_to_end.stage import KEY, OTHER_KEY, PHOTO_URI, PROMPT, READ_KEY, Answer, Stage, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PREVIEW: dict[str, Any] = {"policy": "preview", "prompt": "Make it black and white"}


async def register(stage: Stage, path: str, key: str = KEY, **fields: Any) -> Answer:
    document = {"url": stage.hooks.url + path, **fields}
    response = await stage.request("POST", "/v1/webhooks", key=key, json=document)
    assert response.status_code == 201, response.text
    return response.json()


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def removed(stage: Stage) -> AsyncGenerator[None]:
    """A test leaves no endpoint behind."""
    yield
    for key in (KEY, OTHER_KEY):
        for endpoint in (await stage.get("/v1/webhooks", key=key)).json()["data"]:
            await remove(stage, endpoint, key)


async def remove(stage: Stage, endpoint: Answer, key: str = KEY) -> None:
    response = await stage.request("DELETE", f"/v1/webhooks/{endpoint['id']}", key=key)
    assert (response.status_code, response.content) == (204, b"")


async def log_of(stage: Stage, endpoint: Answer, **params: Any) -> Answer:
    response = await stage.get(f"/v1/webhooks/{endpoint['id']}/deliveries", params=params)
    assert response.status_code == 200, response.text
    return response.json()


# --- told -------------------------------------------------------------------------------------------------------------


async def test_an_edits_end_is_told_signed_and_thin(stage: Stage) -> None:
    endpoint = await register(stage, "/all")
    answer = await stage.edit()
    (told,) = await stage.hooks.told("/all")
    body = told.verified(endpoint["secret"])
    assert body == {
        "type": "edit.succeeded",
        "timestamp": answer["finished_at"],
        "data": {"object": "edit", "id": answer["id"], "status": "succeeded"},
    }
    assert PROMPT.encode() not in told.body
    assert told.headers["content-type"] == "application/json"
    assert "authorization" not in told.headers
    with pytest.raises(WebhookVerificationError):
        told.verified("whsec_" + "A" * 44)
    await remove(stage, endpoint)
    await stage.edit(**PREVIEW)
    assert len(stage.hooks.at("/all")) == 1


async def test_each_kind_of_end_has_its_event(stage: Stage) -> None:
    endpoint = await register(stage, "/kinds")
    stage.rehearsal.faults.add("runware", "moderated_on_submit", times=1)
    await stage.post(policy="runware")
    stage.rehearsal.faults.add("runware", "task_failed")
    await stage.post(models=["runware/kontext-pro"])
    stage.rehearsal.faults.reset()
    stage.rehearsal.faults.add("runware", "slow", seconds=1.0)
    running = (await stage.post(headers={"prefer": "respond-async"})).json()
    await stage.request("DELETE", f"/v1/edits/{running['id']}")
    told = await stage.hooks.told("/kinds", 3)
    assert {one.verified(endpoint["secret"])["type"] for one in told} == {
        "edit.refused",
        "edit.failed",
        "edit.cancelled",
    }


async def test_an_endpoint_is_told_of_the_ends_that_it_chose(stage: Stage) -> None:
    endpoint = await register(stage, "/failures", events=["edit.unresolved", "edit.failed", "edit.failed"])
    every = await register(stage, "/every")
    assert (endpoint["events"], len(every["events"])) == (["edit.failed", "edit.unresolved"], 5)
    named = await register(stage, "/named", receives="named", events=["edit.succeeded"])
    await stage.edit(**PREVIEW)
    stage.rehearsal.faults.add("runware", "task_failed")
    failing: dict[str, Any] = {"models": ["runware/kontext-pro"], "webhook_url": f"{stage.hooks.url}/named/7"}
    failed = (await stage.post(**failing)).json()["edit"]["id"]
    stage.rehearsal.faults.reset()
    answer = await stage.edit(**PREVIEW, webhook_url=f"{stage.hooks.url}/named/8")
    assert len(await stage.hooks.told("/every", 3)) == 3
    (told,) = await stage.hooks.told("/failures")
    assert told.verified(endpoint["secret"])["data"]["id"] == failed
    (told,) = await stage.hooks.told("/named/8")
    assert told.verified(named["secret"])["data"]["id"] == answer["id"]
    assert [len((await log_of(stage, one))["data"]) for one in (endpoint, every, named)] == [1, 3, 1]


@pytest.mark.parametrize("events", [[], ["edit.begun"], "edit.failed", None])
async def test_events_that_there_are_not_are_refused(stage: Stage, events: Any) -> None:
    document = {"url": f"{stage.hooks.url}/some", "events": events}
    response = await stage.request("POST", "/v1/webhooks", json=document)
    if events is None:
        assert response.status_code == 201
    else:
        assert (response.status_code, response.json()["field"][:6]) == (422, "events")


async def test_an_edit_names_its_own_address_under_an_endpoint(stage: Stage) -> None:
    endpoint = await register(stage, "/named", receives="named")
    await stage.edit(**PREVIEW)
    answer = await stage.edit(**PREVIEW, webhook_url=f"{stage.hooks.url}/named/orders/7?step=2")
    (told,) = await stage.hooks.told("/named/orders/7?step=2")
    assert told.verified(endpoint["secret"])["data"]["id"] == answer["id"]
    assert stage.hooks.at("/named") == []
    (logged,) = (await log_of(stage, endpoint))["data"]
    assert logged["url"].endswith("/named/orders/7?step=2")


@pytest.mark.parametrize("path", ["/named-else", "/name", "/", "/named/../admin", "/named/%2e%2E/admin"])
async def test_an_address_elsewhere_is_refused_before_anything_is_spent(stage: Stage, path: str) -> None:
    await register(stage, "/named")
    if path == "/name":
        await register(stage, path, key=OTHER_KEY)
    for route in ("/v1/edits", "/v1/quotes"):
        document = {"prompt": PROMPT, "images": ["data:,"], "webhook_url": stage.hooks.url + path}
        response = await stage.request("POST", route, json=document)
        problem = response.json()
        assert (response.status_code, problem["field"]) == (422, "webhook_url"), problem
        assert "POST /v1/webhooks registers one" in problem["expected"]


async def test_another_teams_endpoint_is_told_nothing(stage: Stage) -> None:
    await register(stage, "/theirs", key=OTHER_KEY)
    await register(stage, "/mine")
    await stage.edit(**PREVIEW)
    await stage.hooks.told("/mine")
    assert stage.hooks.at("/theirs") == []


async def test_a_slow_receiver_of_one_team_does_not_delay_anothers(stage: Stage) -> None:
    await register(stage, "/never")
    await register(stage, "/quick", key=OTHER_KEY)
    stage.hooks.hang("/never")
    for _ in range(6):
        await stage.edit(**PREVIEW)
    await stage.hooks.told("/never", 4)
    await stage.edit(**PREVIEW, key=OTHER_KEY)
    await stage.hooks.told("/quick")
    assert len(stage.hooks.at("/never")) == 4, "as many as may be on their way to one endpoint"
    stage.hooks.let_go()
    await stage.hooks.told("/never", 6)


@pytest.mark.parametrize(
    ("status", "lines", "said"),
    [(200, "", b"x" * 500_000), (200, "content-encoding: gzip\r\n", b"not gzip"), (202, "", b"")],
)
async def test_whatever_a_receiver_says_with_its_2xx_it_has_taken_the_message(
    stage: Stage, status: int, lines: str, said: bytes
) -> None:
    endpoint = await register(stage, "/wordy")
    stage.hooks.received.clear()
    stage.hooks.answers["/wordy"].append(status)
    stage.hooks.says["/wordy"] = (lines, said)
    await stage.edit(**PREVIEW)
    await stage.hooks.told("/wordy")

    async def delivered() -> bool:
        (one,) = (await log_of(stage, endpoint))["data"]
        return [one["status"], *(tried["status"] for tried in one["tries"])] == ["delivered", status]

    await eventually(delivered)
    assert len(stage.hooks.at("/wordy")) == 1


async def test_an_openai_client_names_an_address_too(stage: Stage) -> None:
    endpoint = await register(stage, "/sdk", receives="named")
    document = {"model": "policy:preview", "prompt": "Make it black and white", "webhook_url": endpoint["url"] + "/7"}
    response = await stage.request("POST", "/v1/images/edits", json={**document, "images": [{"image_url": PHOTO_URI}]})
    assert response.status_code == 200, response.text
    (told,) = await stage.hooks.told("/sdk/7")
    assert told.verified(endpoint["secret"])["data"]["id"] == response.headers["x-kontext-edit-id"]


# --- secrets ----------------------------------------------------------------------------------------------------------


async def test_a_secret_is_shown_once_and_two_sign_after_a_rotation(stage: Stage) -> None:
    endpoint = await register(stage, "/rotated")
    shown = [await stage.get("/v1/webhooks"), await stage.get(f"/v1/webhooks/{endpoint['id']}", key=READ_KEY)]
    assert all(endpoint["secret"] not in one.text and "whsec_" not in one.text for one in shown)
    rotated = (await stage.request("POST", f"/v1/webhooks/{endpoint['id']}/rotate")).json()
    assert rotated["rotated_until"] is not None
    again = (await stage.request("POST", f"/v1/webhooks/{endpoint['id']}/rotate")).json()
    await stage.edit(**PREVIEW)
    (told,) = await stage.hooks.told("/rotated")
    assert len(told.headers["webhook-signature"].split()) == 2
    assert told.verified(again["secret"]) == told.verified(rotated["secret"])
    with pytest.raises(WebhookVerificationError):
        told.verified(endpoint["secret"])
    assert len({endpoint["secret"], rotated["secret"], again["secret"]}) == 3


# --- registering ------------------------------------------------------------------------------------------------------

NO_ADDRESSES = {
    "without TLS": "http://hooks.example/kontext",
    "a private address": "https://10.0.0.7/hook",
    "loopback": "https://127.0.0.1/hook",
    "the metadata service": "https://169.254.169.254/latest",
    "a name for loopback": "https://localhost/hook",
    "another port": "https://203.0.113.7:8443/hook",
    "a password": "https://user:secret@hooks.example/kontext",
    "no address": "not an address",
    "another scheme": "ftp://hooks.example/kontext",
}


@pytest.mark.parametrize("kind", NO_ADDRESSES)
async def test_an_address_that_may_not_be_called_is_not_registered(stage: Stage, kind: str) -> None:
    before = (await stage.get("/v1/webhooks")).json()
    response = await stage.request("POST", "/v1/webhooks", json={"url": NO_ADDRESSES[kind]})
    problem = response.json()
    assert (response.status_code, problem["field"]) == (422, "url"), problem
    assert "[egress] allow_hosts" in problem["expected"]
    assert (await stage.get("/v1/webhooks")).json() == before


async def test_what_is_registered_is_listed_and_no_address_twice(stage: Stage) -> None:
    one, other = await register(stage, "/one"), await register(stage, "/other", receives="named")
    listed = (await stage.get("/v1/webhooks")).json()["data"]
    assert [(each["id"], each["receives"], each["status"]) for each in listed] == [
        (one["id"], "all", "enabled"),
        (other["id"], "named", "enabled"),
    ]
    for same in (one["url"], one["url"] + "#here", one["url"].replace("http", "HTTP")):
        response = await stage.request("POST", "/v1/webhooks", json={"url": same})
        assert (response.status_code, response.json()["field"]) == (422, "url")
        assert one["id"] in response.json()["detail"]
    for wrong in ({"url": one["url"], "receives": "some"}, {"url": one["url"], "secret": "mine"}, {}):
        assert (await stage.request("POST", "/v1/webhooks", json=wrong)).status_code == 422
    await remove(stage, one)
    await remove(stage, other)
    assert (await stage.get(f"/v1/webhooks/{one['id']}")).status_code == 404


# --- the log, and once more -------------------------------------------------------------------------------------------


async def test_the_log_tells_of_each_try_and_a_message_can_be_had_again(stage: Stage) -> None:
    endpoint = await register(stage, "/log")
    stage.hooks.answers["/log"].extend([500])
    answer = await stage.edit(**PREVIEW)
    (first,) = await stage.hooks.told("/log")

    async def tried(count: int) -> Answer | None:
        (one,) = (await log_of(stage, endpoint))["data"]
        return one if len(one["tries"]) == count else None

    logged = await eventually(lambda: tried(1))
    assert (logged["id"], logged["edit"], logged["event"]) == (first.id, answer["id"], "edit.succeeded")
    assert (logged["status"], logged["tries"][0]["status"]) == ("pending", 500)
    assert logged["next_try_at"] > logged["created_at"]
    path = f"/v1/webhooks/{endpoint['id']}/deliveries/{first.id}/redeliver"
    assert (await stage.request("POST", path)).status_code == 202
    _, second = await stage.hooks.told("/log", 2)
    assert (second.id, second.body) == (first.id, first.body)
    logged = await eventually(lambda: tried(2))
    assert (logged["status"], logged["next_try_at"], logged["tries"][1]["status"]) == ("delivered", None, 204)


async def test_the_log_goes_on_where_a_page_ended(stage: Stage) -> None:
    endpoint = await register(stage, "/pages")
    edits = [(await stage.edit(**PREVIEW))["id"] for _ in range(3)]
    await stage.hooks.told("/pages", 3)
    page = await log_of(stage, endpoint, limit=2)
    rest = await log_of(stage, endpoint, limit=2, cursor=page["next"])
    assert [one["edit"] for one in (*page["data"], *rest["data"])] == edits[::-1]
    assert rest["next"] is None
    other = await register(stage, "/pages/other")
    for wrong in (page["next"] + "0", "x"):
        response = await stage.get(f"/v1/webhooks/{endpoint['id']}/deliveries", params={"cursor": wrong})
        assert (response.status_code, response.json()["field"]) == (422, "cursor")
    stolen = await stage.get(f"/v1/webhooks/{other['id']}/deliveries", params={"cursor": page["next"]})
    assert stolen.status_code == 422
    await remove(stage, endpoint)
    await remove(stage, other)


async def test_who_says_gone_is_disabled_in_sight_and_enabled_again_by_hand(stage: Stage) -> None:
    endpoint = await register(stage, "/gone")
    stage.hooks.answers["/gone"].append(410)
    await stage.edit(**PREVIEW)

    async def disabled() -> Answer | None:
        found = (await stage.get(f"/v1/webhooks/{endpoint['id']}")).json()
        return found if found["status"] == "disabled" else None

    found = await eventually(disabled)
    assert (found["reason"], found["disabled_at"] is not None) == ("gone", True)
    (logged,) = (await log_of(stage, endpoint))["data"]
    again = f"/v1/webhooks/{endpoint['id']}/deliveries/{logged['id']}/redeliver"
    response = await stage.request("POST", again)
    assert (response.status_code, response.json()["type"]) == (409, "urn:kontext:problem:disabled")
    refused = await stage.post(**PREVIEW, webhook_url=endpoint["url"])
    assert (refused.status_code, refused.json()["field"]) == (422, "webhook_url")
    assert f"/v1/webhooks/{endpoint['id']}/enable" in refused.json()["expected"]

    async def counted() -> httpx.Response | None:
        page = await stage.get("/metrics", key=READ_KEY)
        return page if "kontext_webhook_endpoints_disabled 1.0" in page.text else None

    await eventually(counted)
    enabled = await stage.request("POST", f"/v1/webhooks/{endpoint['id']}/enable")
    assert (enabled.status_code, enabled.json()["status"], enabled.json()["reason"]) == (200, "enabled", None)
    assert (await stage.request("POST", again)).status_code == 202
    await stage.hooks.told("/gone", 2)


# --- whose ------------------------------------------------------------------------------------------------------------

OWNED = (
    ("GET", ""),
    ("DELETE", ""),
    ("POST", "/rotate"),
    ("POST", "/enable"),
    ("GET", "/deliveries"),
    ("POST", "/deliveries/msg_x/redeliver"),
)


@pytest.mark.parametrize(("method", "rest"), OWNED)
async def test_what_is_another_teams_is_answered_as_what_is_not(stage: Stage, method: str, rest: str) -> None:
    theirs = await register(stage, "/of-others", key=OTHER_KEY)
    before = await stage.get(f"/v1/webhooks/{theirs['id']}", key=OTHER_KEY)
    unknown = f"we_{'0' * 32}"
    asked = [await stage.request(method, f"/v1/webhooks/{one}{rest}") for one in (theirs["id"], unknown, "we_*", "x")]
    assert {(one.status_code, one.content) for one in asked} == {(404, asked[1].content)}
    assert theirs["id"] not in (await stage.get("/v1/webhooks")).text
    assert (await stage.get(f"/v1/webhooks/{theirs['id']}", key=OTHER_KEY)).content == before.content
