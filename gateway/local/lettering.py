"""Letters on pictures: the packaged font, what it can draw, and lines that fit.

DejaVu Sans, because Pillow's own font has ASCII only and draws everything else as empty boxes. Latin, Greek and
Cyrillic are drawn; scripts that need shaping or another direction are said to be undrawable, not drawn wrongly.
"""

import unicodedata
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont

SMALLEST_PX = 8
_FILE = Path(__file__).with_name("fonts") / "DejaVuSans.ttf"
_SCRIPTS = ("LATIN ", "GREEK ", "CYRILLIC ", "MICRO SIGN", "FEMININE ORDINAL", "MASCULINE ORDINAL", "OHM SIGN")
_LETTERS = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"})
_SIGNS = frozenset({"Nd", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs"})
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


@lru_cache(maxsize=32)
def font(size_px: int) -> Font:
    # Basic layout: whether raqm is there depends on the machine, and the same prompt must give the same pixels.
    return ImageFont.truetype(_FILE, size_px, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _drawable(character: str) -> bool:
    kind = unicodedata.category(character)
    if kind in _LETTERS:
        known = unicodedata.name(character, "").startswith(_SCRIPTS)
    else:
        known = kind in _SIGNS and unicodedata.bidirectional(character) not in _RIGHT_TO_LEFT
    return known and _has_glyph(character)


def _has_glyph(character: str) -> bool:
    """Pillow does not show the font's character map, but a missing glyph is always drawn as the same box."""
    return _drawn(character) != _drawn("\U0010ffff")


def _drawn(character: str) -> bytes:
    cell = Image.new("L", (64, 64))
    ImageDraw.Draw(cell).text((8, 8), character, 255, font(16))
    return cell.tobytes()


def undrawable(text: str) -> int:
    """How many characters of a text cannot be drawn."""
    return sum(not _drawable(character) for character in unicodedata.normalize("NFC", text))


def readable(text: str) -> str:
    """The text on one line, each run of undrawable characters replaced by a note that counts it."""
    pieces: list[str] = []
    lost = 0
    for character in [*unicodedata.normalize("NFC", " ".join(text.split())), ""]:
        if character and not _drawable(character):
            lost += 1
            continue
        if lost:
            pieces.append(f"[text not drawable: {lost} character{'s' if lost > 1 else ''}]")
            lost = 0
        pieces.append(character)
    return "".join(pieces)


def fitting(text: str, width_px: float, largest_px: int) -> Font | None:
    """The largest font in which the text is no wider than `width_px`; None if it would be too small to read."""
    wide = font(largest_px).getlength(text)
    size = largest_px if wide <= width_px else int(largest_px * width_px / wide)
    return font(size) if size >= SMALLEST_PX else None


def lines(text: str, face: Font, width_px: float, most: int) -> list[str]:
    """The text in at most so many lines of this width; what does not fit is cut and ends in "…"."""
    text = text[: int(most * width_px / max(1.0, face.getlength("i"))) + 1]  # more could never fit, however narrow
    found: list[str] = []
    while text and len(found) < most:
        line = _first_line(text, face, width_px)
        found.append(line.strip())
        text = text[len(line) :].lstrip()
    if text and found:
        found[-1] = _shortened(found[-1], face, width_px)
    return found


def _first_line(text: str, face: Font, width_px: float) -> str:
    if face.getlength(text) <= width_px:
        return text
    fits, over = 1, len(text)
    while over - fits > 1:
        middle = (fits + over) // 2
        fits, over = (middle, over) if face.getlength(text[:middle]) <= width_px else (fits, middle)
    blank = text.rfind(" ", 0, fits + 1)
    return text[:blank] if blank > 0 else text[:fits]


def _shortened(line: str, face: Font, width_px: float) -> str:
    while line and face.getlength(line + "…") > width_px:
        line = line[:-1]
    return line.rstrip() + "…"
