"""An OpenAI-shaped request becomes an `EditRequest`; what it asks beyond that is an adjustment or a refusal.

OpenAI's own fields are in `ImageEditRequest`. `prompt`, `n` and `size` mean the same in both, and every other field of
`EditRequest` may come beside them (in the SDKs: `extra_body`): they are decoded and judged where every edit's are.
"""

from collections.abc import Callable
from typing import Annotated, Literal, cast

from msgspec import Meta, Struct

from adapters.contract import Adjustment, ImageFormat, Tier
from gateway.api.forms import form_parts
from gateway.api.openai.models import fields_of
from gateway.api.problems import ProblemError
from gateway.api.requests import (
    AnyRequest,
    EditRequest,
    Form,
    Parts,
    checked,
    converted,
    decoded,
    invalid,
    taken_apart,
    whole,
)
from gateway.settings import Settings

Fields = dict[str, object]
FileId = Annotated[str, Meta(pattern="^(img|edit)_")]
Name = Annotated[str, Meta(min_length=1, max_length=512)]


class ImageReference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture by its address, as a data URI, or by the id of one that is here: `img_…`, or `edit_…/0`."""

    image_url: str | None = None
    file_id: FileId | None = None

    def __post_init__(self) -> None:
        if (self.image_url is None) == (self.file_id is None):
            raise ValueError("exactly one of image_url and file_id names a picture")

    @property
    def text(self) -> str:
        return self.image_url or self.file_id or ""


Picture = ImageReference | str


class ImageEditRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's fields that are not an edit's own under the same name and meaning. In a form, pictures are files named
    `image` or `image[]`. `model` is an offer, a tier, `policy:NAME` or an alias; without one, a policy chooses."""

    model: Name | None = None
    images: Annotated[tuple[Picture, ...], Meta(min_length=1, max_length=16)] | None = None
    mask: Picture | None = None
    quality: Literal["auto", "low", "medium", "standard", "high", "xhigh", "max"] = "auto"
    background: Literal["auto", "opaque", "transparent"] = "auto"
    input_fidelity: Literal["low", "high"] | None = None
    moderation: Literal["auto", "low"] = "auto"
    output_format: ImageFormat | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    stream: bool = False
    partial_images: Annotated[int, Meta(ge=0, le=3)] = 0
    user: Name | None = None
    safety_identifier: Name | None = None


class ImageEdit(Struct, frozen=True):
    """A request, translated. `adjustments` are those of the translation; an offer's own come with the plan."""

    form: Form
    stream: bool
    adjustments: tuple[Adjustment, ...]


async def read_image_edit(request: AnyRequest, settings: Settings) -> ImageEdit:
    """Raises a problem that names the field, in the words of whichever request holds it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return translated(taken_apart(await form_parts(request)), settings, strict=False)
    if kind in ("application/json", ""):
        return translated(Parts(decoded(await whole(request), dict[str, object])), settings, strict=True)
    expected = "multipart/form-data or application/json"
    raise ProblemError("unsupported_media_type", f"{kind[:60]!r} is not taken here", expected=expected)


def translated(parts: Parts, settings: Settings, *, strict: bool) -> ImageEdit:
    given = {name: value for name, value in parts.document.items() if value is not None}
    own = ImageEditRequest.__struct_fields__
    asked = converted({name: given[name] for name in given if name in own}, ImageEditRequest, strict=strict)
    fields = {name: given[name] for name in given if name not in own}
    _add(fields, fields_of(asked.model, settings))
    adjustments: list[Adjustment] = []
    for translation in TRANSLATIONS:
        added, adjustment = translation(asked, fields)
        _add(fields, added)
        adjustments += [adjustment] if adjustment else []
    request = checked(converted(parts.with_pictures(fields), EditRequest, strict=strict))
    if request.strict and adjustments:
        first = adjustments[0]
        invalid(first.field, f"strict: {first.why}", "leave it out, or strict")
    return ImageEdit(Form(request, parts.images, parts.mask), asked.stream, tuple(adjustments))


def _add(fields: Fields, added: Fields) -> None:
    """What two fields say must be the same, or one of them would be dropped."""
    for name, value in added.items():
        there = fields.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            _add(cast("Fields", there), cast("Fields", value))
        elif there not in (None, value):
            invalid(name, "is said twice, and not alike", f"one of them; the other came to {value!s:.40}")
        else:
            fields[name] = value


# --- field by field -------------------------------------------------------------------------------------------------

Translation = tuple[Fields, Adjustment | None]
"""What a field adds to the edit's request, and what of it could not be kept."""

QUALITIES: dict[str, Tier] = {
    "low": Tier.DRAFT,
    "medium": Tier.STANDARD,
    "standard": Tier.STANDARD,
    "high": Tier.PREMIUM,
    "xhigh": Tier.PREMIUM,
    "max": Tier.PREMIUM,
}


def _pictures(asked: ImageEditRequest, _: Fields) -> Translation:
    added: Fields = {}
    if asked.images is not None:
        added["images"] = [_text(image) for image in asked.images]
    if asked.mask is not None:
        added["mask"] = _text(asked.mask)
    return added, None


def _text(picture: Picture) -> str:
    return picture if isinstance(picture, str) else picture.text


def _quality(asked: ImageEditRequest, fields: Fields) -> Translation:
    """A floor, as a tier is, where nothing else says which model or tier."""
    if asked.quality == "auto":
        return {}, None
    tier = QUALITIES[asked.quality].value
    if "models" not in fields and "tier" not in fields:
        return {"tier": tier}, None
    if fields.get("tier") == tier:
        return {}, None
    why = "the model or tier is named, and decides; quality chooses a tier where neither is"
    return {}, Adjustment("quality", asked.quality, None, why)


def _background(asked: ImageEditRequest, _: Fields) -> Translation:
    if asked.background == "transparent":
        invalid("background", "no model here makes transparent backgrounds", "opaque or auto")
    if asked.background == "auto":
        return {}, None
    return {}, Adjustment(
        "background", "opaque", None, "no model has such a dial; FLUX.1 Kontext paints opaque pictures"
    )


def _input_fidelity(asked: ImageEditRequest, _: Fields) -> Translation:
    if asked.input_fidelity is None:
        return {}, None
    why = "no model has such a dial; FLUX.1 Kontext always works from the whole input"
    return {}, Adjustment("input_fidelity", asked.input_fidelity, None, why)


def _moderation(asked: ImageEditRequest, _: Fields) -> Translation:
    if asked.moderation == "auto":
        return {}, None
    why = "never laxer by this name: the model's own default stands; `safety` (0 to 6) chooses"
    return {}, Adjustment("moderation", asked.moderation, None, why)


def _partial_images(asked: ImageEditRequest, _: Fields) -> Translation:
    if asked.partial_images == 0:
        return {}, None
    return {}, Adjustment("partial_images", str(asked.partial_images), "0", "no provider shows pictures half made")


def _output(asked: ImageEditRequest, fields: Fields) -> Translation:
    """The picture is inside the answer unless the caller says otherwise, as OpenAI's newer models have it."""
    output: Fields = {}
    if asked.output_format is not None:
        output["format"] = asked.output_format.value
    if asked.response_format is not None:
        output["delivery"] = DELIVERIES[asked.response_format]
    elif "delivery" not in _inner(fields, "output"):
        output["delivery"] = DELIVERIES["b64_json"]
    wanted = asked.output_compression
    if wanted is None:
        return {"output": output}, None
    quality = min(max(wanted, 20), 99)
    output["quality"] = quality
    if asked.output_format in (None, ImageFormat.PNG):
        why = "PNG loses nothing and has no such dial; ask for jpeg or webp"
        return {"output": output}, Adjustment("output_compression", str(wanted), None, why)
    why = "outside 20 to 99"
    changed = Adjustment("output_compression", str(wanted), str(quality), why) if quality != wanted else None
    return {"output": output}, changed


DELIVERIES = {"b64_json": "base64", "url": "url"}


def _people(asked: ImageEditRequest, _: Fields) -> Translation:
    """Kept beside the edit, where a policy can keep one user's edits together and usage can sum them up."""
    said = {"user": asked.user, "safety_identifier": asked.safety_identifier}
    named = {name: text for name, text in said.items() if text is not None}
    return ({"metadata": named} if named else {}), None


def _inner(fields: Fields, name: str) -> Fields:
    inner = fields.get(name)
    return cast("Fields", inner) if isinstance(inner, dict) else {}


TRANSLATIONS: tuple[Callable[[ImageEditRequest, Fields], Translation], ...] = (
    _pictures,
    _quality,
    _background,
    _input_fidelity,
    _moderation,
    _partial_images,
    _output,
    _people,
)

OWN_NAMES: dict[str, str] = {
    "images": "image",
    "output.format": "output_format",
    "output.quality": "output_compression",
    "output.delivery": "response_format",
    "metadata.user": "user",
    "metadata.safety_identifier": "safety_identifier",
}
"""Fields of an edit's request by the names that an OpenAI-shaped one has for them."""
