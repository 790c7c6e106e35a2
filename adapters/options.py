"""Dials that only one provider has, under `options.<provider>`, in that provider's own names and ranges.

Where a dial means something to more than one provider it is a field of `Edit` instead. Pictures inside options are
references in a request and digests inside an `Edit`; `pictures` and `with_pictures` lead from the one to the other.
Ranges and names: the providers' model pages. A step that a page names (0.01) is left to the provider: a float is
rarely an exact multiple of it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field, structs

Share = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=-4, le=4)]
ModelId = Annotated[str, Meta(min_length=3, max_length=200)]
"""An AIR id such as `civitai:123@456`. Not a list: providers add models without notice."""
Text = Annotated[str, Meta(max_length=3000)]

# The 75 names that runware:106@1 takes (runware-sdk 1.8.0, types/task_map.py).
_NAMES = """
    DDIM, DDIMScheduler, DDPMScheduler, DEISMultistepScheduler, Default, DPM++, DPM++ 2M, DPM++ 2M Beta,
    DPM++ 2M Exponential, DPM++ 2M Karras, DPM++ 2M SDE, DPM++ 2M SDE Beta, DPM++ 2M SDE Exponential,
    DPM++ 2M SDE Karras, DPM++ 2M SDE Uniform, DPM++ 2M Uniform, DPM++ 3M, DPM++ 3M Beta, DPM++ 3M Exponential,
    DPM++ 3M Karras, DPM++ 3M SDE Uniform, DPM++ 3M Uniform, DPM++ Beta, DPM++ Exponential, DPM++ Karras, DPM++ SDE,
    DPM++ SDE Beta, DPM++ SDE Exponential, DPM++ SDE Karras, DPM++ Uniform, DPM++ Uniform Beta,
    DPM++ Uniform Exponential, DPM++ Uniform Karras, DPMSolverMultistepInverse, DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler, EDMDPMSolverMultistepScheduler, EDMEulerScheduler, Euler, Euler a, Euler Beta,
    Euler Exponential, Euler Karras, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler, Heun, HeunDiscreteScheduler, Heun Karras, IPNDMScheduler, IPNDM Uniform,
    IPNDM Uniform Beta, IPNDM Uniform Exponential, IPNDM Uniform Karras, KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler, LCM, LCMScheduler, LMS, LMSDiscreteScheduler, LMS Karras, PNDMScheduler, TCDScheduler,
    UniPC, UniPC 2M, UniPC 2M Karras, UniPC 2M Uniform, UniPC 3M, UniPC 3M Karras, UniPC 3M Uniform, UniPC Karras,
    UniPC Uniform, UniPC Uniform Beta, UniPC Uniform Exponential, UniPC Uniform Karras
"""
SCHEDULERS = tuple(" ".join(_NAMES.split()).split(", "))
_SCHEDULERS = frozenset(name.casefold() for name in SCHEDULERS)


class Dials(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"):
    """A provider's group of dials; one left out is not sent."""


# --- Runware --------------------------------------------------------------------------------------------------------


class Lora(Dials, frozen=True, kw_only=True):
    """A style or feature laid over the model. `transformer`: the denoising stage it applies to."""

    model: ModelId
    weight: Weight | None = None
    transformer: Literal["high", "low", "both"] | None = None


class IpAdapter(Dials, frozen=True, kw_only=True):
    """Further pictures that guide style and content. The page counts the values of the three enums without naming
    them; the names are those of Runware's own generated types."""

    model: ModelId
    guide_images: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]
    weight: Weight | None = None
    combine_method: Literal["concat", "add", "subtract", "average", "norm_average"] | None = None
    embed_scaling: Literal["only_v", "kv", "kv_penalty_c", "k_mean_v_penalty_c"] | None = None
    weight_type: (
        Literal[
            "normal", "ease_in", "ease_out", "ease_in_out", "weak_input", "weak_output", "weak_middle",
            "strong_middle", "style_transfer", "composition", "strong_style_transfer", "style_and_composition",
            "strong_style_and_composition",
        ]
        | None
    ) = None  # fmt: skip
    weight_composition: Share | None = None


class Accelerator(Dials, frozen=True, kw_only=True):
    """Caches that trade quality for speed. Start and end are in steps or in percent of them."""

    tea_cache: bool | None = None
    tea_cache_distance: Share | None = None
    fb_cache: bool | None = None
    fb_cache_threshold: Share | None = None
    db_cache: bool | None = None
    db_cache_threshold: Share | None = None
    db_cache_skip_interval: Annotated[int, Meta(ge=1)] | None = None
    cache_start_step: Annotated[int, Meta(ge=0)] | None = None
    cache_end_step: Annotated[int, Meta(ge=1)] | None = None
    cache_start_step_percentage: Annotated[int, Meta(ge=0, le=99)] | None = None
    cache_end_step_percentage: Annotated[int, Meta(ge=1, le=100)] | None = None
    cache_max_consecutive_steps: Annotated[int, Meta(ge=1, le=5)] | None = None

    def __post_init__(self) -> None:
        _either("cacheStartStep", self.cache_start_step, "cacheStartStepPercentage", self.cache_start_step_percentage)
        _either("cacheEndStep", self.cache_end_step, "cacheEndStepPercentage", self.cache_end_step_percentage)
        _rising("cacheStartStep", self.cache_start_step, "cacheEndStep", self.cache_end_step)
        start, end = self.cache_start_step_percentage, self.cache_end_step_percentage
        _rising("cacheStartStepPercentage", start, "cacheEndStepPercentage", end)


def _either(name: str, value: int | None, other: str, percentage: int | None) -> None:
    if value is not None and percentage is not None:
        raise ValueError(f"{name} and {other} say the same thing in two ways; send one of them")


def _rising(low: str, start: int | None, high: str, end: int | None) -> None:
    if start is not None and end is not None and end <= start:
        raise ValueError(f"{high} ({end}) must be greater than {low} ({start}); raise {high} or lower {low}")


class Ultralytics(Dials, frozen=True, kw_only=True):
    """Face enhancement in the same step: faces are found and painted again."""

    cfg_scale: Annotated[float, Meta(ge=0, le=50)] | None = field(default=None, name="CFGScale")
    confidence: Share | None = None
    mask_blur: Annotated[int, Meta(ge=0, le=100)] | None = None
    mask_padding: Annotated[int, Meta(ge=0, le=20)] | None = None
    steps: Annotated[int, Meta(ge=1, le=100)] | None = None
    strength: Share | None = None
    positive_prompt: Text | None = None
    negative_prompt: Text | None = None


class Safety(Dials, frozen=True, kw_only=True):
    """How content is checked; that it is checked at all is the edit's own `flag_nsfw`."""

    mode: Literal["none", "fast"] | None = None


class RunwareOptions(Dials, frozen=True, kw_only=True):
    """Runware's own dials; which model takes which is said by its `dials` in the catalogue."""

    scheduler: str | None = None
    true_cfg_scale: float | None = field(default=None, name="trueCFGScale")
    lora: Annotated[tuple[Lora, ...], Meta(min_length=1, max_length=16)] | None = None
    ip_adapters: Annotated[tuple[IpAdapter, ...], Meta(min_length=1, max_length=16)] | None = None
    accelerator_options: Accelerator | None = None
    ultralytics: Ultralytics | None = None
    safety: Safety | None = None

    def __post_init__(self) -> None:
        if self.scheduler is not None and self.scheduler.casefold() not in _SCHEDULERS:
            known = "Default, Euler, DPM++ 2M Karras or FlowMatchEulerDiscreteScheduler"
            raise ValueError(f"scheduler must be one of Runware's {len(SCHEDULERS)} names, such as {known}")


# --- Runflow --------------------------------------------------------------------------------------------------------


class RunflowOptions(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Runflow's own dials. `aspect_ratio` is a preset by name; any other shape is the edit's own `size`."""

    sync_mode: bool | None = None
    aspect_ratio: (
        Literal["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"] | None
    ) = None


# --- all of them ----------------------------------------------------------------------------------------------------


class Options(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    runware: RunwareOptions | None = None
    runflow: RunflowOptions | None = None

    def pictures(self) -> tuple[str, ...]:
        """Every picture inside, in order: references in a request, digests in an `Edit`."""
        return tuple(image for adapter in self._ip_adapters() for image in adapter.guide_images)

    def with_pictures(self, digests: Mapping[str, str]) -> "Options":
        """The same options with every picture replaced. Raises `KeyError` for one that `digests` does not hold."""
        if self.runware is None or self.runware.ip_adapters is None:
            return self
        guided = tuple(
            structs.replace(adapter, guide_images=tuple(digests[image] for image in adapter.guide_images))
            for adapter in self._ip_adapters()
        )
        return structs.replace(self, runware=structs.replace(self.runware, ip_adapters=guided))

    def _ip_adapters(self) -> tuple[IpAdapter, ...]:
        return (self.runware and self.runware.ip_adapters) or ()
