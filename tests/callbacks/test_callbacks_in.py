"""A provider's word that it is done: it is believed only after asking, and only where we asked for it."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from gateway.rehearsal.callbacks import Post
from gateway.rehearsal.exchange import Provider
from tests.callbacks.house import House
from tests.end_to_end.stage import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROVIDERS = ("runware", "runflow")
MOST_POLLS = 10
"""Of work that takes two seconds: four hints are heeded, and the others come in the usual rhythm."""


@pytest.mark.parametrize("shape", ["bare", "enveloped"])
async def test_runware_calls_and_is_asked_at_once(house: House, shape: str) -> None:
    house.rehearsal.runware.switches = replace(house.rehearsal.runware.switches, webhook=shape)
    response = await house.post("runware")
    assert (response.status_code, response.json()["cost"]["usd"]) == (200, "0.040000"), response.text
    assert house.polls("runware") == 1
    (made,) = house.rehearsal.callbacks.made
    told = json.loads(made.post.body)
    item = told if shape == "bare" else told["data"][0]
    assert (made.status, item["taskType"], item["status"]) == (204, "imageInference", "success")
    assert len(house.rehearsal.bill.entries) == 1


async def test_runflow_calls_signed_and_is_asked_for_what_a_call_does_not_tell(house: House) -> None:
    before = await house.counted()
    response = await house.post("runflow")
    assert (response.status_code, response.json()["cost"]["usd"]) == (200, "0.040000"), response.text
    assert house.polls("runflow") == 1
    after = await house.counted()
    assert (after["signed"] - before["signed"], after["hint"] - before["hint"]) == (1, 0)
    (made,) = house.rehearsal.callbacks.made
    assert made.post.headers.keys() == {"runflow-signature", "runflow-request-id"}
    told = json.loads(made.post.body)
    assert list(told) == [
        "event", "run_id", "status", "output", "duration_ms", "created_at", "completed_at", "metadata"
    ]  # fmt: skip
    assert (told["event"], told["status"]) == ("run.completed", "succeeded")


async def test_a_wrong_signature_is_worth_a_hint_and_no_more(house: House) -> None:
    house.rehearsal.runflow.switches = replace(house.rehearsal.runflow.switches, callback_secret="whsec_nobody")
    before = await house.counted()
    assert (await house.post("runflow")).status_code == 200
    after = await house.counted()
    assert (after["signed"] - before["signed"], after["hint"] - before["hint"]) == (0, 1)


async def test_a_provider_that_could_not_reach_us_calls_again(house: House) -> None:
    made = house.rehearsal.callbacks.made

    async def posts() -> list[Post]:
        return [Post(b"{}")]

    house.rehearsal.callbacks.promise(Provider.RUNFLOW, "http://127.0.0.1:1/", 0.0, posts)
    await eventually(lambda: asyncio.sleep(0, len(made) > 1))
    assert made[0].status is None


@pytest.mark.parametrize("policy", PROVIDERS)
async def test_early_repeated_and_late_calls_change_nothing(house: House, policy: str) -> None:
    """Of one whose address is right, and who lies."""
    house.rehearsal.faults.add(policy, "slow", seconds=2.0)
    begun = (await house.post(policy, prefer="respond-async")).json()
    url = await promised(house)
    lie = b'{"event": "run.completed", "run_id": "x", "status": "succeeded", "output": null, "data": []}'
    statuses = [await house.call(url, lie) for _ in range(30)]
    assert set(statuses) == {204}
    assert (await house.get(begun["id"]))["status"] == "running"

    async def ended() -> dict[str, object] | None:
        answer = await house.get(begun["id"])
        return answer if answer["status"] == "succeeded" else None

    answer = await eventually(ended)
    assert house.polls(policy) <= MOST_POLLS
    assert len(house.rehearsal.bill.entries) == 1
    assert {await house.call(url, lie) for _ in range(20)} == {204}
    assert await house.get(begun["id"]) == answer
    assert house.polls(policy) <= MOST_POLLS


async def test_a_made_up_address_is_turned_away_before_anything_is_done(house: House) -> None:
    house.rehearsal.faults.add("runware", "slow", seconds=1.0)
    begun = (await house.post("runware", prefer="respond-async")).json()
    url = await promised(house)
    token = url.rpartition("/")[2]
    name, _, signature = token.rpartition(".")
    edit = begun["id"]
    forged = [
        f"{name}.{'0' * 32}",
        f"{edit}.2.{signature}",
        f"{edit[:-1]}0.1.{signature}" if edit[-1] != "0" else f"{edit[:-1]}1.1.{signature}",
        name,
        signature,
        f"{name}.",
        f".{signature}",
        f"{name}.{signature}.{signature}",
        f"{token}%00",
        "%ff",
    ]
    before = await house.counted()
    statuses = [await house.call(f"{house.url}/callbacks/runware/{one}") for one in forged]
    statuses += [await house.call(url.replace("/runware/", f"/{one}/")) for one in ("runflow", "nobody")]
    assert set(statuses) == {404}
    assert house.polls("runware") == 0
    after = await house.counted()
    assert after["forged"] - before["forged"] == len(statuses)
    large = await house.call(url, b"x" * 40_000)
    assert large == 413
    assert (await house.get(edit))["status"] == "running"
    await house.call(url)
    await eventually(lambda: succeeded(house, edit))


async def promised(house: House) -> str:
    """The address that the stand-in was given."""
    given = house.rehearsal.callbacks.promised
    await eventually(lambda: asyncio.sleep(0, bool(given)))
    return given[-1]


async def succeeded(house: House, edit: str) -> bool:
    return (await house.get(edit))["status"] == "succeeded"
