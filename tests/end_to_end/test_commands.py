"""The command line, as people and programs call it: exit codes, JSON, and files that are really there."""

import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from gateway.secret import key_hash
from tests.end_to_end.processes import KEY, Field, kontext
from tests.end_to_end.stage import PHOTO, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_key_new_prints_a_key_and_the_line_that_the_configuration_keeps(tmp_path: Path) -> None:
    code, out, _ = await kontext("key", "new", "growth", "--json", cwd=tmp_path)
    made = json.loads(out)
    assert (code, set(made)) == (0, {"key", "hash"})
    assert made["hash"] == key_hash(made["key"])


async def test_check_says_what_a_written_configuration_would_do(field: Field) -> None:
    code, out, _ = await kontext("check", "--config", str(field.config), "--json", cwd=field.folder)
    told = json.loads(out)
    assert (code, told["valid"]) == (0, True)
    offers = [candidate["offer"] for candidate in told["policies"]["premium"]["candidates"]]
    assert offers == ["runware/kontext-max", "runflow/kontext-max"]


REFUSED_FILES = {
    "malformed TOML": ("[providers.runware\n", ("kontext.toml", "is not TOML")),
    "a literal key": (
        '[providers.runware]\napi_key = "rw_live_abcdef"\n',
        ("providers.runware.api_key", "env:NAME", "file:PATH"),
    ),
    "an unknown setting": ("[server]\nprot = 1\n", ("server", "prot")),
    "an unknown offer": (
        '[providers.local]\n[policies.main]\ntier = "preview"\noffers = ["local/nothing"]\n',
        ("policies.main.offers[0]", "local/nothing", "local/preview"),
    ),
}


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize("what", REFUSED_FILES)
async def test_a_configuration_that_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, command: str, what: str
) -> None:
    text, words = REFUSED_FILES[what]
    (tmp_path / "kontext.toml").write_text(text)
    code, _, err = await kontext(command, "--config", "kontext.toml", cwd=tmp_path)
    said = " ".join(err.replace("│", " ").split())
    assert code == 2
    for word in words:
        assert word in said
    assert "rw_live_abcdef" not in said
    assert "Traceback" not in err
    assert not (tmp_path / ".kontext").exists()


async def test_edit_without_any_gateway_edits_by_itself_and_leaves_nothing_but_the_picture(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    words = ("edit", "photo.jpg", "Make it black and white", "-o", "out.jpg", "--json")
    code, out, err = await kontext(*words, cwd=tmp_path)
    assert code == 0, err
    answer = json.loads(out)
    assert (answer["provider"], answer["cost"]["usd"], answer["files"]) == ("local", "0.000000", ["out.jpg"])
    with Image.open(tmp_path / "out.jpg") as made:
        assert (made.format, made.size) == ("JPEG", (480, 320))
    assert sorted(os.listdir(tmp_path)) == ["out.jpg", "photo.jpg"]


# what is asked of the gateway -> the exit code, and a word of what it prints
EXITS = {
    "a wrong field": (("--size", "huge"), 2, "size"),
    "a price that nothing meets": (("--max-cost", "0.01"), 5, "max_cost_usd"),
    "content that is refused": (("--policy", "premium"), 3, "refused"),
    "an answer that nobody can find": (("--policy", "runflow_first"), 6, "unresolved"),
    "every provider down": (("--policy", "cheapest", "--deadline", "3"), 1, "capacity"),
}
SCRIPTS = {
    "content that is refused": {"runware": {"fault": "moderated_on_submit"}},
    "an answer that nobody can find": {"runflow": {"fault": "reset_before_accept", "times": 1}},
    "every provider down": {"runware": {"fault": "down"}, "runflow": {"fault": "down"}},
}


async def test_the_exit_code_of_edit_says_what_became_of_it(field: Field, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(picture(kind="PNG"))
    server = await field.gateway()
    for what, (options, expected, word) in EXITS.items():
        await field.reset()
        for provider, script in SCRIPTS.get(what, {}).items():
            await field.fault(provider, **script)
        prompt = f"Make it blue ({what})"  # a refusal sticks to its prompt and picture
        words = ("edit", "photo.png", prompt, "-o", "out.png", "--json", *options)
        code, out, err = await kontext(*words, cwd=tmp_path, KONTEXT_URL=server.url, KONTEXT_API_KEY=KEY)
        assert (code, word in out) == (expected, True), f"{what}: {code}\n{out}\n{err}"
        assert not (tmp_path / "out.png").exists()
        assert await field.charges() == []


@pytest.mark.parametrize(
    ("url", "key", "expected"),
    [("http://127.0.0.1:1", KEY, 7), ("the gateway", "kx_wrong", 2), ("the gateway", KEY, 0)],
    ids=["nobody there", "a wrong key", "all well"],
)
async def test_edit_finds_the_gateway_that_was_named(
    field: Field, tmp_path: Path, url: str, key: str, expected: int
) -> None:
    await field.reset()
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    url = (await field.gateway()).url if url == "the gateway" else url
    words = ("edit", "photo.jpg", "Make it blue", "-o", "out.webp", "--url", url)
    code, _, err = await kontext(*words, cwd=tmp_path, KONTEXT_API_KEY=key)
    assert code == expected, err
    assert len(await field.charges()) == (expected == 0)
    if expected == 0:
        with Image.open(io.BytesIO((tmp_path / "out.webp").read_bytes())) as made:
            assert made.format == "WEBP"


async def test_the_demo_plays_every_scene_and_its_books_equal_the_bill(tmp_path: Path) -> None:
    code, out, err = await kontext("demo", "--json", "--out", "pictures", cwd=tmp_path)
    assert code == 0, err
    scenes = {scene["scene"]: scene for scene in json.loads(out)}
    assert {name: scene["billed_micro"] for name, scene in scenes.items()} == {
        "cheapest": 40_000,
        "premium": 80_000,
        "failover": 40_000,
        "preview": 0,
    }
    attempts = scenes["failover"]["edit"]["routing"]["attempts"]
    assert [(one["offer"], one["outcome"]) for one in attempts] == [
        ("runware/kontext-pro", "busy"),
        ("runflow/kontext-pro", "done"),
    ]
    for scene in scenes.values():
        with Image.open(tmp_path / scene["files"][0]) as made:
            assert made.size[0] > 100
