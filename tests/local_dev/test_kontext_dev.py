"""FLUX.1 Kontext [dev] by the real command: tiny random weights, a real photograph, real sockets and a real worker."""

import asyncio
import base64
import io
import json
import os
import resource
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageOps

from gateway.secret import key_hash
from tests.end_to_end.processes import Server, kontext
from tests.end_to_end.stage import data_uri, eventually, picture, state_folder
from tests.local_dev.conftest import PHOTO, PLACES, PROMPT, ROCKET, STEPS, Studio, photograph, picture_of, png

pytestmark = [pytest.mark.local, pytest.mark.asyncio(loop_scope="session")]

LONG: dict[str, Any] = {"num_inference_steps": 50, "n": 4}
LONG_STEPS = 200


def mask_of(box: tuple[int, int, int, int]) -> bytes:
    """White is edited."""
    mask = Image.new("L", photograph().size, 0)
    mask.paste(255, box)
    return png(mask)


async def test_everything_that_is_sent_reaches_the_pixels(studio: Studio) -> None:
    plain = (await studio.edit()).tobytes()
    assert (await studio.edit()).tobytes() == plain, "the same seed, the same pixels"
    changes: dict[str, dict[str, Any]] = {
        "prompt": {"prompt": "Make the rocket green"},
        "seed": {"seed": 8},
        "guidance": {"guidance_scale": 9},
        "steps": {"num_inference_steps": STEPS + 1},
        "negative prompt": {"negative_prompt": "smoke"},
        "picture": {"picture": png(ImageOps.flip(photograph()))},
        "mask": {"mask": mask_of((0, 0, 200, 200))},
    }
    made = {name: (await studio.edit(**change)).tobytes() for name, change in changes.items()}
    assert [name for name, pixels in made.items() if pixels == plain] == []
    assert len(set(made.values())) == len(made)


async def test_the_size_is_the_picture_s_own_or_exactly_what_was_asked(studio: Studio) -> None:
    own = await studio.post(picture=ROCKET.read_bytes())
    asked = await studio.post(size="300x200", output_format="webp")
    assert picture_of(own).size == photograph().size
    assert (picture_of(asked).size, picture_of(asked).format) == ((300, 200), "WEBP")
    assert asked.json()["generated"] == "304x208", "at most 65,536 pixels of multiples of 16"
    assert (own.json()["steps"], own.json()["guidance_scale"], own.json()["ignored"]) == (STEPS, 2.5, [])
    assert 0 < own.json()["inference_time_s"] < own.elapsed.total_seconds(), "what its seconds are booked by"


async def test_a_picture_beyond_three_to_one_is_refused_at_once(studio: Studio) -> None:
    answer = await studio.post(picture=picture(800, 200))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "image")
    assert "3:1" in answer.json()["error"]["message"]


async def test_each_of_several_pictures_is_that_of_its_own_seed(studio: Studio) -> None:
    two, second = await studio.post(n=2), await studio.edit(seed=8)
    assert [item["seed"] for item in two.json()["data"]] == [7, 8]
    assert picture_of(two, 1).tobytes() == second.tobytes()
    chosen = (await studio.post(seed=None)).json()["data"][0]["seed"]
    assert 0 <= chosen < 2**32


async def test_the_largest_seed_is_one_and_the_first_comes_after_it(studio: Studio) -> None:
    two, first = await studio.post(seed=2**63 - 1, n=2), await studio.edit(seed=0)
    assert [item["seed"] for item in two.json()["data"]] == [2**63 - 1, 0]
    assert picture_of(two, 1).tobytes() == first.tobytes()


async def test_words_that_the_model_does_not_read_are_said_to_be_left_out(studio: Studio) -> None:
    long = await studio.post(prompt="paint it red " * 50, negative_prompt="smoke " * 100)
    (prompt, negative) = long.json()["not_applied"]
    assert ("the end of the prompt: it has " in prompt, "the end of the negative prompt" in negative) == (True, True)
    assert prompt.endswith("and the model reads 512")
    assert (await studio.post()).json()["not_applied"] == []


async def test_outside_the_mask_nothing_changes(studio: Studio) -> None:
    box = (100, 100, 300, 300)
    made, sent = await studio.edit(mask=mask_of(box)), photograph()
    assert made.crop(box).tobytes() != sent.crop(box).tobytes()
    for each in (made, sent):
        each.paste(0, box)
    assert made.tobytes() == sent.tobytes()


async def test_progress_counts_the_steps_of_all_pictures(studio: Studio) -> None:
    edit = asyncio.create_task(studio.post(edit="counted", n=2, num_inference_steps=20))
    await began(studio, "counted")
    assert (await studio.health())["edits"]["counted"]["steps"] == 40, "what the gateway's events tell"
    told = [line async for line in progress(studio, "counted")]
    assert (await edit).status_code == 200
    steps = [event["step"] for event in told]
    assert steps == sorted(steps)
    assert told[-1] == {"state": "succeeded", "step": 40, "steps": 40}


async def began(studio: Studio, edit: str) -> None:
    """Waits until the edit has the model."""

    async def probe() -> bool:
        async for event in progress(studio, edit):
            return event["step"] > 0
        return False

    await eventually(probe)


async def progress(studio: Studio, edit: str) -> AsyncIterator[dict[str, Any]]:
    async with studio.http.stream("GET", f"{studio.url}/v1/images/edits/{edit}/progress") as events:
        if events.status_code == 200:
            async for line in events.aiter_lines():
                if line.startswith("data: "):
                    yield httpx.Response(200, content=line.removeprefix("data: ")).json()


async def test_a_cancel_stops_at_the_next_step_and_costs_the_next_edit_nothing(studio: Studio) -> None:
    before = (await studio.edit()).tobytes()
    edit = asyncio.create_task(studio.post(edit="stopped", **LONG))
    await began(studio, "stopped")
    asked = (await studio.http.delete(f"{studio.url}/v1/images/edits/stopped")).json()
    answer = await edit
    (end,) = [event async for event in progress(studio, "stopped")]
    assert (answer.status_code, answer.json()["error"]["code"]) == (499, "cancelled")
    # The step at work when it was asked, and one whose word was still on its way.
    assert end["state"] == "cancelled"
    assert end["step"] - asked["step"] <= 2 < LONG_STEPS
    assert (await studio.edit()).tobytes() == before
    assert (await studio.http.delete(f"{studio.url}/v1/images/edits/stopped")).status_code == 404


async def test_a_sender_who_hangs_up_stops_the_edit(studio: Studio) -> None:
    edit = asyncio.create_task(studio.post(edit="left", **LONG))
    await began(studio, "left")
    edit.cancel()
    await asyncio.gather(edit, return_exceptions=True)
    told = [event async for event in progress(studio, "left")]
    assert told[-1]["state"] == "cancelled"
    assert told[-1]["step"] < LONG_STEPS


async def test_ten_at_once_are_each_right_and_one_more_is_told_when_to_come(studio: Studio) -> None:
    alone = {seed: (await studio.edit(seed=seed)).tobytes() for seed in (1, 2)}
    long = asyncio.create_task(studio.post(edit="long", **LONG))
    await began(studio, "long")
    waiting = [asyncio.create_task(studio.post(seed=1 + number % 2)) for number in range(PLACES - 1)]

    async def full() -> bool:
        return (await studio.health())["queue"] == {"running": 1, "waiting": PLACES - 1, "limit": PLACES}

    await eventually(full)
    refused = await studio.post()
    await studio.http.delete(f"{studio.url}/v1/images/edits/long")
    answers = await asyncio.gather(*waiting, studio.post(seed=2) if (await long) else long)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
    assert int(refused.headers["retry-after"]) >= 1
    assert len(answers) == PLACES
    for number, answer in enumerate(answers):
        assert picture_of(answer).tobytes() == alone[1 + number % 2]


async def test_no_prompt_is_ever_logged(studio: Studio) -> None:
    """Both text encoders cut a long prompt off, and would say what they cut."""
    assert (await studio.post(prompt="wombat " * 700)).status_code == 200
    assert "wombat" not in studio.log()


async def test_it_has_metrics_of_its_own(studio: Studio) -> None:
    await studio.edit()
    text = (await studio.http.get(f"{studio.url}/metrics")).text
    assert 'kontext_local_state{state="ready"} 1.0' in text
    assert 'kontext_local_edits_total{outcome="succeeded"}' in text
    health = await studio.health()
    assert health["seconds_per_edit"] > 0
    assert health["memory"]["used"] > 0


async def test_a_lack_of_memory_fails_one_edit_alone(studio: Studio) -> None:
    before = (await studio.edit()).tobytes()
    pid = (await studio.health())["worker"]["pid"]
    old = resource.prlimit(pid, resource.RLIMIT_AS, (taken(pid), resource.RLIM_INFINITY))
    try:
        answer = await studio.post()
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, old)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "out_of_memory")
    assert "--max-pixels" in answer.json()["error"]["message"]
    assert (await studio.edit()).tobytes() == before
    assert (await studio.health())["worker"]["pid"] == pid


def taken(pid: int) -> int:
    """Bytes of address space."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


async def test_a_killed_worker_fails_its_edit_and_another_takes_over(studio: Studio) -> None:
    before, health = (await studio.edit()).tobytes(), await studio.health()
    edit = asyncio.create_task(studio.post(edit="killed", **LONG))
    await began(studio, "killed")
    waiting = asyncio.create_task(studio.post())
    await eventually(lambda: waits(studio))
    os.kill(health["worker"]["pid"], signal.SIGKILL)
    answer = await edit
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "worker_died")
    early = await studio.post()
    assert (early.status_code, early.json()["error"]["code"]) == (503, "loading")
    assert int(early.headers["retry-after"]) >= 1
    assert picture_of(await waiting).tobytes() == before, "an edit that waited is made by the next worker"
    assert (await studio.health())["worker"]["starts"] == health["worker"]["starts"] + 1


async def waits(studio: Studio) -> bool:
    return (await studio.health())["queue"]["waiting"] == 1


GATEWAY = """
[state]
dir = "state"

[providers.local]
base_url = "{url}/v1"
profile = "kontext"

[policies.ours]
tier = "draft"
offers = ["local/kontext-dev"]

[teams.dev]
policy = "ours"
keys = ["{key}"]
"""


async def test_a_photograph_is_edited_through_the_whole_gateway(studio: Studio) -> None:
    direct = await studio.edit(guidance_scale=4, num_inference_steps=5)
    async with state_folder() as folder:
        (folder / "kontext.toml").write_text(GATEWAY.format(url=studio.url, key=key_hash("kx_local")))
        gateway = await Server.start("serve", "--config", "kontext.toml", "--port", "0", cwd=folder)
        try:
            document = {
                "prompt": PROMPT, "images": [data_uri(PHOTO, "image/png")], "seed": 7, "guidance": 4, "steps": 5,
                "output": {"format": "png", "delivery": "base64"},
            }  # fmt: skip
            answer = await studio.http.post(
                f"{gateway.url}/v1/edits", json=document, headers={"authorization": "Bearer kx_local"}
            )
        finally:
            await gateway.end(signal.SIGTERM)
    assert answer.status_code == 200, answer.text
    edit = answer.json()
    (image,) = edit["images"]
    assert (edit["provider"], edit["model"], image["seed"]) == ("local", "kontext-dev", 7)
    with Image.open(io.BytesIO(base64.b64decode(image["base64"]))) as made:
        assert made.convert("RGB").tobytes() == direct.tobytes()


async def test_weights_that_cannot_be_loaded_end_the_command(weights: Path, tmp_path: Path) -> None:
    """The folder's files are whole, so that only the model itself can tell."""
    folder = shutil.copytree(weights, tmp_path / "other")
    config = folder / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"num_attention_heads": 2', '"num_attention_heads": 3'))
    words = ("local", "--engine", "kontext-dev", "--weights", str(folder), "--port", "0")
    code, _, errors = await kontext(*words, cwd=tmp_path, within_s=120)
    assert code == 2
    assert "could not be loaded" in errors
    assert "Non-Commercial" in errors, "the licence is said at every start"


async def test_the_doctor_measures_and_a_program_can_read_it(weights: Path, tmp_path: Path) -> None:
    words = ("local", "doctor", "--weights", str(weights), "--measure", "--json", "--max-pixels", "65536")
    code, said, errors = await kontext(*words, "--threads", "1", cwd=tmp_path, within_s=120)
    assert code == 0, errors
    report = json.loads(said)
    assert report["able"]
    assert report["speed"]["basis"] == "measured"
    assert report["speed"]["seconds_per_edit"] > 0
    assert report["versions"]["torch"]
    assert report["machine"]["cores"] >= 1
