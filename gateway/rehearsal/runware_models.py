"""What each Kontext model at Runware accepts, and what it costs: the parameter tables of its pages, as data."""

from collections.abc import Callable

from msgspec import Struct

from gateway.rehearsal.checks import (
    Check,
    an_object,
    anything,
    array,
    boolean,
    integer,
    number,
    one_of,
    one_of_any_case,
    text,
    uuid_v4,
    web_address,
)
from gateway.rehearsal.exchange import JsonObject

Size = tuple[int, int]

SIZES: tuple[Size, ...] = (
    (1568, 672),
    (1392, 752),
    (1248, 832),
    (1184, 880),
    (1024, 1024),
    (880, 1184),
    (832, 1248),
    (752, 1392),
    (672, 1568),
)
LARGEST = 2**63 - 1
MANY = 16

# The list of the official SDK's types; the pages' examples write `default`, so case does not count.
SCHEDULERS = tuple(
    """DDIM|DDIMScheduler|DDPMScheduler|DEISMultistepScheduler|Default|DPM++|DPM++ 2M|DPM++ 2M Beta|DPM++ 2M Exponential
|DPM++ 2M Karras|DPM++ 2M SDE|DPM++ 2M SDE Beta|DPM++ 2M SDE Exponential|DPM++ 2M SDE Karras|DPM++ 2M SDE Uniform
|DPM++ 2M Uniform|DPM++ 3M|DPM++ 3M Beta|DPM++ 3M Exponential|DPM++ 3M Karras|DPM++ 3M SDE Uniform|DPM++ 3M Uniform
|DPM++ Beta|DPM++ Exponential|DPM++ Karras|DPM++ SDE|DPM++ SDE Beta|DPM++ SDE Exponential|DPM++ SDE Karras
|DPM++ Uniform|DPM++ Uniform Beta|DPM++ Uniform Exponential|DPM++ Uniform Karras|DPMSolverMultistepInverse
|DPMSolverMultistepScheduler|DPMSolverSinglestepScheduler|EDMDPMSolverMultistepScheduler|EDMEulerScheduler|Euler
|Euler a|Euler Beta|Euler Exponential|Euler Karras|EulerAncestralDiscreteScheduler|EulerDiscreteScheduler
|FlowMatchEulerDiscreteScheduler|Heun|HeunDiscreteScheduler|Heun Karras|IPNDMScheduler|IPNDM Uniform
|IPNDM Uniform Beta|IPNDM Uniform Exponential|IPNDM Uniform Karras|KDPM2AncestralDiscreteScheduler
|KDPM2DiscreteScheduler|LCM|LCMScheduler|LMS|LMSDiscreteScheduler|LMS Karras|PNDMScheduler|TCDScheduler|UniPC
|UniPC 2M|UniPC 2M Karras|UniPC 2M Uniform|UniPC 3M|UniPC 3M Karras|UniPC 3M Uniform|UniPC Karras|UniPC Uniform
|UniPC Uniform Beta|UniPC Uniform Exponential|UniPC Uniform Karras""".replace("\n", "").split("|")
)


def _references(most: int) -> dict[str, Check]:
    """The new input shape and the old one; the server has taken both."""
    references = array(text(1, 2**27), 1, most)
    return {"inputs": an_object({"referenceImages": references}), "referenceImages": references}


COMMON: dict[str, Check] = {
    "taskType": one_of("imageInference"),
    "taskUUID": uuid_v4,
    "model": anything,
    "positivePrompt": text(2, 3000),
    "seed": integer(0, LARGEST),
    "numberResults": integer(1, 20),
    "outputType": one_of("URL", "base64Data", "dataURI"),
    "outputFormat": one_of("JPG", "PNG", "WEBP"),
    "outputQuality": integer(20, 99),
    "deliveryMethod": one_of("sync", "async"),
    "includeCost": boolean,
    "ttl": integer(60, LARGEST),
    "safety": an_object({"checkContent": boolean, "mode": one_of("none", "fast")}),
    "webhookURL": web_address,
    "uploadEndpoint": web_address,
    "width": integer(1, 4096),
    "height": integer(1, 4096),
}
BFL: dict[str, Check] = {
    "providerSettings": an_object(
        {"bfl": an_object({"promptUpsampling": boolean, "safetyTolerance": integer(0, 6)})},
    ),
}
DEV: dict[str, Check] = {
    "negativePrompt": text(2, 3000),
    "steps": integer(1, 50),
    "CFGScale": number(0, 20),
    "trueCFGScale": number(0, 1000),
    "scheduler": one_of_any_case(*SCHEDULERS),
    "lora": array(
        an_object(
            {"model": text(1, 300), "weight": number(-4, 4), "transformer": one_of("high", "low", "both")}, "model"
        ),
        1,
        MANY,
    ),
    "ipAdapters": array(
        an_object(
            {
                "model": text(1, 300),
                "guideImages": array(text(1, 2**27), 1, MANY),
                "weight": number(-4, 4),
                "combineMethod": text(1, 64),
                "embedScaling": text(1, 64),
                "weightType": text(1, 64),
                "weightComposition": number(0, 1),
            },
            "model",
            "guideImages",
        ),
        1,
        MANY,
    ),
    "acceleratorOptions": an_object(
        {
            "teaCache": boolean,
            "teaCacheDistance": number(0, 1),
            "fbCache": boolean,
            "fbCacheThreshold": number(0, 1),
            "dbCache": boolean,
            "dbCacheThreshold": number(0, 1),
            "dbCacheSkipInterval": integer(1, LARGEST),
            "cacheStartStep": integer(0, LARGEST),
            "cacheEndStep": integer(1, LARGEST),
            "cacheStartStepPercentage": integer(0, 99),
            "cacheEndStepPercentage": integer(1, 100),
            "cacheMaxConsecutiveSteps": integer(1, 5),
        }
    ),
    "ultralytics": an_object(
        {
            "CFGScale": number(0, 50),
            "confidence": number(0, 1),
            "maskBlur": integer(0, 100),
            "maskPadding": integer(0, 20),
            "steps": integer(1, 100),
            "strength": number(0, 1),
            "positivePrompt": text(1, 3000),
            "negativePrompt": text(1, 3000),
        }
    ),
}


class Model(Struct, frozen=True, kw_only=True):
    air: str
    name: str
    fields: dict[str, Check]
    required: tuple[str, ...]
    sizes: tuple[Size, ...] | None
    price_micro_usd: Callable[[JsonObject], int]

    @property
    def tint(self) -> str:
        return self.name.removeprefix("kontext-")


def _dev_price_micro_usd(task: JsonObject) -> int:
    """By compute: $0.0143 at 1248×832 and 28 steps (the default); $0.015 otherwise."""
    listed = (task.get("width"), task.get("height"), task.get("steps", 28)) == (1248, 832, 28)
    return 14_300 if listed else 15_000


def _flat(price_micro_usd: int) -> Callable[[JsonObject], int]:
    def price(_: JsonObject) -> int:
        return price_micro_usd

    return price


ALWAYS = ("taskType", "taskUUID", "model", "positivePrompt")
BFL_FIELDS = COMMON | BFL | _references(2)
MODELS: dict[str, Model] = {
    model.air: model
    for model in (
        Model(
            air="bfl:3@1",
            name="kontext-pro",
            fields=BFL_FIELDS,
            required=(*ALWAYS, "width", "height"),
            sizes=SIZES,
            price_micro_usd=_flat(40_000),
        ),
        Model(
            air="bfl:4@1",
            name="kontext-max",
            fields=BFL_FIELDS,
            required=(*ALWAYS, "width", "height"),
            sizes=SIZES,
            price_micro_usd=_flat(80_000),
        ),
        Model(
            air="runware:106@1",
            name="kontext-dev",
            fields=COMMON | DEV | _references(MANY),
            required=ALWAYS,
            sizes=None,
            price_micro_usd=_dev_price_micro_usd,
        ),
    )
}


def nearest_size(width: int, height: int) -> Size:
    """The listed size whose shape is nearest to that of a picture."""
    return min(SIZES, key=lambda size: abs(size[0] / size[1] - width / height))
