"""The OpenAI images protocol: a request's fields to an `Ask`, a rendered picture to the answer.

Multipart and JSON meet in one struct, so both know the same fields and limits. What this server knows of but does not
follow is named in the answer's `ignored`; a field that it does not know is refused.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.local import pictures
from gateway.local.engine import Ask, Engine, Rendered, Steered
from gateway.local.problem import Problem

MAX_PICTURES = 4
MAX_STEPS = 50


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that are not pictures."""

    prompt: Annotated[str, Meta(min_length=1, max_length=32_000)]
    model: str | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_PICTURES)] = 1
    size: Annotated[str, Meta(max_length=20)] = "auto"
    output_format: pictures.Format = "png"
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    response_format: Literal["b64_json"] | None = None
    stream: Literal[False] = False
    # Known; an engine that does not follow one says so in the answer:
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    quality: str | None = None
    background: str | None = None
    input_fidelity: str | None = None
    moderation: str | None = None
    partial_images: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    negative_prompt: Annotated[str, Meta(max_length=32_000)] | None = None
    guidance_scale: Annotated[float, Meta(ge=0, le=100)] | None = None
    true_cfg_scale: Annotated[float, Meta(ge=1, le=100)] | None = None
    num_inference_steps: Annotated[int, Meta(ge=1, le=MAX_STEPS)] | None = None


IGNORED = (
    "seed", "quality", "background", "input_fidelity", "moderation", "partial_images", "user", "safety_identifier",
    "negative_prompt", "guidance_scale", "true_cfg_scale", "num_inference_steps",
)  # fmt: skip


class PictureRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    image_url: str


class JsonWish(Wish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    images: list[PictureRef]
    mask: PictureRef | None = None


class Order(msgspec.Struct, frozen=True):
    """A request understood; `data_uris` are still to be decoded, which belongs in a worker thread."""

    wish: Wish
    pictures: tuple[bytes | str, ...]
    mask: bytes | str | None

    def __repr__(self) -> str:
        return f"Order({len(self.pictures)} pictures, n={self.wish.n}, size={self.wish.size})"


_AT = re.compile(r"at `\$\.(\w+)|field `(\w+)`")


def from_json(body: bytes) -> Order:
    """Raises Problem, as do all below, with the field and what to send instead."""
    try:
        wish = msgspec.json.decode(body, type=JsonWish)
    except msgspec.ValidationError as error:
        raise _wrong_field(error) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Problem(400, "the body is not valid JSON", code="invalid_json") from None
    mask = None if wish.mask is None else wish.mask.image_url
    return _order(wish, tuple(ref.image_url for ref in wish.images), mask)


def from_form(texts: Mapping[str, str], files: Mapping[str, list[bytes]]) -> Order:
    """`files` by field name: `image` (or `image[]`, which the SDK sends for a list) and `mask`."""
    for name in files:
        if name not in {"image", "image[]", "mask"}:
            raise Problem(400, f"no file is expected in `{name}`; send `image` and `mask`", param=name)
    for name in ("image", "image[]", "mask"):
        if name in texts:
            raise Problem(400, f"`{name}` must be a file; send addresses as JSON `images`", param=name)
    masks = files.get("mask", [])
    if len(masks) > 1:
        raise Problem(400, "send one `mask`", param="mask")
    try:
        wish = msgspec.convert({name: value for name, value in texts.items() if value != ""}, Wish, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong_field(error) from None
    return _order(wish, (*files.get("image", []), *files.get("image[]", [])), masks[0] if masks else None)


def _wrong_field(error: msgspec.ValidationError) -> Problem:
    found = _AT.search(str(error))
    return Problem(400, str(error), param=(found[1] or found[2]) if found else None, code="invalid_value")


def _order(wish: Wish, sent: tuple[bytes | str, ...], mask: bytes | str | None) -> Order:
    if not sent:
        raise Problem(400, "send a picture: a file in `image`, or JSON `images` with a data URI", param="image")
    if len(sent) > 1:
        raise Problem(400, f"{len(sent)} pictures were sent; this engine edits exactly one", param="image")
    if not wish.prompt.strip():
        raise Problem(400, "the prompt is blank; say what should change", param="prompt", code="invalid_value")
    return Order(wish, sent, mask)


def check_model(wish: Wish, engine: Engine) -> None:
    if wish.model not in {None, engine.model}:
        raise Problem(404, f"this server has the model `{engine.model}` alone", param="model", code="model_not_found")


def ask(order: Order, edit: str = "") -> Ask:
    """Decodes the data URIs; for a worker thread."""
    wish = order.wish
    return Ask(
        picture=_bytes(order.pictures[0], "image"),
        prompt=order.wish.prompt,
        mask=None if order.mask is None else _bytes(order.mask, "mask"),
        size=_size(order.wish.size),
        format=order.wish.output_format,
        quality=order.wish.output_compression,
        id=edit,
        count=wish.n,
        seed=wish.seed,
        guidance=wish.guidance_scale,
        steps=wish.num_inference_steps,
        negative_prompt=wish.negative_prompt,
        true_cfg_scale=wish.true_cfg_scale,
    )


def _bytes(sent: bytes | str, param: str) -> bytes:
    if isinstance(sent, bytes):
        return sent
    head, comma, content = sent.partition(",")
    if not head.startswith("data:"):
        raise Problem(400, "addresses are not fetched here; send the picture as a data URI", param=param)
    if not comma or not head.endswith(";base64"):
        raise Problem(400, "the data URI must be `data:image/png;base64,…`", param=param)
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, "the data URI's base64 is damaged", param=param) from None


_PIXELS = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


def _size(asked: str) -> tuple[int, int] | None:
    if asked == "auto":
        return None
    pixels = _PIXELS.fullmatch(asked)
    size = (int(pixels[1]), int(pixels[2])) if pixels else None
    if size is None or not pictures.allowed(size):
        raise Problem(
            400,
            f"`size` must be `auto` or WIDTHxHEIGHT, each side {pictures.MIN_SIDE} to {pictures.MAX_SIDE} and at most"
            f" {pictures.MAX_PIXELS:,} pixels in all",
            param="size",
            code="invalid_value",
        )
    return size


def answer(order: Order, rendered: Rendered, engine: Engine, created: int) -> bytes:
    """The response's JSON. Where the engine has no chance in it, all `n` pictures are the same one."""
    body = {
        "created": created,
        "data": _data(order.wish.n, rendered),
        "output_format": order.wish.output_format,
        "size": f"{rendered.width}x{rendered.height}",
        "engine": engine.name,
        "model": engine.model,
        "applied": rendered.applied,
        "not_applied": rendered.not_applied,
        "ignored": ignored(order.wish, engine),
        "billable": False,
        **rendered.facts,
    }
    return msgspec.json.encode(body)


def _data(count: int, rendered: Rendered) -> list[dict[str, str | int]]:
    files = (rendered.data, *rendered.more) if rendered.seeds else (rendered.data,)
    pictures: list[dict[str, str | int]] = [{"b64_json": base64.b64encode(file).decode("ascii")} for file in files]
    for picture, seed in zip(pictures, rendered.seeds, strict=False):
        picture["seed"] = seed
    return pictures if rendered.seeds else pictures * count


def ignored(wish: Wish, engine: Engine) -> list[str]:
    follows: frozenset[str] = engine.follows if isinstance(engine, Steered) else frozenset()
    names = [name for name in IGNORED if getattr(wish, name) is not None and name not in follows]
    if wish.output_compression is not None and wish.output_format == "png":
        names.append("output_compression")
    return names
