"""Where each documented parameter lives with us: the table, and the part of `adapters/README.md` that is made from it.

`python -m tests.adapters.seed_parameters` writes the README anew; a test fails while it is stale. Another one sends an
edit with every dial set and finds each name of the table on the wire, so the table cannot claim what is not so.
"""

import json
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parents[1] / "adapters" / "README.md"
BEGIN, END = "<!-- parameters: begin -->", "<!-- parameters: end -->"

GATEWAY = "the gateway: "
"""Begins a place that is no field: the gateway or the adapter decides it, alike for every caller."""

_RUNWARE = {
    "taskType": GATEWAY + "always `imageInference`",
    "taskUUID": GATEWAY + "the attempt's id, so that a repeat is refused instead of bought",
    "outputType": GATEWAY + "always `URL`; how a caller gets pictures is `output.delivery`",
    "outputFormat": "`output.format`",
    "outputQuality": "`output.quality`",
    "webhookURL": GATEWAY + "its own callback address; a caller's is `webhook_url`",
    "deliveryMethod": GATEWAY + "always `async`",
    "uploadEndpoint": "`output.upload_url`",
    "safety": "`flag_nsfw`",
    "safety.checkContent": "`flag_nsfw`",
    "safety.mode": "`options.runware.safety.mode`",
    "ttl": "`output.ttl_s`",
    "includeCost": GATEWAY + "always; it is `cost` in the answer",
    "numberResults": "`n`",
    "inputs.referenceImages": "`images`",
    "model": "`models`",
    "positivePrompt": "`prompt`",
    "width": "`size`",
    "height": "`size`",
    "seed": "`seed`",
}
_BFL = {
    "providerSettings.bfl.promptUpsampling": "`enhance_prompt`",
    "providerSettings.bfl.safetyTolerance": "`safety`",
}
_DEV = {"negativePrompt": "`negative_prompt`", "steps": "`steps`", "CFGScale": "`guidance`"}
_ANSWER = {
    "taskType": GATEWAY + "read, to tell an answer from a question",
    "taskUUID": GATEWAY + "read: only what names our task counts",
    "imageUUID": GATEWAY + "read, to count each picture once",
    "imageURL": "`images[].url`",
    "imageBase64Data": "`images[].url`",
    "imageDataURI": "`images[].url`",
    "seed": "`images[].seed`",
    "NSFWContent": "`images[].nsfw`",
    "cost": "`cost.usd`",
}
_RUNFLOW = {
    "prompt": "`prompt`",
    "image_url": "`images`",
    "aspect_ratio": "`size`, or a preset by name: `options.runflow.aspect_ratio`",
    "num_images": "`n`",
    "guidance_scale": "`guidance`",
    "output_format": "`output.format`",
    "safety_tolerance": "`safety`",
    "enhance_prompt": "`enhance_prompt`",
    "seed": "`seed`",
    "sync_mode": "`options.runflow.sync_mode`",
}


def documented() -> dict[str, list[str]]:
    """Every parameter of every page, as data: `{page: [name, …]}`."""
    pages = json.loads((HERE / "seeds" / "parameters.json").read_text())
    del pages["source"]
    return pages


def _dev() -> dict[str, str]:
    """Dials of Kontext [dev] that have no field of ours are options under their own names."""
    own = _RUNWARE | _DEV
    return {name: own.get(name, f"`options.runware.{name}`") for name in documented()["runware/kontext-dev"]}


PLACES: dict[str, dict[str, str]] = {
    "runware/kontext-pro": _RUNWARE | _BFL,
    "runware/kontext-max": _RUNWARE | _BFL,
    "runware/kontext-dev": _dev(),
    "runware answer": _ANSWER,
    "runflow/kontext-max": _RUNFLOW,
}


def table() -> str:
    """The README's table: a parameter once per place, with the pages that document it."""
    pages: dict[tuple[str, str], list[str]] = {}
    for page, places in PLACES.items():
        for name, place in places.items():
            pages.setdefault((name, place), []).append(page.replace("/kontext-", " "))
    rows = [f"| `{name}` | {place} | {', '.join(where)} |" for (name, place), where in pages.items()]
    return "\n".join(["| parameter | where it lives | documented for |", "| --- | --- | --- |", *rows])


def with_table(readme: str) -> str:
    """`readme` with the table between its two marks. Raises `ValueError` where a mark is missing."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
    print(f"wrote {README}")
