"""What this machine can run of FLUX.1 Kontext [dev], what that takes, and what is missing, as one document.

Torch is asked in a process of its own (`probe.py`), and the model only where a measurement is wanted. What was not
measured is an estimate and says where it comes from.
"""

import subprocess
import sys
from typing import Literal

import msgspec

from gateway.local.dev import libraries, sizes, weights
from gateway.local.dev.messages import NotLoaded, Ready
from gateway.local.dev.options import Options
from gateway.local.dev.placement import BY_LAYER, fitting
from gateway.local.dev.probe import Card, Machine
from gateway.local.dev.process import Process
from gateway.local.dev.weights import BadWeights, Folder

PROBE_S = 120.0

# TFLOP of one step at 1024x1024 with a reference of the same size: 8,704 tokens, about 112 in the linear layers and 53
# in attention. Counted, not measured; the same counting gives FLUX.1-dev's published 59.5.
STEP_TFLOP = 165.0
# What is reached of a processor's speed: for the two cards 28 steps in the order of 9 s, for a CPU hours. Estimates.
CARD_TFLOPS = {"H100": 500.0, "H200": 500.0}
CORE_TFLOPS = 0.1

# Parts of the bytes that the weights take in bfloat16; the large parts alone are quantised, as is told of FLUX.1:
# transformer 22.6 GB in bfloat16 and 6.7 GB in nf4 (Hugging Face's diffusers benchmarks).
SHARES: dict[str, float] = {"bfloat16": 1.0, "float16": 1.0, "float32": 2.0, "bnb8, torchao-int8": 0.52, "bnb4": 0.3}
SOURCE = "bfloat16 33.76 GB in all (xDiT 416), nf4 0.3 of it (diffusers benchmarks); working memory is an estimate"

Word = Literal["ok", "warning", "missing"]


class Finding(msgspec.Struct, frozen=True):
    """One line of the table: `what` was looked at, what was `found`, and what to `do` where that is not enough."""

    what: str
    word: Word
    found: str
    do: str | None = None


class Speed(msgspec.Struct, frozen=True):
    """`basis`: `measured` by a warm-up on this machine, `estimated` by counted operations, or `unknown`; seconds of an
    edit with the options' steps."""

    basis: Literal["measured", "estimated", "unknown"]
    seconds_per_edit: float | None
    note: str


class Report(msgspec.Struct, frozen=True):
    able: bool
    findings: tuple[Finding, ...]
    versions: dict[str, str | None]
    machine: Machine | None
    weights: Folder | None
    memory: dict[str, int]
    memory_source: str
    offload: dict[str, str]
    speed: Speed


def examine(options: Options | None, measure: bool = False) -> Report:
    """Without options it says what any weights would find here."""
    missing = libraries.missing(options or Options(weights=""))
    machine = None if "torch" in missing else probe()
    folder, told = _folder(options)
    findings = [_python(), *_libraries(missing), *_machine(machine), *told]
    parts = folder.sizes if folder else weights.PUBLISHED
    needs = {name: int(sum(parts.values()) * share) for name, share in SHARES.items()}
    speed = estimated(machine, options or Options(weights=""))
    if measure and options and not any(finding.word == "missing" for finding in findings):
        speed = measured(options)
        if speed.seconds_per_edit is None:
            findings.append(Finding("warm-up", "missing", speed.note, "see the worker's words above"))
    return Report(
        able=not any(finding.word == "missing" for finding in findings),
        findings=tuple(findings),
        versions=libraries.installed(),
        machine=machine,
        weights=folder,
        memory=needs,
        memory_source=SOURCE,
        offload=_offloads(machine, parts),
        speed=speed,
    )


def probe() -> Machine | None:
    """None where torch cannot be imported though it is installed."""
    words = [sys.executable, "-m", "gateway.local.dev.probe"]
    found = subprocess.run(words, stdout=subprocess.PIPE, timeout=PROBE_S, check=False)  # noqa: S603 - our own module
    return msgspec.json.decode(found.stdout, type=Machine) if found.returncode == 0 else None


def measured(options: Options) -> Speed:
    """By a worker that loads the model, warms up and is ended."""
    process = Process(msgspec.structs.replace(options, warm_up=True))
    try:
        first = next(process.heard(), None)
    finally:
        process.kill()
        process.ended()
    if not isinstance(first, Ready) or first.step_s is None:
        why = first.message if isinstance(first, NotLoaded) else "the worker ended while it loaded"
        return Speed("unknown", None, why)
    made = sizes.generated((1, 1), options.max_pixels)
    note = f"{first.step_s:.3g} s a step at {made[0]}x{made[1]} on {first.device} in {first.dtype}, of two steps run"
    return Speed("measured", first.step_s * options.steps, note)


def estimated(machine: Machine | None, options: Options) -> Speed:
    """From counted operations and what a processor is thought to reach; 28 steps at one megapixel."""
    note = f"not measured: about {STEP_TFLOP:g} TFLOP a step at 1024x1024; add --measure"
    if machine is None:
        return Speed("unknown", None, note)
    reached = CORE_TFLOPS * machine.cores
    if machine.cards:
        reached = next((speed for name, speed in CARD_TFLOPS.items() if name in machine.cards[0].name), 0.0)
    if not reached:
        return Speed("unknown", None, f"{note}; no estimate for {machine.cards[0].name}")
    return Speed("estimated", STEP_TFLOP * options.steps / reached, f"{note}; {reached:g} TFLOPS assumed")


def _python() -> Finding:
    return Finding("python", "ok", sys.version.split()[0])


def _libraries(missing: dict[str, str]) -> list[Finding]:
    have = [Finding(name, "ok", version) for name, version in libraries.installed().items() if version]
    by_how = {how: [name for name in missing if missing[name] == how] for how in missing.values()}
    return have + [Finding("libraries", "missing", f"without {', '.join(names)}", how) for how, names in by_how.items()]


def _machine(machine: Machine | None) -> list[Finding]:
    if machine is None:
        return [Finding("devices", "warning", "not known: torch cannot be asked")]
    memory = Finding("memory", "ok", f"{machine.free / 1e9:.1f} of {machine.total / 1e9:.1f} GB free")
    if not machine.cards:
        slow = "an edit of the real model takes hours on a CPU"
        return [Finding("devices", "warning", "CPU alone", f"{slow}; use a card, or a hosted model"), memory]
    return [*(Finding("device", "ok", _card(card)) for card in machine.cards), memory]


def _card(card: Card) -> str:
    return f"{card.name}, {card.free / 1e9:.1f} of {card.total / 1e9:.1f} GB free"


def _folder(options: Options | None) -> tuple[Folder | None, list[Finding]]:
    if options is None:
        return None, [Finding("weights", "warning", "none given", "add --weights FOLDER")]
    try:
        folder = weights.find(options.weights, options.gguf)
    except BadWeights as error:
        return None, [Finding("weights", "missing", str(error))]
    if folder is None:
        return None, [Finding("weights", "warning", f"{options.weights}, a hub id: its files are not looked at")]
    size = Finding("weights", "ok", f"safetensors, {folder.total / 1e9:.4g} GB")
    if folder.licence:
        return folder, [size, Finding("licence", "ok", folder.licence)]
    return folder, [size, Finding("licence", "warning", "no LICENSE file in the folder", f"it is: {weights.LICENCE}")]


def _offloads(machine: Machine | None, parts: dict[str, int]) -> dict[str, str]:
    """For each form of the weights, what `--offload auto` does on the first card."""
    if machine is None or not machine.cards:
        return {}
    card = machine.cards[0]
    return {
        name: fitting({part: int(size * share) for part, size in parts.items()}, card.free) or BY_LAYER
        for name, share in SHARES.items()
    }
