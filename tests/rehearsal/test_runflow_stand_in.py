"""The Runflow stand-in says what Runflow's documents say, both ways where they disagree."""

import io

import pytest
from PIL import Image

from gateway.rehearsal.runflow import RunflowSwitches


async def test_a_run_from_queued_to_succeeded(runflow, rehearsal, clock, http):
    answer = await runflow.submit(aspect_ratio="16:9", output_format="png")
    assert answer.status_code == 201
    run = answer.json()
    assert (run["status_code"], run["client_ref"], run["cost"], run["output"]) == ("queued", "ref-1", None, None)

    seen = []
    for _ in range(3):
        clock.wind(0.15)
        seen.append((await runflow.run(run["id"])).json()["status_code"])
    clock.wind(2)
    done = (await runflow.run(run["id"])).json()
    assert seen == ["dispatching", "running", "running"]
    assert (done["status_code"], done["cost"], done["output"]["nsfw_detected"]) == ("succeeded", "0.040000", False)

    picture = await http.get(done["output"]["outputs"][0]["url"])
    assert Image.open(io.BytesIO(picture.content)).size == (1392, 752)
    [entry] = rehearsal.bill.entries
    assert (entry.id, entry.key, entry.cost_micro_usd) == (run["id"], "ref-1", 40_000)


async def test_cost_is_the_price_times_the_pictures(runflow, rehearsal, clock):
    run = (await runflow.submit(runflow.MAX, num_images=3)).json()
    clock.wind(3)
    done = (await runflow.run(run["id"])).json()
    assert (done["cost"], len(done["output"]["outputs"])) == ("0.240000", 3)
    assert rehearsal.bill.total_micro_usd() == 240_000


async def test_look_up_by_client_ref(runflow):
    first = (await runflow.submit(client_ref="a")).json()
    await runflow.submit(client_ref="b")
    assert [run["id"] for run in await runflow.look_up("a")] == [first["id"]]
    assert await runflow.look_up("c") == []


async def test_the_list_of_runs_is_given_in_pages(runflow):
    runs = [(await runflow.submit(client_ref=f"ref-{number}")).json()["id"] for number in range(3)]
    first = (await runflow.call("GET", "/v1/runs?limit=2")).json()
    rest = (await runflow.call("GET", f"/v1/runs?limit=2&pq={first['next_pq']}")).json()
    assert [run["id"] for run in (*first["data"], *rest["data"])] == runs[::-1]
    assert rest["next_pq"] is None


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({"width": 1024}, "input.width"),
        ({"prompt": ""}, "input.prompt"),
        ({"num_images": 5}, "input.num_images"),
        ({"guidance_scale": 0.5}, "input.guidance_scale"),
        ({"safety_tolerance": 2}, "input.safety_tolerance"),
        ({"safety_tolerance": "0"}, "input.safety_tolerance"),
        ({"output_format": "webp"}, "input.output_format"),
        ({"aspect_ratio": "square_hd"}, "input.aspect_ratio"),
        ({"seed": -1}, "input.seed"),
        ({"image_url": "http://files.example/mug.png"}, "input.image_url"),
        ({"image_url": "runflow://assets/none"}, "input.image_url"),
        ({"image_url": "data:image/png;base64,bm8="}, "input.image_url"),
        ({"image_url": "data:image/png;base64," + "A" * 1_048_576}, "input.image_url"),
    ],
)  # fmt: skip
async def test_wrong_inputs_are_refused_by_name_and_cost_nothing(runflow, rehearsal, inputs, field):
    answer = await runflow.submit(**inputs)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert rehearsal.bill.entries == ()


@pytest.mark.parametrize(("style", "ratio", "preset"), [("ratio", 201, 422), ("preset", 422, 201), ("both", 201, 201)])
async def test_both_ratio_styles(runflow, rehearsal, style, ratio, preset):
    rehearsal.runflow.switches = RunflowSwitches(ratio_style=style)
    assert (await runflow.submit(aspect_ratio="4:3")).status_code == ratio
    assert (await runflow.submit(aspect_ratio="landscape_4_3")).status_code == preset
    assert (await runflow.submit(aspect_ratio="21:9")).status_code == 201


async def test_addresses(runflow):
    assert (await runflow.submit("flux-pro-kontext-max")).status_code == 405
    assert (await runflow.submit("black-forest-labs/flux-pro-kontext-max")).status_code == 201
    assert (await runflow.submit("black-forest-labs/flux-9")).status_code == 404
    assert (await runflow.submit(client_ref="x" * 256)).status_code == 422
    assert (await runflow.run("0198a000-0000-7000-8000-000000000000")).json()["code"] == "RUN_NOT_FOUND"
    assert (await runflow.call("GET", "/v1/health")).json() == {"status": "ok"}
    assert len((await runflow.call("GET", "/v1/models")).json()["data"]) == 3
    assert (await runflow.call("GET", "/v1/models", headers={"authorization": "Bearer no"})).status_code == 401


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        ("flat", {"code": "RUN_NOT_FOUND", "message": "There is no such run.", "errors": None}),
        ("nested", {"error": {"code": "RUN_NOT_FOUND", "message": "There is no such run.", "errors": None}}),
        ("string", {"code": "RUN_NOT_FOUND", "error": "There is no such run."}),
    ],
)
async def test_the_three_error_envelopes(runflow, rehearsal, envelope, expected):
    rehearsal.runflow.switches = RunflowSwitches(errors=envelope)
    assert (await runflow.run("none")).json() == expected


async def test_the_other_shapes(runflow, rehearsal, clock):
    rehearsal.runflow.switches = RunflowSwitches(
        output_shape="image_urls", created_status=200, data_urls=True, cancelled="cancelled", list_key="items"
    )
    answer = await runflow.submit()
    rehearsal.faults.add("runflow", "cancelled")
    cancelled = (await runflow.submit(client_ref="c")).json()["id"]
    clock.wind(3)
    done = (await runflow.run(answer.json()["id"])).json()
    assert answer.status_code == 200
    assert done["output"]["image_urls"][0].startswith("data:image/jpeg;base64,")
    assert (await runflow.run(cancelled)).json()["status_code"] == "cancelled"
    assert len((await runflow.call("GET", "/v1/runs")).json()["items"]) == 2


async def test_idempotency_key_is_ignored_or_honoured(runflow, rehearsal):
    first, again = [(await runflow.submit(key="k")).json()["id"] for _ in range(2)]
    assert first != again
    assert rehearsal.bill.paid_twice() == ("ref-1",)

    rehearsal.reset()
    rehearsal.runflow.switches = RunflowSwitches(idempotency="honoured")
    first, again = [(await runflow.submit(key="k")).json()["id"] for _ in range(2)]
    assert first == again
    assert (await runflow.submit(key="k", prompt="something else")).status_code == 409
    assert len(rehearsal.bill.entries) == 1


async def test_upload_then_edit(runflow, rehearsal, clock, http, pixel, photo):
    about = {"filename": "a.jpg", "mime_type": "image/jpeg", "size_bytes": len(photo)}
    asset = (await runflow.call("POST", "/v1/asset-uploads", json=about)).json()
    media_type = {"content-type": "image/jpeg"}
    leaking = media_type | {"authorization": f"Bearer {rehearsal.key}"}
    assert (await http.put(asset["upload_url"], content=photo, headers=leaking)).status_code == 400
    assert (await http.put(asset["upload_url"], content=b"text", headers=media_type)).status_code == 422
    assert (await runflow.submit(image_url=f"runflow://assets/{asset['asset_id']}")).status_code == 422
    assert (await http.put(asset["upload_url"], content=photo, headers=media_type)).status_code == 200
    confirmed = await runflow.call("POST", f"/v1/asset-uploads/{asset['asset_id']}/confirmations", json={})

    run = (await runflow.submit(image_url=confirmed.json()["url"])).json()
    clock.wind(3)
    link = (await runflow.run(run["id"])).json()["output"]["outputs"][0]["url"]
    picture = Image.open(io.BytesIO((await http.get(link)).content))
    assert picture.size == (1248, 832)  # the nearest to 3:2
    assert pixel(picture, 200, 400)[0] > pixel(picture, 1000, 400)[0] + 50


async def test_links_expire_and_are_signed_anew(runflow, rehearsal, clock, http):
    run = (await runflow.submit()).json()
    clock.wind(3)
    link = (await runflow.run(run["id"])).json()["output"]["outputs"][0]["url"]
    assert (await http.get(link.partition("?")[0])).status_code == 403
    assert (await http.get(link.replace("signature=", "signature=0"))).status_code == 403
    clock.wind(24 * 3600)
    assert (await http.get(link)).status_code == 403
    renewed = (await runflow.run(run["id"])).json()["output"]["outputs"][0]["url"]
    assert (await http.get(renewed)).status_code == 200
