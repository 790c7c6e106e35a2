"""What is asked for: the request's fields, and its pictures from wherever they are."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import BinaryIO, TypedDict, cast

import msgspec
from msgspec import Struct

from gateway.client.steps import File, Form, Json
from gateway.client.uploads import Upload

Picture = str | PathLike[str] | bytes | BinaryIO | Upload
"""A path, the picture itself, an open file, an upload; as text an address, a data URI or a reference (`edit_…/0`)."""

Pictures = Picture | Sequence[Picture]


class Fields(TypedDict, total=False):
    """The fields of `POST /v1/edits`. One that is None is left out. `extra`: by name, what a newer gateway takes."""

    mask: Picture | None
    size: str | None
    n: int | None
    seed: int | None
    output: Mapping[str, object] | None
    guidance: float | None
    steps: int | None
    negative_prompt: str | None
    safety: int | None
    flag_nsfw: bool | None
    enhance_prompt: bool | None
    options: Mapping[str, object] | None
    tier: str | None
    max_cost_usd: Decimal | str | None
    deadline_s: float | None
    policy: str | None
    models: Sequence[str] | None
    strict: bool | None
    webhook_url: str | None
    metadata: Mapping[str, str] | None
    extra: Mapping[str, object] | None


class Wish(Struct, frozen=True, kw_only=True):
    """A request whose pictures are read: files, or text for what the gateway fetches itself."""

    fields: dict[str, object]
    images: tuple[File | str, ...]
    mask: File | str | None = None


def wish_of(prompt: str, images: Pictures, fields: Fields) -> Wish:
    """Reads the pictures. Raises `OSError` for a file that cannot be read."""
    given = {name: value for name, value in fields.items() if value is not None and name not in ("mask", "extra")}
    mask = fields.get("mask")
    several = [images] if isinstance(images, str | bytes) or not isinstance(images, Sequence) else images
    return Wish(
        fields={"prompt": prompt, **given, **(fields.get("extra") or {})},
        images=tuple(opened(image) for image in several),
        mask=None if mask is None else opened(mask),
    )


_REFERENCE = re.compile(r"https?://|data:|edit_[\w-]+/\d+$|img_[\w-]+$")


def opened(picture: Picture) -> File | str:
    """Reads what is a file; text is for the gateway to fetch."""
    if isinstance(picture, Upload):
        return picture.id
    if isinstance(picture, str) and _REFERENCE.match(picture):
        return picture
    if isinstance(picture, bytes):
        return File(picture)
    if isinstance(picture, str | PathLike):
        return File(Path(picture).read_bytes())
    return File(picture.read())


# --- the body -------------------------------------------------------------------------------------------------------


def upload_of(picture: File | str) -> Json | Form:
    if isinstance(picture, File):
        return Form({}, (("image", picture),))
    return Json(msgspec.json.encode({"image": picture}))


def body_of(wish: Wish) -> Json | Form:
    """A form for files, since base64 is a third longer. A form takes its images as files or as text, never both: the
    files of such a mixture go as data URIs."""
    files = [image for image in wish.images if isinstance(image, File)]
    mixed = bool(files) and len(files) < len(wish.images)
    if mixed or not (files or isinstance(wish.mask, File)):
        return _json(wish)
    return _form(wish, files)


def _json(wish: Wish) -> Json:
    document = {**wish.fields, "images": [_text(image) for image in wish.images]}
    if wish.mask is not None:
        document["mask"] = _text(wish.mask)
    return Json(msgspec.json.encode(document))


def _form(wish: Wish, files: Sequence[File]) -> Form:
    fields: dict[str, str | list[str]] = {name: _field(value) for name, value in wish.fields.items()}
    parts = [("image", file) for file in files]
    if not files:
        fields["images"] = [cast("str", image) for image in wish.images]
    if isinstance(wish.mask, File):
        parts.append(("mask", wish.mask))
    elif wish.mask is not None:
        fields["mask"] = wish.mask
    return Form(fields, tuple(parts))


def _field(value: object) -> str:
    """Text as it is, everything else as its JSON."""
    plain = msgspec.to_builtins(value, str_keys=True)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


_MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


def _text(picture: File | str) -> str:
    if isinstance(picture, str):
        return picture
    kinds = (kind for start, kind in _MAGIC.items() if picture.content.startswith(start))
    return f"data:{next(kinds, 'image/png')};base64,{b64encode(picture.content).decode('ascii')}"
