"""Erasing an edit's content: gone at once wherever it lay, and nothing else with it."""

import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from gateway.configuration import load
from gateway.state.connection import connect
from tests.end_to_end.stage import EDIT_KEY, OTHER_KEY, READ_KEY, Stage, data_uri, today
from tests.state.samples import whole_store

pytestmark = pytest.mark.asyncio(loop_scope="session")


def photo() -> str:
    """Never the same picture twice: what others put is not in the way."""
    data = io.BytesIO()
    Image.frombytes("RGB", (8, 4), (uuid4().bytes * 6)).resize((256, 128)).save(data, "png")
    return data_uri(data.getvalue(), "image/png")


async def edited(stage: Stage, **fields: Any) -> dict[str, Any]:
    return await stage.edit(policy="preview", **{"images": [photo()], "prompt": "Make it brighter", **fields})


async def erase(stage: Stage, edit: dict[str, Any], key: str = EDIT_KEY):
    return await stage.request("DELETE", f"/v1/edits/{edit['id']}/content", key=key)


async def everywhere(stage: Stage) -> str:
    """What the store gives back, with the names and bytes of every file of the ledger and of the pictures."""
    settings = load(stage.config, {}, today())
    store = await connect("embedded:", folder=settings.state_dir)
    told = repr(await whole_store(store))
    await store.aclose()
    return told + _files(Path(settings.results_url.removeprefix("file:")), settings.ledger_url.removeprefix("sqlite:"))


def _files(folder: Path, ledger: str) -> str:
    """The write-ahead log beside the ledger is a part of it."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    paths += [path for path in Path(ledger).parent.iterdir() if str(path).startswith(ledger)]
    return "".join(f"{path}\n{path.read_bytes().decode('latin-1')}" for path in paths)


async def test_prompt_and_pictures_are_nowhere_afterwards(stage: Stage) -> None:
    canary = f"canary{uuid4().hex}"
    edit = await edited(stage, prompt=f"Make it brighter and add a {canary}", negative_prompt=f"no {canary}")
    digest = edit["images"][0]["sha256"]
    before = await everywhere(stage)
    assert canary in before
    assert f"results/{digest}\n" in before
    answer = await erase(stage, edit)
    assert (answer.status_code, answer.headers["x-kontext-pictures-shared"]) == (200, "0")
    after = await everywhere(stage)
    assert canary not in after
    assert f"results/{digest}\n" not in after
    assert edit["id"] in after


async def test_the_edit_stays_with_its_digests_money_and_routing(stage: Stage) -> None:
    edit = await edited(stage)
    erased = (await erase(stage, edit)).json()
    assert erased == (await stage.get(f"/v1/edits/{edit['id']}")).json()
    assert (edit["content"], erased["content"]) == ("kept", "erased")
    images = [{**image, "url": None} for image in edit["images"]]
    assert erased == {**edit, "content": "erased", "images": images, "notes": []}


async def test_its_pictures_are_gone_for_good(stage: Stage) -> None:
    edit = await edited(stage)
    signed = edit["images"][0]["url"].removeprefix(stage.url)
    await erase(stage, edit)
    for path, key in ((signed, None), (f"/v1/edits/{edit['id']}/images/0", READ_KEY)):
        answer = await stage.get(path, key=key)
        assert answer.status_code == 410
        assert answer.json()["type"] == "urn:kontext:problem:erased"


async def test_erasing_again_is_the_same(stage: Stage) -> None:
    edit = await edited(stage)
    first, second = await erase(stage, edit), await erase(stage, edit)
    assert (second.status_code, second.json()) == (200, first.json())


async def test_what_goes_on_cannot_be_erased_and_is_told_why(stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=1.0)
    edit = (await stage.post(headers={"prefer": "respond-async"})).json()
    answer = await erase(stage, edit)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:kontext:problem:not_ended")
    assert "after its end" in answer.json()["expected"]
    assert (await stage.ended(edit["id"]))["content"] == "kept"
    assert (await erase(stage, edit)).status_code == 200


@pytest.mark.parametrize("key", [READ_KEY, OTHER_KEY])
async def test_nobody_else_erases_it(stage: Stage, key: str) -> None:
    edit = await edited(stage)
    assert (await erase(stage, edit, key)).status_code == {READ_KEY: 403, OTHER_KEY: 404}[key]
    assert (await stage.get(edit["images"][0]["url"].removeprefix(stage.url), key=None)).status_code == 200


async def test_a_picture_that_another_edit_of_the_team_needs_stays_for_that_one(stage: Stage) -> None:
    """The preview makes the same of the same: both edits share the input and the result."""
    image = photo()
    first, second = await edited(stage, images=[image]), await edited(stage, images=[image])
    assert first["images"][0]["sha256"] == second["images"][0]["sha256"]
    assert (await erase(stage, first)).headers["x-kontext-pictures-shared"] == "2"
    assert (await stage.get(second["images"][0]["url"].removeprefix(stage.url), key=None)).status_code == 200
    assert (await erase(stage, second)).headers["x-kontext-pictures-shared"] == "0"
    assert f"results/{first['images'][0]['sha256']}\n" not in await everywhere(stage)


async def test_another_teams_same_picture_is_not_touched(stage: Stage) -> None:
    image = photo()
    ours, theirs = await edited(stage, images=[image]), await edited(stage, images=[image], key=OTHER_KEY)
    assert ours["images"][0]["sha256"] == theirs["images"][0]["sha256"]
    assert (await erase(stage, ours)).headers["x-kontext-pictures-shared"] == "0"
    assert (await stage.get(theirs["images"][0]["url"].removeprefix(stage.url), key=None)).status_code == 200


async def test_a_repeat_of_the_request_is_given_the_erased_edit_and_no_new_one(stage: Stage) -> None:
    headers, image = {"idempotency-key": uuid4().hex}, photo()

    async def asked() -> dict[str, Any]:
        return (await stage.post(policy="preview", headers=headers, images=[image], prompt="Make it brighter")).json()

    edit = await asked()
    await erase(stage, edit)
    again = await asked()
    assert (again["id"], again["content"], again["images"][0]["url"]) == (edit["id"], "erased", None)


async def test_no_edit_is_made_of_a_picture_that_was_erased_though_another_edit_still_has_it(stage: Stage) -> None:
    image = photo()
    first, second = await edited(stage, images=[image]), await edited(stage, images=[image])
    await erase(stage, first)
    assert (await stage.post(policy="preview", images=[f"{first['id']}/0"])).status_code == 422
    assert (await stage.post(policy="preview", images=[f"{second['id']}/0"])).status_code == 200
