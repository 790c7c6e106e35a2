"""What a caller sends: the request schema in our words, decoded at the edge with every bound in sight.

Unknown fields are refused. `None` means the offer's own documented default. The same struct is read from JSON and from
a multipart form, and the OpenAPI document is made from it.
"""

import re
from typing import Annotated, Any, Literal, NoReturn, TypeVar, cast

import msgspec
from litestar import Request
from msgspec import Meta, Struct, field

from adapters.contract import AutoSize, ImageFormat, ModelSize, Pixels, Ratio, SizeWish, Tier
from adapters.options import Options
from gateway.api.forms import FormPart, form_parts
from gateway.api.problems import ProblemError
from gateway.choices import choices
from gateway.money import micro_from_usd

AnyRequest = Request[Any, Any, Any]
_T = TypeVar("_T")
Text = Annotated[str, Meta(min_length=2, max_length=3000)]
REFERENCE = "an http(s) URL, a data URI, img_… of an upload, or edit_…/0: a picture that an edit delivered"
Reference = Annotated[str, Meta(min_length=1, description=REFERENCE)]
Label = Annotated[str, Meta(min_length=1, max_length=64)]


class OutputRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the pictures are handed over. `ttl_s`: how long they can be fetched; `upload_url`: where one is PUT."""

    format: ImageFormat = ImageFormat.PNG
    quality: Annotated[int, Meta(ge=20, le=99)] = 95
    delivery: Literal["url", "base64", "data_uri"] = "url"
    upload_url: str | None = None
    ttl_s: Annotated[int, Meta(ge=60, le=30 * 86400)] | None = None


class EditRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One edit. `tier` left out is the policy's; `models` replaces the policy's offers by these (`provider/model`)."""

    prompt: Text
    images: Annotated[tuple[Reference, ...], Meta(min_length=1, max_length=16)]
    mask: Reference | None = None
    size: Annotated[str, Meta(description="auto, model, a ratio such as 16:9, or pixels such as 1392x752")] = "auto"
    n: Annotated[int, Meta(ge=1, le=20)] = 1
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    output: OutputRequest = OutputRequest()
    guidance: Annotated[float, Meta(ge=0, le=50)] | None = None
    steps: Annotated[int, Meta(ge=1, le=100)] | None = None
    negative_prompt: Text | None = None
    safety: Annotated[int, Meta(ge=0, le=6, description="0 is strictest, 6 most permissive")] | None = None
    flag_nsfw: bool = False
    enhance_prompt: bool | None = None
    options: Options = Options()
    tier: Tier | None = None
    max_cost_usd: Annotated[str, Meta(description='decimal dollars for all pictures and attempts, "0.10"')] | None = (
        None
    )
    deadline_s: Annotated[float, Meta(gt=0, le=900)] = 120.0
    policy: Label | None = None
    models: Annotated[tuple[str, ...], Meta(min_length=1, max_length=32)] | None = None
    strict: bool = False
    webhook_url: (
        Annotated[str, Meta(min_length=1, max_length=2048, description="an address under an endpoint of /v1/webhooks")]
        | None
    ) = None
    metadata: Annotated[dict[Label, Annotated[str, Meta(max_length=512)]], Meta(max_length=16)] = field(
        default_factory=dict[str, str]
    )


class Form(Struct, frozen=True):
    """A multipart request: the fields, and the pictures that came as files instead of references."""

    request: EditRequest
    images: tuple[bytes, ...] = ()
    mask: bytes | None = None


def invalid(field: str, detail: str, expected: str) -> NoReturn:
    raise ProblemError("invalid", f"{field}: {detail}", field=field, expected=expected)


async def read_body(request: AnyRequest) -> Form:
    """The body by its content type. The application's cap on bodies is enforced while they are read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return read_form(await form_parts(request))
    if kind in ("application/json", ""):
        return Form(read_json(await whole(request)))
    expected = "application/json or multipart/form-data"
    raise ProblemError("unsupported_media_type", f"{kind[:60]!r} is not taken here", expected=expected)


async def whole(request: AnyRequest) -> bytes:
    """The body; the framework's own `body()` would keep it until the answer is out."""
    return b"".join([chunk async for chunk in request.stream()])


def read_json(body: bytes) -> EditRequest:
    """The request of a JSON body."""
    return checked(decoded(body, EditRequest))


def decoded(body: bytes, kind: type[_T]) -> _T:
    """Malformed JSON is a 400 problem, a wrong field a 422, both naming the place."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        _refuse_field(error, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        expected = "one JSON object in UTF-8; GET /schema shows its fields"
        raise ProblemError("malformed", f"the body is not JSON: {error}", expected=expected) from None
    except RecursionError:
        raise ProblemError("malformed", "the body is nested too deeply", expected="at most a few levels") from None


def converted(document: dict[str, object], kind: type[_T], *, strict: bool) -> _T:
    """A decoded document as a request. `strict` False: its values came as text, as a form's do."""
    try:
        return msgspec.convert(document, kind, strict=strict)
    except msgspec.ValidationError as error:
        _refuse_field(error, kind)


_PATH = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]+)`")


def _refuse_field(error: msgspec.ValidationError, kind: type) -> NoReturn:
    """msgspec's words, which hold the expectation but never the value, with the field in front."""
    text = str(error)
    place = _PATH.search(text)
    path = place.group(1) if place else ""
    words = _PATH.sub("", text)
    if unknown := _UNKNOWN.search(words):
        path = f"{path}.{unknown.group(1)}".lstrip(".")
        invalid(path, "there is no such field", "leave it out; GET /schema lists the fields")
    if missing := re.search(r"missing required field `([^`]+)`", words):
        path = f"{path}.{missing.group(1)}".lstrip(".")
        invalid(path, "is required", f"send {path}")
    allowed = choices(kind, path)
    expected = f"one of {', '.join(allowed)}" if allowed else words.removeprefix("Expected ").partition(", got")[0]
    invalid(path or "the body", words[:1].lower() + words[1:], expected)


def checked(request: EditRequest) -> EditRequest:
    """The rules that a type cannot say."""
    for name in ("prompt", "negative_prompt"):
        text = getattr(request, name)
        if text is not None and any(
            (ord(char) < 32 and char not in "\n\r\t") or 0xD800 <= ord(char) < 0xE000 for char in text
        ):
            invalid(name, "holds control characters", "plain text")
    if request.output.upload_url is not None:
        _check_upload(request.output.upload_url, request.n)
    size_wish(request.size)
    max_cost_micro(request)
    return request


def _check_upload(url: str, n: int) -> None:
    if n > 1:
        invalid("output.upload_url", "one address can take one picture", "n = 1, or fetch the pictures by their URLs")
    if not url.startswith("https://") or len(url) > 2048:
        invalid("output.upload_url", "is not an https address of at most 2048 characters", "a presigned https URL")


_SIZE = re.compile(r"(\d{1,4})([x:])(\d{1,4})")


def size_wish(text: str) -> SizeWish:
    """`auto`, `model`, `16:9` or `1392x752` as a wish."""
    expected = "auto, model, a ratio such as 16:9, or pixels such as 1392x752"
    if text in ("auto", "model"):
        return AutoSize() if text == "auto" else ModelSize()
    match = _SIZE.fullmatch(text)
    if match is None:
        invalid("size", f"{text[:20]!r} is not a size", expected)
    width, height = int(match.group(1)), int(match.group(3))
    if width == 0 or height == 0 or not 1 / 8 <= width / height <= 8:
        invalid("size", "a side is 0, or one is over eight times the other", expected)
    if match.group(2) == ":":
        return Ratio(width, height)
    if not (64 <= width <= 8192 and 64 <= height <= 8192):
        invalid("size", "pixels are out of range", "both sides from 64 to 8192")
    return Pixels(width, height)


def max_cost_micro(request: EditRequest) -> int | None:
    """The request's price cap in micro-dollars."""
    if request.max_cost_usd is None:
        return None
    try:
        return micro_from_usd(request.max_cost_usd)
    except ValueError as error:
        invalid("max_cost_usd", str(error), 'decimal dollars in quotes, such as "0.10"')


# --- multipart ------------------------------------------------------------------------------------------------------

_IMAGE = re.compile(r"images?(\[\d*\])?")
_TEXT_FIELDS = (
    "prompt", "negative_prompt", "size", "max_cost_usd", "policy", "tier", "webhook_url", "mask", "model", "user",
    "safety_identifier",
)  # fmt: skip


class Parts(Struct, frozen=True):
    """A multipart form, taken apart: its text as one document, and the pictures that came as files."""

    document: dict[str, object]
    images: tuple[bytes, ...] = ()
    mask: bytes | None = None

    def with_pictures(self, document: dict[str, object]) -> dict[str, object]:
        """The document with a place for each picture that came as a file."""
        for name, came in (("images", bool(self.images)), ("mask", self.mask is not None)):
            if came and name in document:
                invalid(name, "came as a file and as a reference", "one or the other")
        if not self.images:
            return document
        return {**document, "images": [f"part:{index}" for index in range(len(self.images))]}


def read_form(parts: list[FormPart]) -> Form:
    """The request of a multipart form: pictures as files (`image`, `mask`), the fields as text, objects as JSON text,
    with dots (`output.format`) or with brackets (`metadata[campaign]`)."""
    taken = taken_apart(parts)
    request = converted(taken.with_pictures(taken.document), EditRequest, strict=False)
    return Form(checked(request), taken.images, taken.mask)


def taken_apart(parts: list[FormPart]) -> Parts:
    document: dict[str, object] = {}
    images: list[bytes] = []
    mask: bytes | None = None
    for name, value in parts:
        if isinstance(value, str):
            _place(document, name, value)
        elif _IMAGE.fullmatch(name):
            images.append(value)
        elif name == "mask" and mask is None:
            mask = value
        else:
            invalid(name, "a file came where none is taken", "pictures as image (several times) and mask")
    return Parts(document, tuple(images), mask)


def _place(document: dict[str, object], name: str, text: str) -> None:
    """Puts a text field where its name says: `models[]` is one of several, the inner names are keys."""
    several = name.endswith("[]")
    if _IMAGE.fullmatch(name):
        name, several = "images", True
    *outer, last = _keys(name.removesuffix("[]"))
    for key in outer:
        inner = document.setdefault(key, {})
        if not isinstance(inner, dict):
            invalid(name, f"{key} came as one value and as parts of one", "one or the other")
        document = cast("dict[str, object]", inner)
    before = document.get(last, [] if several else None)
    if before is not None and not (several and isinstance(before, list)):
        invalid(name, "came twice", "it once, or name[] for several values of one list")
    value = text if name in _TEXT_FIELDS or several else _json_or_text(name, text)
    document[last] = [*cast("list[object]", before), value] if several else value


def _keys(name: str) -> list[str]:
    """`output.format` and `output[format]`; a key in brackets may hold dots."""
    return name.replace("]", "").split("[") if "[" in name else name.split(".")


def _json_or_text(name: str, text: str) -> object:
    """Objects and lists come as JSON text; everything else is converted by its field's type."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        invalid(name, "is not JSON", "a JSON object as text, or fields with dots such as output.format")
