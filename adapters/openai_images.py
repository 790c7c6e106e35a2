"""The OpenAI images protocol: one multipart request, one answer that holds the pictures.

Several servers speak it, each with its own accent; an accent is a `Profile`, a row of data, and never a branch in the
code. None of them keeps tasks or takes ids of ours: where nobody bills, a lost answer is a failure; where somebody
does, it stays unresolved, for nobody can be asked.
"""

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import quote

from msgspec import Meta, Struct, structs

from adapters import replies
from adapters.contract import (
    Attempt,
    Auth,
    Done,
    Failed,
    FailureKind,
    Fate,
    Form,
    FormFile,
    HttpCall,
    HttpReply,
    ImageFormat,
    Inline,
    Load,
    MaskMeaning,
    ModelSize,
    Next,
    Offer,
    Outcome,
    Picture,
    Step,
    Tier,
    Upload,
)
from adapters.fit import Fit, Sent, fit
from adapters.openai_images_load import load

Dial = Literal["seed", "guidance", "steps", "negative_prompt"]


class MaskField(Struct, frozen=True):
    """How a server takes a mask. `meaning`: what it reads in the pixels; None where it reads them as we do. `again`:
    the field in which it wants the first picture once more."""

    name: str = "mask"
    meaning: MaskMeaning | None = None
    again: str | None = None


class Profile(Struct, frozen=True, kw_only=True):
    """One server's accent. `path`: may name `{deployment}` (the model's id) and `{api_version}`. `auth`: how it wants
    its key. `concurrency`, `timeout_s`: what an account of it has where its configuration says nothing. `image_field`:
    `image[]` is taken by every known server, even for one picture. `mask` None: an edit with a mask is refused, since a
    mask that is ignored edits the wrong place. `auto_size`: what keeps the first picture's size; None where leaving the
    size out does. `quality`: what a tier is asked for as, where quality is a dial and makes the price. `formats`: those
    that it can write; another is asked for as PNG, and the gateway writes it. `reads`: those that every build of it can
    read; a picture in another is sent as PNG. `always`: fields of every request. `refused_tags`: what it reads in a
    prompt as settings of its engine. `tuning`: our dial to the server's field, for what goes beyond OpenAI's own
    fields; a dial that is not here is never sent. `true_cfg`: the field without which it reads no negative prompt.
    `health`: where it tells how it is. `edit_id`: the header under which it takes an edit's name, so that it can tell
    there how far each one is."""

    path: str = "images/edits"
    auth: Auth = Auth()
    concurrency: int = 4
    timeout_s: float = 30.0
    image_field: str = "image[]"
    mask: MaskField | None = MaskField()
    auto_size: str | None = "auto"
    quality: tuple[tuple[Tier, str], ...] = ()
    formats: tuple[ImageFormat, ...] = tuple(ImageFormat)
    reads: tuple[ImageFormat, ...] = tuple(ImageFormat)
    always: tuple[tuple[str, str], ...] = ()
    refused_tags: tuple[str, ...] = ()
    tuning: tuple[tuple[Dial, str], ...] = ()
    true_cfg: str | None = None
    health: str | None = "/health"
    edit_id: str | None = None


DIFFUSERS: tuple[tuple[Dial, str], ...] = (
    ("seed", "seed"),
    ("guidance", "guidance_scale"),
    ("steps", "num_inference_steps"),
    ("negative_prompt", "negative_prompt"),
)
BASE64 = (("response_format", "b64_json"),)
# Always sent: `auto` would leave it to the server what an edit costs.
QUALITY = ((Tier.PREVIEW, "low"), (Tier.DRAFT, "low"), (Tier.STANDARD, "medium"), (Tier.PREMIUM, "high"))
# GPT image models always answer in base64 and refuse `response_format`; fidelity and moderation stay their defaults.
OPENAI = Profile(
    timeout_s=300.0, mask=MaskField(meaning=MaskMeaning.ALPHA), auto_size=None, quality=QUALITY, health=None
)
PROFILES: dict[str, Profile] = {
    "kontext": Profile(tuning=DIFFUSERS, edit_id="x-edit-id"),
    # One at a time: of two concurrent requests one never gets its answer (an open report of 2026).
    "vllm_omni": Profile(
        concurrency=1,
        mask=MaskField("mask_image", MaskMeaning.LUMA, again="reference_image"),
        always=BASE64,
        tuning=DIFFUSERS,
        true_cfg="true_cfg_scale",
    ),
    # It takes a mask and ignores it. Its tuning fields stand in its source (entrypoints/openai/image_api.py) alone.
    "sglang": Profile(
        concurrency=1, mask=None, auto_size=None, always=BASE64, tuning=DIFFUSERS, true_cfg="true_cfg_scale"
    ),
    # It reads a mask's brightness and not its alpha. Seed and steps go through a tag in the prompt and nowhere else;
    # older releases read LoRA tags too. A picture that it cannot read it leaves out and paints from the prompt alone:
    # WebP, in a build without libwebp.
    "sd_server": Profile(
        concurrency=1,
        mask=MaskField(meaning=MaskMeaning.LUMA),
        auto_size=None,
        formats=(ImageFormat.PNG, ImageFormat.JPEG),
        reads=(ImageFormat.PNG, ImageFormat.JPEG),
        refused_tags=("<sd_cpp_extra_args", "<lora:"),
        health="/v1/models",  # it has no other address that answers without work
    ),
    "openai": OPENAI,
    "azure": structs.replace(
        OPENAI,
        path="openai/deployments/{deployment}/images/edits?api-version={api_version}",
        auth=Auth(header="api-key", scheme=""),
    ),
}


class OpenAIImagesSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`profile`: which server answers at the base, by its name in `PROFILES`. `auth`: how it wants its key, where that
    is not its profile's way. `api_version`: what Azure's addresses end in. `trust_503`: a 503 means that nothing was
    started. `true_cfg_scale`: what a negative prompt is sent with to vLLM-Omni and SGLang, since FLUX.1 Kontext [dev]
    reads none without it; each step then costs two. 0 sends none, for a model with a default of its own. `health`:
    where the server tells how it is, beside its `/v1`, where that is not its profile's place; empty asks nothing."""

    profile: str = "kontext"
    auth: Auth | None = None
    api_version: str = "2025-04-01-preview"
    trust_503: bool = True
    true_cfg_scale: Annotated[float, Meta(ge=0, le=20)] = 2.0
    health: str | None = None

    def __post_init__(self) -> None:
        if self.health and not self.health.startswith("/"):
            raise ValueError(f'health must be a path such as "/health", or "" to ask nothing; got {self.health!r}')
        if self.profile not in PROFILES:
            raise ValueError(f"profile must be one of: {', '.join(PROFILES)}; got {self.profile!r}")


REFUSALS: dict[int, FailureKind] = {
    400: FailureKind.INVALID,
    401: FailureKind.CREDENTIAL,
    402: FailureKind.CREDIT,
    403: FailureKind.CREDENTIAL,
    404: FailureKind.UNSUPPORTED,
    405: FailureKind.UNSUPPORTED,
    413: FailureKind.UNSUPPORTED,
    415: FailureKind.UNSUPPORTED,
    422: FailureKind.INVALID,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.BUSY,
}
# OpenAI says these with 429 and with 400: no wait and no other request cures them.
CREDIT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
# OpenAI's own, and those of Azure's content filter, which proxies repeat with statuses of their own.
MODERATION_CODES = frozenset({"moderation_blocked", "content_policy_violation", "content_filter", "contentFilter"})
NOTES = (("not_applied", "not applied"), ("ignored", "ignored"))
MOST_NOTES = 20
MOST_NOTE = 200  # characters
MOST_WORK_S = 3600.0


class OpenAIImages(Struct, frozen=True):
    settings: OpenAIImagesSettings = OpenAIImagesSettings()

    @property
    def auth(self) -> Auth:
        return self.settings.auth or self.profile.auth

    @property
    def client_ids(self) -> bool:
        """False: the protocol has no ids; a repeated request is a second picture."""
        return False

    @property
    def profile(self) -> Profile:
        return PROFILES[self.settings.profile]

    def narrow(self, offer: Offer) -> Offer:
        """The offer without what this server cannot do, so that a quote says it before anything is sent. Raises
        `ValueError` for a model id that cannot stand in the server's address."""
        if "{deployment}" in self.profile.path and not replies.identifier(offer.wire_model):
            raise ValueError(
                f"models.{offer.model}.id: expected the name of a deployment (letters, digits, - _ .); "
                f"got {offer.wire_model!r}"
            )
        can, profile, dials = offer.abilities, self.profile, dict(self.profile.tuning)
        abilities = structs.replace(
            can,
            mask=can.mask and profile.mask is not None,
            seed=can.seed and "seed" in dials,
            guidance=can.guidance if "guidance" in dials else None,
            steps=can.steps if "steps" in dials else None,
            negative_prompt=can.negative_prompt and "negative_prompt" in dials,
            refused_tags=(*can.refused_tags, *profile.refused_tags),
        )
        return structs.replace(offer, abilities=abilities)

    def submit(self, attempt: Attempt) -> Next:
        """Raises `ValueError` for an edit that the offer cannot take: planning comes before."""
        form = Form(tuple(self._fields(attempt)), tuple(self._files(attempt)))
        headers = ((self.profile.edit_id, attempt.id),) if self.profile.edit_id else ()
        return Next(call=HttpCall(step=Step.SUBMIT, method="POST", url=self._url(attempt), headers=headers, body=form))

    def read(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome:
        del call  # there is only one
        if not 200 <= reply.status < 300:
            return self._refused(attempt, reply)
        body = replies.document(reply)
        if body is None:
            message = f"the server's answer (HTTP {reply.status}) is not JSON"
            return Failed(kind=FailureKind.LOST, fate=Fate.MAY_HAVE_RUN, message=message)
        answer = replies.tree(body)
        pictures = tuple(_pictures(answer))[: attempt.edit.n]
        if not pictures:
            message = "the server answered without a picture (data[].b64_json)"
            return Failed(kind=FailureKind.BAD_PICTURE, fate=Fate.RAN, message=message)
        worked_s = replies.seconds(answer.get("inference_time_s"), MOST_WORK_S)
        return Done(pictures=pictures, notes=tuple(_notes(answer))[:MOST_NOTES], worked_s=worked_s)

    def recover(self, attempt: Attempt, tried: int) -> Next | None:
        """None: the server keeps no tasks to ask for."""
        del attempt, tried
        return None

    def cancel(self, attempt: Attempt, call: HttpCall) -> HttpCall | None:
        """None: the protocol has no cancel."""
        del attempt, call
        return None

    @property
    def health_path(self) -> str | None:
        return self.profile.health if self.settings.health is None else self.settings.health or None

    def load(self, reply: HttpReply) -> Load | None:
        return load(reply)

    def _refused(self, attempt: Attempt, reply: HttpReply) -> Failed:
        told = replies.refusal(reply)
        if _is_moderation(told):
            message = "the server refused the request for its content"
            return Failed(kind=FailureKind.MODERATED, fate=Fate.NOT_RUN, message=message)
        message = f"the server of {attempt.offer.name} answered {told}"
        kind = FailureKind.CREDIT if told.code in CREDIT_CODES else REFUSALS.get(reply.status)
        if kind is None or (kind is FailureKind.BUSY and attempt.offer.billed and not self.settings.trust_503):
            return Failed(kind=_broken(attempt), fate=Fate.MAY_HAVE_RUN, message=message)
        return Failed(kind=kind, fate=Fate.NOT_RUN, message=message, retry_after=replies.retry_after(reply))

    def _url(self, attempt: Attempt) -> str:
        deployment, version = quote(attempt.offer.wire_model, safe=""), quote(self.settings.api_version, safe="")
        return self.profile.path.format(deployment=deployment, api_version=version)

    def _fields(self, attempt: Attempt) -> Iterator[tuple[str, str]]:
        edit, sent = attempt.edit, _sent(attempt)
        yield "model", attempt.offer.wire_model
        yield "prompt", edit.prompt
        yield "n", str(sent.n)
        size = str(sent.size) if sent.size else self.profile.auto_size
        if size and not isinstance(edit.size, ModelSize):
            yield "size", size
        if quality := dict(self.profile.quality).get(attempt.offer.tier):
            yield "quality", quality
        written = edit.output_format if edit.output_format in self.profile.formats else ImageFormat.PNG
        yield "output_format", written.value
        if written is not ImageFormat.PNG:
            yield "output_compression", str(edit.output_quality)
        yield from self.profile.always
        for dial, field in self.profile.tuning:
            value: int | float | str | None = getattr(sent, dial)
            if value is not None:
                yield field, str(value)
        if self.profile.true_cfg and sent.negative_prompt and self.settings.true_cfg_scale:
            yield self.profile.true_cfg, str(self.settings.true_cfg_scale)

    def _files(self, attempt: Attempt) -> Iterator[FormFile]:
        for number, picture in enumerate(attempt.edit.images):
            yield _file(self.profile.image_field, f"image-{number}", picture, self.profile.reads)
        if attempt.edit.mask and self.profile.mask:
            yield from _mask_files(self.profile.mask, attempt.edit.images[0], attempt.edit.mask)


def _sent(attempt: Attempt) -> Sent:
    fitted = fit(attempt.edit, attempt.offer)
    if isinstance(fitted, Fit):
        return fitted.sent
    raise ValueError(f"{attempt.offer.name} cannot take the edit: {fitted.field} {fitted.why}")


def _file(field: str, name: str, picture: Picture, reads: tuple[ImageFormat, ...] = tuple(ImageFormat)) -> FormFile:
    """Name and type are always said: servers refuse parts without them."""
    written = picture.format if picture.format in reads else ImageFormat.PNG
    upload = Upload(picture.digest, "part", png=written is not picture.format)
    return FormFile(field, f"{name}.{written.value}", written.media_type, upload)


def _mask_files(field: MaskField, first: Picture, mask: Picture) -> Iterator[FormFile]:
    if field.again:
        yield _file(field.again, "reference", first)
    if field.meaning is None:
        yield _file(field.name, "mask", mask)
    else:  # converted, and so a PNG whatever it was
        png = ImageFormat.PNG.media_type
        yield FormFile(field.name, "mask.png", png, Upload(mask.digest, "part", mask=field.meaning))


def _pictures(answer: replies.Tree) -> Iterator[Inline]:
    """Base64 only. A `url` is not followed: it names the server's own disk or network."""
    for item in map(replies.tree, replies.items(answer.get("data"))):
        if data := replies.text(item.get("b64_json")):
            yield Inline(data, seed=replies.seed(item.get("seed")))


def _notes(answer: replies.Tree) -> Iterator[str]:
    """What the engine says that it left undone, in one line each, without control characters."""
    for key, words in NOTES:
        for item in replies.items(answer.get(key)):
            line = " ".join(replies.text(item).split())
            if line:
                yield f"{words}: {''.join(filter(str.isprintable, line))[:MOST_NOTE]}"


def _broken(attempt: Attempt) -> FailureKind:
    """A server of ours that answers 500 has failed at the task. Behind a bill the same words prove nothing: a proxy
    says them of work that goes on."""
    return FailureKind.LOST if attempt.offer.billed else FailureKind.TASK_FAILED


def _is_moderation(told: replies.Refusal) -> bool:
    """A code alone says it; OpenAI's type is shared with a user's other mistakes and needs a second sign."""
    if told.code in MODERATION_CODES:
        return True
    return told.type == "image_generation_user_error" and "moderat" in f"{told.code} {told.words}".lower()
