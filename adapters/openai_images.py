"""The OpenAI images protocol, spoken to servers of our own: one multipart request, one answer that holds the pictures.

Several servers speak it, each with its own accent; an accent is a `Profile`, a row of data, and never a branch in the
code. Nobody bills for these servers and they keep no tasks: a lost answer is a failure, with nothing to look up.
"""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, structs

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
    ModelSize,
    Next,
    Offer,
    Outcome,
    Picture,
    Step,
    Upload,
)
from adapters.fit import Fit, Sent, fit

Dial = Literal["seed", "guidance", "steps", "negative_prompt"]


class Profile(Struct, frozen=True, kw_only=True):
    """One server's accent. `image_field`: `image[]` is taken by every known server, even for one picture. `masks`: its
    masks mean what ours mean; else an edit with a mask is refused, since a mask read wrongly edits the wrong place.
    `auto_size`: what keeps the first picture's size; None where leaving the size out does. `formats`: those that it can
    write; another is asked for as PNG, and the gateway writes it. `always`: fields of every request. `refused_tags`:
    what it reads in a prompt as settings of its engine. `tuning`: our dial to the server's field, for what goes beyond
    OpenAI's own fields; a dial that is not here is never sent."""

    path: str = "images/edits"
    image_field: str = "image[]"
    mask_field: str = "mask"
    masks: bool = True
    auto_size: str | None = "auto"
    formats: tuple[ImageFormat, ...] = tuple(ImageFormat)
    always: tuple[tuple[str, str], ...] = ()
    refused_tags: tuple[str, ...] = ()
    tuning: tuple[tuple[Dial, str], ...] = ()


DIFFUSERS: tuple[tuple[Dial, str], ...] = (
    ("seed", "seed"),
    ("guidance", "guidance_scale"),
    ("steps", "num_inference_steps"),
    ("negative_prompt", "negative_prompt"),
)
BASE64 = (("response_format", "b64_json"),)
PROFILES: dict[str, Profile] = {
    "kontext": Profile(tuning=DIFFUSERS),
    # Its inpainting takes other fields (`mask_image`, `reference_image`) and another pipeline than the one it serves.
    "vllm_omni": Profile(masks=False, always=BASE64, tuning=DIFFUSERS),
    # It takes a mask and ignores it. No document that we have names its tuning fields for edits, so none is sent.
    "sglang": Profile(masks=False, auto_size=None, always=BASE64),
    # It reads a mask's brightness and not its alpha. Seed and steps go through a tag in the prompt and nowhere else.
    "sd_server": Profile(
        masks=False,
        auto_size=None,
        formats=(ImageFormat.PNG, ImageFormat.JPEG),
        refused_tags=("<sd_cpp_extra_args", "<lora:"),
    ),
}


class OpenAIImagesSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`profile`: which server answers at the base, by its name in `PROFILES`."""

    profile: str = "kontext"
    auth: Auth = Auth()

    def __post_init__(self) -> None:
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
NOTES = (("not_applied", "not applied"), ("ignored", "ignored"))
MOST_NOTES = 20
MOST_NOTE = 200  # characters


class OpenAIImages(Struct, frozen=True):
    settings: OpenAIImagesSettings = OpenAIImagesSettings()

    @property
    def auth(self) -> Auth:
        return self.settings.auth

    @property
    def client_ids(self) -> bool:
        """False: the protocol has no ids; a repeated request is a second picture."""
        return False

    @property
    def profile(self) -> Profile:
        return PROFILES[self.settings.profile]

    def narrow(self, offer: Offer) -> Offer:
        """The offer without what this server cannot do, so that a quote says it before anything is sent."""
        can, profile, dials = offer.abilities, self.profile, dict(self.profile.tuning)
        abilities = structs.replace(
            can,
            mask=can.mask and profile.masks,
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
        return Next(call=HttpCall(step=Step.SUBMIT, method="POST", url=self.profile.path, body=form))

    def read(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome:
        del call  # there is only one
        if not 200 <= reply.status < 300:
            return _refused(attempt, reply)
        body = replies.document(reply)
        if body is None:
            message = f"the server's answer (HTTP {reply.status}) is not JSON"
            return Failed(kind=FailureKind.LOST, fate=Fate.MAY_HAVE_RUN, message=message)
        answer = replies.tree(body)
        pictures = tuple(_pictures(answer))[: attempt.edit.n]
        if not pictures:
            message = "the server answered without a picture (data[].b64_json)"
            return Failed(kind=FailureKind.BAD_PICTURE, fate=Fate.RAN, message=message)
        return Done(pictures=pictures, notes=tuple(_notes(answer))[:MOST_NOTES])

    def recover(self, attempt: Attempt, tried: int) -> Next | None:
        """None: the server keeps no tasks to ask for."""
        del attempt, tried
        return None

    def cancel(self, attempt: Attempt, call: HttpCall) -> HttpCall | None:
        """None: the protocol has no cancel."""
        del attempt, call
        return None

    def _fields(self, attempt: Attempt) -> Iterator[tuple[str, str]]:
        edit, sent = attempt.edit, _sent(attempt)
        yield "model", attempt.offer.wire_model
        yield "prompt", edit.prompt
        yield "n", str(sent.n)
        size = str(sent.size) if sent.size else self.profile.auto_size
        if size and not isinstance(edit.size, ModelSize):
            yield "size", size
        written = edit.output_format if edit.output_format in self.profile.formats else ImageFormat.PNG
        yield "output_format", written.value
        if written is not ImageFormat.PNG:
            yield "output_compression", str(edit.output_quality)
        yield from self.profile.always
        for dial, field in self.profile.tuning:
            value: int | float | str | None = getattr(sent, dial)
            if value is not None:
                yield field, str(value)

    def _files(self, attempt: Attempt) -> Iterator[FormFile]:
        for number, picture in enumerate(attempt.edit.images):
            yield _file(self.profile.image_field, f"image-{number}", picture)
        if attempt.edit.mask:
            yield _file(self.profile.mask_field, "mask", attempt.edit.mask)


def _sent(attempt: Attempt) -> Sent:
    fitted = fit(attempt.edit, attempt.offer)
    if isinstance(fitted, Fit):
        return fitted.sent
    raise ValueError(f"{attempt.offer.name} cannot take the edit: {fitted.field} {fitted.why}")


def _file(field: str, name: str, picture: Picture) -> FormFile:
    """Name and type are always said: servers refuse parts without them."""
    upload = Upload(picture.digest, "part")
    return FormFile(field, f"{name}.{picture.format.value}", picture.format.media_type, upload)


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


def _refused(attempt: Attempt, reply: HttpReply) -> Failed:
    told = replies.refusal(reply)
    if _is_moderation(told):
        message = "the server refused the request for its content"
        return Failed(kind=FailureKind.MODERATED, fate=Fate.NOT_RUN, message=message)
    kind = REFUSALS.get(reply.status, FailureKind.TASK_FAILED)
    fate = Fate.NOT_RUN if reply.status in REFUSALS else Fate.MAY_HAVE_RUN
    message = f"the server of {attempt.offer.name} answered {told}"
    return Failed(kind=kind, fate=fate, message=message, retry_after=replies.retry_after(reply))


def _is_moderation(told: replies.Refusal) -> bool:
    """OpenAI's code alone says it; its type is shared with a user's other mistakes and needs a second sign."""
    if told.code == "moderation_blocked":
        return True
    return told.type == "image_generation_user_error" and "moderat" in f"{told.code} {told.words}".lower()
