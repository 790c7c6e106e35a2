"""The marks that no preview leaves without: a badge that says what it is, and a strip that says what was left out."""

from collections.abc import Sequence
from typing import Literal

from PIL import Image, ImageDraw

from gateway.local import lettering, pictures

MARK = "PREVIEW – not AI"

_PAPER, _INK, _AMBER = (17, 24, 39), (255, 255, 255), (252, 211, 77)
_STRIP_ALPHA = 217
_MOST_LINES = 4

Box = tuple[int, int, int, int]


def apply(
    picture: Image.Image, not_applied: Sequence[str], applied: int, strip: Literal["top", "bottom"] = "bottom"
) -> Image.Image:
    """A copy with the badge at the top left and, for what was not applied, the strip along the bottom (or the top).

    Both lie inside the picture, which so keeps its size; the strip takes at most a third of its height.
    """
    marked = picture.copy()
    if not_applied:
        _strip(marked, not_applied, applied, strip)
    marked.paste(badge(picture.size), _corner(picture.size))
    return marked


def _corner(size: tuple[int, int]) -> tuple[int, int]:
    return (min(size) // 50, min(size) // 50)


def badge(size: tuple[int, int]) -> Image.Image:
    """The badge for a picture of this size: opaque, so that it reads on any picture and survives compression."""
    face = lettering.font(max(11, min(72, min(size) // 24)))
    pad = max(4, round(face.size * 0.5))
    drawn = Image.new("RGB", (round(face.getlength(MARK)) + 2 * pad, round(face.size * 1.2) + pad), _PAPER)
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((0, 0, max(1, pad // 3), drawn.height), _AMBER)
    draw.text((drawn.width / 2 + pad / 6, drawn.height / 2), MARK, _INK, face, "mm")
    left, top = _corner(size)
    shrink = min(1.0, (size[0] - 2 * left) / drawn.width, (size[1] - 2 * top) / drawn.height)
    size = (max(1, int(drawn.width * shrink)), max(1, int(drawn.height * shrink)))
    return pictures.resized(drawn, size, Image.Resampling.BOX)


def _strip(picture: Image.Image, not_applied: Sequence[str], applied: int, where: str) -> None:
    face = lettering.font(max(9, min(48, min(picture.size) // 30)))
    pad = round(face.size * 0.7)
    step = round(face.size * 1.35)
    most = max(1, min(_MOST_LINES, (picture.height // 3 - 2 * pad) // step))
    head = "Not applied:" if applied else "Nothing applied:"
    lines = lettering.lines(f"{head} {_listed(not_applied)}", face, max(1, picture.width - 2 * pad), most)
    height = min(picture.height, step * len(lines) + 2 * pad)
    under_badge = 2 * _corner(picture.size)[1] + badge(picture.size).height
    top = min(under_badge if where == "top" else picture.height, picture.height - height)
    _darken(picture, (0, top, picture.width, top + height))
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((pad, top + pad + number * step), line, _INK, face)
    draw.text((pad, top + pad), head if lines[0].startswith(head) else lines[0], _AMBER, face)


def _listed(not_applied: Sequence[str]) -> str:
    """One clause may be long, of many each is cut: the strip has four lines at most."""
    each = 2000 if len(not_applied) == 1 else 200
    return " · ".join(lettering.readable(text[:each]) for text in not_applied[:20])


def _darken(picture: Image.Image, box: Box) -> None:
    under = picture.crop(box).convert("RGBA")
    over = Image.new("RGBA", under.size, (*_PAPER, _STRIP_ALPHA))
    picture.paste(Image.alpha_composite(under, over).convert(picture.mode), box)
