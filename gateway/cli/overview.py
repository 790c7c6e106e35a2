"""One picture of several: the original and what became of it, side by side with captions."""

from importlib.resources import files
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, GAP, CAPTION = 400, 12, 30


def overview(panels: list[tuple[str, Path]], out: Path) -> Path:
    """Writes `out` (JPEG): a row of captioned pictures, all of one height."""
    tiles = [_tile(caption, path) for caption, path in panels]
    width = sum(tile.width for tile in tiles) + GAP * (len(tiles) + 1)
    sheet = Image.new("RGB", (width, max(tile.height for tile in tiles) + 2 * GAP), "white")
    left = GAP
    for tile in tiles:
        sheet.paste(tile, (left, GAP))
        left += tile.width + GAP
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, quality=88)
    return out


def _tile(caption: str, path: Path) -> Image.Image:
    with Image.open(path) as picture:
        shown = picture.convert("RGB").resize((WIDTH, round(picture.height * WIDTH / picture.width)))
    tile = Image.new("RGB", (WIDTH, shown.height + CAPTION), "white")
    tile.paste(shown, (0, CAPTION))
    ImageDraw.Draw(tile).text((0, 6), caption, fill="black", font=_font())
    return tile


def _font() -> ImageFont.FreeTypeFont:
    data = (files("gateway") / "local" / "fonts" / "DejaVuSans.ttf").read_bytes()
    return ImageFont.truetype(BytesIO(data), 15)
