"""The preview engine: the instructions that a few plain operations can follow, followed; the rest said, never faked.

A pure function of pixels, prompt, options and `VERSION`: no clock, no chance, no network. The same request gives the
same bytes, so a seed changes nothing.
"""

import msgspec
from PIL import Image, ImageOps

from gateway.local import pictures, scope, stamp
from gateway.local.engine import Applied, Ask, Rendered
from gateway.local.operations import Operation
from gateway.local.pictures import Format

VERSION = "1"
MOST_OPERATIONS = 8  # a prompt of 5,000 blurs must not cost 5,000 blurs; the rest is reported


class Preview:
    """The engine that the server runs."""

    name = "preview"
    model = "preview"

    def render(self, ask: Ask) -> Rendered:
        return render(ask.picture, ask.prompt, mask=ask.mask, size=ask.size, format=ask.format, quality=ask.quality)


def render(
    picture_bytes: bytes,
    prompt: str,
    *,
    mask: bytes | None = None,
    size: tuple[int, int] | None = None,
    format: Format = "png",  # noqa: A002 - the protocol's word
    quality: int | None = None,
) -> Rendered:
    """One edited picture. `size` in pixels fills exactly, cropping what overhangs; None keeps what the edit leaves.

    Raises:
        BadPicture: the picture or the mask is refused.
    """
    picture = pictures.decode(picture_bytes)
    weights = None if mask is None else pictures.mask_weights(mask, picture.size)
    # A lone surrogate is no text, and could not be sent back; "?" in its place would end a sentence.
    parts = scope.parse(prompt.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    picture, applied, not_applied = _apply(picture, parts, weights)
    if size is not None and size != picture.size:
        picture = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    # A text at the bottom was asked for and must not lie under the strip.
    low = any("bottom" in str(done.args.get("position")) for done in applied)
    marked = stamp.apply(picture, not_applied, len(applied), "top" if low else "bottom")
    note = pictures.Note(software=f"kontext preview {VERSION}", comment=stamp.MARK)
    data = pictures.encode(marked, format, quality, note)
    return Rendered(data, *marked.size, tuple(applied), tuple(not_applied))


def _apply(
    picture: Image.Image, parts: tuple[scope.Part, ...], weights: Image.Image | None
) -> tuple[Image.Image, list[Applied], list[str]]:
    applied: list[Applied] = []
    not_applied: list[str] = []
    for part in parts:
        painted = None
        if part.operation is not None and len(applied) < MOST_OPERATIONS:
            painted = _paint(picture, part.operation, weights)
        if part.operation is None or painted is None:
            not_applied.append(part.text)
            continue
        picture = painted
        applied.append(Applied(part.operation.name, _arguments(part.operation)))
    return picture, applied, not_applied


def _arguments(operation: Operation) -> dict[str, str | int | float]:
    """What was asked for; a dial that was left out is not named."""
    return {name: value for name, value in msgspec.structs.asdict(operation).items() if value is not None}


def _paint(picture: Image.Image, operation: Operation, weights: Image.Image | None) -> Image.Image | None:
    """Under a mask an operation sees the mask's bounding box alone, and shows through the mask."""
    if weights is None:
        return operation.paint(picture)
    box = weights.getbbox()
    if operation.reshapes or box is None:
        return None
    painted = operation.paint(picture.crop(box))
    if painted is None:
        return None
    result = picture.copy()
    result.paste(painted, box, weights.crop(box))
    return result
