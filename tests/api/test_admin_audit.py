"""Every act under `/admin` is kept with who, what and why, before it is done."""

from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.state.acts import MOST_KEPT, Act, Acts
from gateway.state.connection import StoreUnavailable
from tests.end_to_end.stage import OPERATOR_KEY, Stage
from tests.engine import engine_url, store

__all__ = ["engine_url", "store"]

NOTE: dict[str, Any] = {"note": "why it was done"}
SETTLED: dict[str, Any] = {"verdict": "settled", "cost_usd": "0.01", "note": "why it was done"}
RELEASED: dict[str, Any] = {"verdict": "released", "note": "why it was done"}

# what is asked -> with what body, what is kept as what, and the status
ACTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "/admin/providers/{name}/drain": (NOTE, "drain a provider", 200),
    "/admin/providers/{name}/restore": (NOTE, "restore a provider", 200),
    "/admin/replica/drain": (NOTE, "drain a replica", 200),
    "/admin/replica/restore": (NOTE, "restore a replica", 200),
    "/admin/keys/{team}/{key}/revoke": (NOTE, "revoke a key", 200),
    # What is not unresolved cannot be settled, and that somebody wanted to is kept all the same.
    "/admin/edits/{edit_id}/attempts/{number}/verdict": (SETTLED, "settled an attempt", 409),
    "/admin/edits/{edit_id}/verdict": (RELEASED, "release an edit", 409),
}


async def listed(stage: Stage) -> list[dict[str, str]]:
    return (await stage.get("/admin/audit", key=OPERATOR_KEY)).json()


@pytest.mark.asyncio(loop_scope="session")
async def test_every_route_that_acts_is_here(stage: Stage) -> None:
    paths = (await stage.get("/schema", key=None)).json()["paths"]
    assert {path for path, item in paths.items() if path.startswith("/admin") and "post" in item} == set(ACTS)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("path", ACTS)
async def test_an_act_is_kept_with_who_what_and_why(stage: Stage, path: str) -> None:
    body, what, status = ACTS[path]
    edit_id = (await stage.edit(policy="preview", tier="preview"))["id"]
    filled = path.format(name="tortoise", team="lost", key="lost-1", edit_id=edit_id, number=1)
    before = await listed(stage)
    response = await stage.request("POST", filled, key=OPERATOR_KEY, json=body)
    assert response.status_code == status, response.text
    act, *rest = await listed(stage)
    assert rest == before
    assert (act["by"], act["what"], act["note"]) == ("tests/operator", what, NOTE["note"])
    assert act["subject"] in ("tortoise", "lost/lost-1", edit_id, f"{edit_id}/1") or "replica" in what
    for undone in ("/admin/replica/restore", "/admin/providers/tortoise/restore"):
        await stage.request("POST", undone, key=OPERATOR_KEY, json=NOTE)


@pytest.mark.asyncio(loop_scope="session")
async def test_what_was_asked_wrongly_or_by_nobody_is_no_act(stage: Stage) -> None:
    before = await listed(stage)
    for path, key, body in (
        ("/admin/providers/nobody/drain", OPERATOR_KEY, NOTE),
        ("/admin/providers/tortoise/drain", OPERATOR_KEY, {}),
        ("/admin/providers/tortoise/drain", None, NOTE),
    ):
        assert (await stage.request("POST", path, key=key, json=body)).status_code >= 400
    assert await listed(stage) == before


def act(number: int) -> Act:
    return Act(id=f"{number}", at_ms=number, by="ops/1", what="drain", subject="x", note="because")


async def test_an_act_is_kept_once_and_the_oldest_go(store: Redis) -> None:
    acts = Acts(store)
    for number in (1, 2, 2, 1):
        await acts.keep(act(number))
    assert await acts.newest(10) == (act(2), act(1))
    await store.zadd("{kontext}:acts", {f"{number}": 100 + number for number in range(MOST_KEPT)})
    await acts.keep(act(99_999))
    assert await store.zcard("{kontext}:acts") == MOST_KEPT
    assert (await acts.newest(1)) == (act(99_999),)


async def test_without_the_store_no_act_is_taken_for_kept() -> None:
    away = Redis(unix_socket_path="/nonexistent", retry=Retry(NoBackoff(), 0))
    with pytest.raises(StoreUnavailable):
        await Acts(away).keep(act(1))
