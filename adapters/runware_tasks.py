"""What is sent to Runware: one task as a typed document, with `null` where a picture goes.

Field names are Runware's own. A dial that nobody asked for is left out, so the model's documented default applies.
"""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct, field

from adapters.contract import Attempt, Edit, HttpCall, ImageFormat, Json, Step, Upload
from adapters.fit import Fit, Sent, Unfit, fit
from adapters.options import Accelerator, IpAdapter, Lora, RunwareOptions, Ultralytics

TASK_TYPE = "imageInference"
Place = Literal["inputs", "top_level"]
Path = tuple[str | int, ...]


class Wire(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A JSON object of Runware's; what equals its default is not sent."""


class Inputs(Wire, frozen=True, kw_only=True):
    """`None` holds the place of a picture."""

    reference_images: tuple[None, ...] | None = None


class Bfl(Wire, frozen=True, kw_only=True):
    prompt_upsampling: bool | None = None
    safety_tolerance: int | None = None


class ProviderSettings(Wire, frozen=True, kw_only=True):
    bfl: Bfl


class Check(Wire, frozen=True, kw_only=True):
    check_content: bool | None = None
    mode: str | None = None


class Task(Wire, frozen=True, kw_only=True):
    task_type: str
    task_uuid: str = field(name="taskUUID")
    model: str
    positive_prompt: str
    negative_prompt: str | None = None
    inputs: Inputs | None = None
    reference_images: tuple[None, ...] | None = None
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    number_results: int | None = None
    steps: int | None = None
    cfg_scale: float | None = field(default=None, name="CFGScale")
    true_cfg_scale: float | None = field(default=None, name="trueCFGScale")
    scheduler: str | None = None
    provider_settings: ProviderSettings | None = None
    lora: tuple[Lora, ...] | None = None
    ip_adapters: tuple[dict[str, object], ...] | None = None
    accelerator_options: Accelerator | None = None
    ultralytics: Ultralytics | None = None
    safety: Check | None = None
    output_type: str
    output_format: str
    output_quality: int | None = None
    delivery_method: str
    include_cost: bool
    webhook_url: str | None = field(default=None, name="webhookURL")


class Question(Wire, frozen=True, kw_only=True):
    """A task that asks about another one."""

    task_type: Literal["getResponse", "getTaskDetails"]
    task_uuid: str = field(name="taskUUID")


FORMATS = {ImageFormat.PNG: "PNG", ImageFormat.JPEG: "JPG", ImageFormat.WEBP: "WEBP"}
DEFAULT_QUALITY = 95


def task_id(attempt: Attempt) -> str:
    """The attempt's id as the UUID v4 that Runware asks for: version and variant bits are set, the rest is kept."""
    return str(UUID(hex=attempt.id, version=4))


def _quality(edit: Edit) -> int | None:
    if edit.output_format is ImageFormat.PNG or edit.output_quality == DEFAULT_QUALITY:
        return None
    return min(max(edit.output_quality, 20), 99)


def _provider_settings(sent: Sent) -> ProviderSettings | None:
    bfl = Bfl(prompt_upsampling=sent.enhance_prompt, safety_tolerance=sent.safety)
    return ProviderSettings(bfl=bfl) if bfl != Bfl() else None


def _check(sent: Sent, options: RunwareOptions) -> Check | None:
    """`checkContent` marks pictures and blocks none."""
    check = Check(check_content=sent.flag_nsfw or None, mode=options.safety.mode if options.safety else None)
    return check if check != Check() else None


def _placeheld(adapter: IpAdapter) -> dict[str, object]:
    """An IP adapter as it is sent, with the places of its pictures kept free."""
    dials: dict[str, object] = msgspec.to_builtins(adapter)
    return dials | {"guideImages": (None,) * len(adapter.guide_images)}


def post(attempt: Attempt, step: Step, place: Place) -> HttpCall:
    """The task, to be done. `place`: where its input pictures go. Raises `ValueError` for an edit that the offer
    cannot take; plans hold none."""
    body = msgspec.json.encode([_task(attempt, place)]).decode()
    return HttpCall(step=step, method="POST", url="", body=Json(body, _uploads(attempt, place)))


def ask(attempt: Attempt, question: Literal["getResponse", "getTaskDetails"], step: Step, **carry: str) -> HttpCall:
    """A question about the task: how far it is (`getResponse`), or what is archived of it (`getTaskDetails`)."""
    body = msgspec.json.encode([Question(task_type=question, task_uuid=task_id(attempt))]).decode()
    return HttpCall(step=step, method="POST", url="", body=Json(body), carry=carry)


def _sent(attempt: Attempt) -> Sent:
    match fit(attempt.edit, attempt.offer):
        case Fit(sent=sent):
            return sent
        case Unfit(field=name, why=why):
            raise ValueError(f"{attempt.offer.name} cannot take this edit: {name} {why}")


def _task(attempt: Attempt, place: Place) -> Task:
    edit, sent = attempt.edit, _sent(attempt)
    dials = sent.options.runware or RunwareOptions()
    pictures = (None,) * len(edit.images)
    return Task(
        task_type=TASK_TYPE,
        task_uuid=task_id(attempt),
        model=attempt.offer.wire_model,
        positive_prompt=edit.prompt,
        negative_prompt=sent.negative_prompt,
        inputs=Inputs(reference_images=pictures) if place == "inputs" else None,
        reference_images=pictures if place == "top_level" else None,
        width=sent.size.width if sent.size else None,
        height=sent.size.height if sent.size else None,
        seed=sent.seed,
        number_results=sent.n if sent.n > 1 else None,
        steps=sent.steps,
        cfg_scale=sent.guidance,
        true_cfg_scale=dials.true_cfg_scale,
        scheduler=dials.scheduler,
        provider_settings=_provider_settings(sent),
        lora=dials.lora,
        ip_adapters=tuple(map(_placeheld, dials.ip_adapters)) if dials.ip_adapters else None,
        accelerator_options=dials.accelerator_options,
        ultralytics=dials.ultralytics,
        safety=_check(sent, dials),
        output_type="URL",
        output_format=FORMATS[edit.output_format],
        output_quality=_quality(edit),
        delivery_method="async",  # a sync call is given up at about 120 s, while the work goes on and is billed
        include_cost=True,
        webhook_url=attempt.callback_url,
    )


def _uploads(attempt: Attempt, place: Place) -> tuple[Upload, ...]:
    """Pictures go as data URIs: nothing of ours has to be reachable from outside."""
    root: Path = (0, "inputs", "referenceImages") if place == "inputs" else (0, "referenceImages")
    dials = _sent(attempt).options.runware or RunwareOptions()
    references = [Upload(picture.digest, "data_uri", (*root, i)) for i, picture in enumerate(attempt.edit.images)]
    guides = [
        Upload(digest, "data_uri", (0, "ipAdapters", j, "guideImages", k))
        for j, adapter in enumerate(dials.ip_adapters or ())
        for k, digest in enumerate(adapter.guide_images)
    ]
    return (*references, *guides)
