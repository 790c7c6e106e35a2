"""A team's edits as a list: newest first, page by page, filtered, and nobody else's."""

from typing import Any

import pytest

from tests.end_to_end.stage import EDIT_KEY, OTHER_KEY, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

PREVIEW = {"policy": "preview", "prompt": "Make it black and white"}


async def listed(stage: Stage, query: str, **rest: Any) -> list[str]:
    """Every id of a list, following its pages."""
    ids: list[str] = []
    cursor = ""
    while True:
        response = await stage.get(f"/v1/edits?{query}{cursor}", **rest)
        assert response.status_code == 200, response.text
        page = response.json()
        ids += [edit["id"] for edit in page["data"]]
        if page["next"] is None:
            return ids
        cursor = f"&cursor={page['next']}"


async def test_pages_tell_every_edit_once_newest_first(stage: Stage) -> None:
    made = [(await stage.edit(**PREVIEW, metadata={"batch": "pages"}))["id"] for _ in range(5)]
    whole = await listed(stage, "tag=batch:pages")
    assert whole == made[::-1]
    assert await listed(stage, "tag=batch:pages&limit=2") == whole
    newest = (await stage.get("/v1/edits?limit=1")).json()["data"]
    assert [edit["id"] for edit in newest] == made[-1:]


async def test_an_edit_in_the_list_is_the_edit_with_addresses_instead_of_data(stage: Stage) -> None:
    made = await stage.edit(**PREVIEW, output={"delivery": "base64"})
    (edit,) = (await stage.get("/v1/edits?limit=1")).json()["data"]
    (image,), (inline,) = edit.pop("images"), made.pop("images")
    assert (edit, image["base64"], inline["url"]) == (made, None, None)
    assert (await stage.http.get(image["url"])).status_code == 200


async def test_filters_leave_out_what_they_do_not_name(stage: Stage) -> None:
    tags = {"batch": "filters", "colour": "blue"}
    before = (await stage.edit(**PREVIEW, metadata=tags))["created_at"]
    done = await stage.edit(metadata={**tags, "colour": "red"})
    stage.rehearsal.faults.add("runware", "moderated_on_submit", times=1)
    refused = (await stage.post(metadata=tags)).json()["edit"]

    async def ids(query: str) -> list[str]:
        return await listed(stage, f"tag=batch:filters&{query}&limit=1")

    assert await ids("status=succeeded&tier=standard") == [done["id"]]
    assert await ids("status=refused,failed") == [refused["id"]]
    assert await ids("policy=runware") == [refused["id"], done["id"]]
    assert await ids("tag=colour:red") == [done["id"]]
    assert await ids(f"since={done['created_at']}") == [refused["id"], done["id"]]
    assert await ids(f"since={before}&until={refused['created_at']}&tier=standard") == [done["id"]]
    assert await ids("status=queued") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("status=done", "status"),
        ("tier=best", "tier"),
        ("since=yesterday", "since"),
        ("until=2027-13-01", "until"),
        ("tag=spring", "tag"),
        ("cursor=x", "cursor"),
    ],
)
async def test_a_wrong_filter_is_named(stage: Stage, query: str, field: str) -> None:
    response = await stage.get(f"/v1/edits?{query}")
    assert (response.status_code, response.json()["field"]) == (422, field)


async def test_a_team_sees_its_own_edits_alone(stage: Stage) -> None:
    mine = await stage.edit(**PREVIEW)
    theirs = await stage.edit(**PREVIEW, key=OTHER_KEY)
    assert theirs["id"] in await listed(stage, "limit=100", key=OTHER_KEY)
    assert mine["id"] not in await listed(stage, "limit=100", key=OTHER_KEY)
    assert theirs["id"] not in await listed(stage, "limit=100")


async def test_a_cursor_of_another_team_is_answered_like_one_that_was_made_up(stage: Stage) -> None:
    for _ in range(2):
        await stage.edit(**PREVIEW)
    cursor = (await stage.get("/v1/edits?limit=1")).json()["next"]
    assert (await stage.get(f"/v1/edits?cursor={cursor}")).status_code == 200
    foreign = await stage.get(f"/v1/edits?cursor={cursor}", key=OTHER_KEY)
    place = cursor.partition(".")[0]
    made_up = await stage.get(f"/v1/edits?cursor={place}.{'0' * 32}")
    assert (foreign.status_code, foreign.json()) == (422, made_up.json())


async def test_a_list_takes_a_key_that_may_read(stage: Stage) -> None:
    assert (await stage.get("/v1/edits", key=EDIT_KEY)).status_code == 403
    assert (await stage.get("/v1/edits", key=None)).status_code == 401
