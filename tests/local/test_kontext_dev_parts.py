"""What the engine for FLUX.1 Kontext [dev] decides without torch, and that nothing but its worker imports torch."""

import io
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gateway.local.dev import canvas, doctor, placement, sizes, weights
from gateway.local.dev.canvas import pixels
from gateway.local.dev.line import Entry, Line
from gateway.local.dev.options import Options
from gateway.local.dev.probe import Card, Machine
from gateway.local.dev.weights import BadWeights
from gateway.local.engine import Ask, Progress
from gateway.local.pictures import BadPicture

IMPORTS = """
import sys
from importlib import import_module
import gateway.app, gateway.local.app, gateway.local.dev.doctor, gateway.local.dev.serving
from gateway.cli.main import COMMANDS
for room, _ in COMMANDS.values():
    import_module(f"gateway.cli.{room}")
assert not {"torch", "diffusers", "transformers"} & sys.modules.keys()
"""


def test_gateway_commands_and_local_server_import_without_torch() -> None:
    found = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("picture", "pixels", "made"),
    [
        ((512, 512), 1024 * 1024, (1024, 1024)),
        ((1536, 1024), 1024 * 1024, (1248, 832)),
        ((1920, 1080), 1024 * 1024, (1360, 768)),
        ((4032, 3024), 1024 * 1024, (1168, 880)),
        ((1000, 1000), 1000 * 1000, (992, 992)),
        ((300, 200), 60_000, (288, 192)),
        ((16, 16), 64, (16, 16)),
    ],
)
def test_a_size_is_what_the_pipeline_was_seen_to_make_of_it(
    picture: tuple[int, int], pixels: int, made: tuple[int, int]
) -> None:
    assert sizes.generated(picture, pixels) == made


@pytest.mark.parametrize(("size", "refused"), [((300, 100), False), ((301, 100), True), ((100, 301), True)])
def test_ratios_end_at_three_to_one(size: tuple[int, int], refused: bool) -> None:
    if not refused:
        return sizes.check(size, "the picture")
    with pytest.raises(BadPicture, match="3:1"):
        sizes.check(size, "the picture")
    return None


def png(picture: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


def test_the_model_gets_upright_rgb_on_white() -> None:
    turned = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    prepared = canvas.prepare(Ask(png(turned, exif=exif), "x"), 65_536)
    assert (prepared.size, prepared.picture.mode, prepared.picture.getpixel((5, 5))) == (
        (40, 60), "RGB", (255, 255, 255),
    )  # fmt: skip


def test_a_mask_and_another_shape_cut_picture_and_mask_alike() -> None:
    mask = Image.new("L", (80, 40), 0)
    mask.paste(255, (30, 10, 50, 30))
    ask = Ask(png(Image.new("RGB", (80, 40), "red")), "x", png(mask), (40, 40))
    prepared = canvas.prepare(ask, 65_536)
    assert (prepared.size, prepared.made, prepared.picture.size) == ((40, 40), (256, 256), (256, 256))
    repainted = canvas.finish(prepared, pixels(Image.new("RGB", (256, 256), "blue")), ask)
    with Image.open(io.BytesIO(repainted)) as made:
        assert (made.getpixel((20, 20)), made.getpixel((2, 2))) == ((0, 0, 255), (255, 0, 0))


def safetensors(entries: dict[str, int]) -> bytes:
    """The format by its document: a header's length, the header, the bytes that it speaks of."""
    at, header = 0, {}
    for name, size in entries.items():
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxKontextPipeline"}')
    (tmp_path / "LICENSE.md").write_text("words")
    for name in weights.MODELS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(safetensors({"a": 10, "b": 20}))
    return tmp_path


def test_a_whole_folder_is_measured(folder: Path) -> None:
    found = weights.check(folder)
    assert found.licence == "LICENSE.md"
    assert found.total == sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))


def pickled(folder: Path) -> None:
    file = folder / "vae" / "model.safetensors"
    file.rename(file.with_suffix(".bin"))


def cut_off(folder: Path) -> None:
    file = folder / "transformer" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def damaged(folder: Path) -> None:
    (folder / "transformer" / "model.safetensors").write_bytes(b"\xff" * 100)


def partial(folder: Path) -> None:
    (folder / "text_encoder_2" / "model.safetensors").unlink()


def foreign(folder: Path) -> None:
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')


def unindexed(folder: Path) -> None:
    (folder / "model_index.json").unlink()


BROKEN: dict[Callable[[Path], None], str] = {
    pickled: "pickled",
    cut_off: "cut off",
    damaged: "damaged",
    partial: "not complete",
    foreign: "StableDiffusionPipeline",
    unindexed: "model_index.json",
}


@pytest.mark.parametrize(("harm", "word"), BROKEN.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_a_folder_that_cannot_be_served_is_told_why(folder: Path, harm: Callable[[Path], None], word: str) -> None:
    harm(folder)
    with pytest.raises(BadWeights, match=word):
        weights.find(str(folder))


@pytest.mark.parametrize("weights_", ["/no/such/folder", "./models", "models", "a/b/c"])
def test_a_folder_that_is_missing_is_not_taken_for_a_hub_id(weights_: str) -> None:
    with pytest.raises(BadWeights, match="no folder"):
        weights.find(weights_)
    assert weights.find("black-forest-labs/FLUX.1-Kontext-dev") is None


@pytest.mark.parametrize(("gib", "where"), [(80, "none"), (28, "model"), (16, "sequential")])
def test_what_does_not_fit_on_the_card_is_kept_beside_it(gib: int, where: str) -> None:
    assert placement.fitting(weights.PUBLISHED, gib * placement.GIB) == where


def test_a_full_line_says_when_its_running_edit_should_end() -> None:
    now = [100.0]
    line = Line(lambda: now[0])
    entry = Entry("a", 28)
    line.entries.append(entry)
    line.begin(entry)
    assert line.place_in_s(28.0) == 28, "the guess, before anything is measured"
    line.measure(10.0)
    line.measure(14.0)
    now[0] += 4
    assert (line.seconds_per_edit, line.place_in_s(28.0)) == (12.0, 8)
    now[0] += 60
    assert line.place_in_s(28.0) == 1
    line.leave(entry, Progress("succeeded", 28, 28))
    assert line.progress("a") == Progress("succeeded", 28, 28)


def test_the_command_refuses_weights_before_it_starts_anything(folder: Path) -> None:
    pickled(folder)
    words = [sys.executable, "-c", "from gateway.cli import main; main()", "local", "--engine", "kontext-dev"]
    bad = subprocess.run([*words, "--weights", str(folder)], capture_output=True, text=True, check=False)
    assert (bad.returncode, "pickled" in bad.stderr) == (2, True), bad.stderr
    none = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (none.returncode, "--weights" in none.stderr) == (2, True)


def test_the_doctor_names_what_is_missing_and_how_to_get_it(folder: Path) -> None:
    report = doctor.examine(Options(weights=str(folder), quantize="bnb4", lora=("style.safetensors",)))
    told = {finding.do: finding.found for finding in report.findings if finding.word == "missing"}
    assert "bitsandbytes" in told["pip install bitsandbytes"]
    assert "peft" in told["pip install peft"]
    assert report.weights is not None
    assert (report.able, report.weights.licence, report.speed.basis == "measured") == (False, "LICENSE.md", False)


def test_the_doctor_tells_a_broken_folder_and_the_memory_of_the_real_model(folder: Path) -> None:
    cut_off(folder)
    report = doctor.examine(Options(weights=str(folder)))
    assert any("cut off" in finding.found for finding in report.findings if finding.word == "missing")
    assert report.memory["bfloat16"] == pytest.approx(33.76e9, rel=0.01)
    assert report.memory["bnb4"] < 16e9, "it is said to fit a card of 16 GB"


@pytest.mark.parametrize(
    ("card", "basis"), [("NVIDIA H100 80GB HBM3", "estimated"), ("NVIDIA T4", "unknown"), (None, "estimated")]
)
def test_the_doctor_estimates_only_what_it_has_figures_for(card: str | None, basis: str) -> None:
    cards = (Card(card, 70 * placement.GIB, 80 * placement.GIB, bfloat16=True),) if card else ()
    machine = Machine(cards, mps=False, cores=2, free=1, total=1)
    speed = doctor.estimated(machine, Options(weights="x"))
    assert (speed.basis, speed.seconds_per_edit is None) == (basis, basis == "unknown")
    assert "not measured" in speed.note
    if basis == "estimated":
        assert speed.seconds_per_edit is not None
        assert (speed.seconds_per_edit < 12) is bool(card), "seconds on a large card, hours on two cores"
