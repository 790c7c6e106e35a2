"""`/admin/providers` over HTTP: what an operator sees, and taking a provider out of service and back."""

import pytest

from tests.end_to_end.stage import KEY, OPERATOR_KEY, Stage, stage, story, theatre

__all__ = ["stage", "theatre"]

NOTE = {"note": "the invoice does not match"}


async def of(stage: Stage, name: str):
    """What an operator is told of a provider."""
    listed = (await stage.get("/admin/providers", key=OPERATOR_KEY)).json()
    return next(one for one in listed if one["name"] == name)


async def asked(stage: Stage, provider: str, what: str, key: str | None = OPERATOR_KEY, note: object = NOTE):
    return await stage.request("POST", f"/admin/providers/{provider}/{what}", key=key, json=note)


async def test_a_drained_provider_is_passed_over_until_it_is_restored(stage: Stage):
    assert (await asked(stage, "runware", "drain")).json()["state"] == "drained"
    edit = await stage.edit(policy="runware")
    assert story(edit) == [("runflow/kontext-pro", "done")]
    assert not stage.contacted("runware")
    told = (await of(stage, "runware"))["drained"]
    assert (told["by"], told["note"]) == ("tests/operator", NOTE["note"])
    assert (await asked(stage, "runware", "restore")).json()["state"] == "ok"
    assert story(await stage.edit(policy="runware")) == [("runware/kontext-pro", "done")]


async def test_with_the_only_one_drained_the_caller_may_come_again(stage: Stage):
    await asked(stage, "runware", "drain")
    response = await stage.post(models=["runware/kontext-pro"])
    problem = response.json()
    assert (response.status_code, problem["type"]) == (503, "urn:kontext:problem:no_offer_now")
    assert (int(response.headers["retry-after"]) > 0, problem["retryable"]) == (True, True)
    assert {one["offer"]: one["reason"] for one in problem["exclusions"]}["runware/kontext-pro"] == "disabled"
    assert NOTE["note"] not in response.text, "why is the operator's business"


async def test_what_would_not_fit_anyway_is_not_put_off(stage: Stage):
    await asked(stage, "runware", "drain")
    response = await stage.post(models=["runware/kontext-pro"], max_cost_usd="0.001")
    assert (response.status_code, response.json()["type"]) == (422, "urn:kontext:problem:no_offer")


async def test_a_sick_offer_shows_and_a_restore_closes_its_circuit(stage: Stage):
    stage.rehearsal.faults.add("runware", "down", times=5)
    for _ in range(5):
        await stage.edit(policy="runware")
    told = await of(stage, "runware")
    assert told["state"] == "sick"
    assert {one["state"] for one in told["circuits"]} == {"open", "closed"}
    stage.rehearsal.reset()
    await stage.edit(policy="runware")
    assert not stage.contacted("runware")
    restored = (await asked(stage, "runware", "restore")).json()
    assert {one["state"] for one in restored["circuits"]} == {"closed"}
    assert story(await stage.edit(policy="runware")) == [("runware/kontext-pro", "done")]


async def test_only_the_scope_admin_may(stage: Stage):
    for response in (await stage.get("/admin/providers", key=KEY), await asked(stage, "runware", "drain", key=KEY)):
        assert (response.status_code, response.json()["type"]) == (403, "urn:kontext:problem:forbidden")
    assert (await of(stage, "runware"))["state"] == "ok"


@pytest.mark.parametrize("what", ["drain", "restore"])
async def test_mistakes_are_named(stage: Stage, what: str):
    unknown = await asked(stage, "nobody", what)
    assert (unknown.status_code, "runware" in unknown.json()["expected"]) == (404, True)
    for note in ({}, {"note": "no"}, {"note": "because", "more": 1}):
        response = await asked(stage, "runware", what, note=note)
        assert (response.status_code, response.json()["type"]) == (400, "urn:kontext:problem:malformed")
