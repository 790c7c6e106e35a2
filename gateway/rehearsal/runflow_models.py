"""What each Kontext model at Runflow accepts and costs, and the two ways in which its pages write a ratio."""

from typing import Literal

from msgspec import Struct

from gateway.rehearsal.checks import Check, boolean, integer, number, one_of, text
from gateway.rehearsal.runware_models import Size

RATIOS: dict[str, Size] = {
    "21:9": (1568, 672),
    "16:9": (1392, 752),
    "3:2": (1248, 832),
    "4:3": (1184, 880),
    "1:1": (1024, 1024),
    "3:4": (880, 1184),
    "2:3": (832, 1248),
    "9:16": (752, 1392),
    "9:21": (672, 1568),
}
"""No size is published; these are the sizes of the same upstream model at another vendor."""

PRESETS: dict[str, Size] = {
    "square_hd": (1024, 1024),
    "square": (1024, 1024),
    "landscape_4_3": (1184, 880),
    "landscape_16_9": (1392, 752),
    "portrait_4_3": (880, 1184),
    "portrait_16_9": (752, 1392),
    "21:9": (1568, 672),
    "9:21": (672, 1568),
}

RatioStyle = Literal["ratio", "preset", "both"]
ACCEPTED: dict[RatioStyle, dict[str, Size]] = {"ratio": RATIOS, "preset": PRESETS, "both": RATIOS | PRESETS}
LONGEST_PROMPT = 100_000

INPUTS: dict[str, Check] = {
    "prompt": text(1, LONGEST_PROMPT),
    "image_url": text(1, 2**27),
    "num_images": integer(1, 4),
    "guidance_scale": number(1, 20),
    "output_format": one_of("jpeg", "png"),
    "safety_tolerance": one_of("1", "2", "3", "4", "5", "6"),
    "enhance_prompt": boolean,
    "seed": integer(0, 2**63 - 1),
    "sync_mode": boolean,
}
REQUIRED = ("prompt", "image_url")


def inputs(style: RatioStyle) -> dict[str, Check]:
    return INPUTS | {"aspect_ratio": one_of(*ACCEPTED[style])}


class Model(Struct, frozen=True):
    id: str
    name: str
    price_micro_usd: int

    @property
    def tint(self) -> str:
        return self.name.removeprefix("kontext-")


MODELS: dict[str, Model] = {
    model.id: model
    for model in (
        Model("black-forest-labs/flux-pro/kontext", "kontext-pro", 40_000),
        Model("black-forest-labs/flux-pro/kontext/max", "kontext-max", 80_000),
        Model("black-forest-labs/flux-pro-kontext-max", "kontext-max", 80_000),
    )
}
"""The id of [max] was not found in the documents; both candidates are taken."""
