"""What the preview can do to a picture: one frozen struct per operation, which knows how to paint itself.

Every `paint` takes an RGB or RGBA picture and returns a new one of the same mode, or None where the operation means
nothing for this picture (a background without an alpha channel, a crop to nothing): then it was not applied.
"""

from collections.abc import Callable
from typing import ClassVar, Literal

import msgspec
from PIL import Image, ImageColor, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from gateway.local import lettering, pictures

Position = Literal["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"]


class Operation(msgspec.Struct, frozen=True):
    """The fields of a subclass are the arguments that the answer reports."""

    name: ClassVar[str]
    reshapes: ClassVar[bool] = False
    """Moves the picture's outline, and so has no meaning inside a mask."""

    def paint(self, picture: Image.Image) -> Image.Image | None:
        raise NotImplementedError


def _recolour(picture: Image.Image, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Changes the colours and keeps the alpha channel as it is."""
    painted = change(picture.convert("RGB")).convert("RGB")
    if picture.mode == "RGBA":
        painted.putalpha(picture.getchannel("A"))
    return painted


def _blank(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """White where the picture is opaque throughout, else transparent."""
    return Image.new(picture.mode, size, (255, 255, 255) if picture.mode == "RGB" else (255, 255, 255, 0))


class Grayscale(Operation, frozen=True):
    name = "grayscale"

    def paint(self, picture: Image.Image) -> Image.Image:
        return _recolour(picture, ImageOps.grayscale)


class Sepia(Operation, frozen=True):
    name = "sepia"

    def paint(self, picture: Image.Image) -> Image.Image:
        return _recolour(
            picture, lambda p: ImageOps.colorize(ImageOps.grayscale(p), "#1c0f04", "#fff4de", mid="#a8814f")
        )


class Invert(Operation, frozen=True):
    name = "invert"

    def paint(self, picture: Image.Image) -> Image.Image:
        return _recolour(picture, ImageOps.invert)


class Blur(Operation, frozen=True):
    """Gaussian; without a radius one percent of the shorter side, so that it shows on every size."""

    name = "blur"
    radius_px: float | None = None

    def paint(self, picture: Image.Image) -> Image.Image:
        radius = self.radius_px or max(1.0, min(picture.size) / 100)
        return _recolour(picture, lambda p: p.filter(ImageFilter.GaussianBlur(radius)))


class Sharpen(Operation, frozen=True):
    name = "sharpen"

    def paint(self, picture: Image.Image) -> Image.Image:
        return _recolour(picture, lambda p: p.filter(ImageFilter.UnsharpMask(radius=2, percent=150, threshold=2)))


class Pixelate(Operation, frozen=True):
    """Without a block size, 40 blocks along the shorter side."""

    name = "pixelate"
    block_px: int | None = None

    def paint(self, picture: Image.Image) -> Image.Image:
        block = self.block_px or max(2, min(picture.size) // 40)
        small = (max(1, picture.width // block), max(1, picture.height // block))
        return _recolour(
            picture,
            lambda p: pictures.resized(
                pictures.resized(p, small, Image.Resampling.BOX), p.size, Image.Resampling.NEAREST
            ),
        )


class Posterize(Operation, frozen=True):
    name = "posterize"
    levels: int = 4

    def paint(self, picture: Image.Image) -> Image.Image:
        steps = self.levels - 1
        table = [round(round(value * steps / 255) * 255 / steps) for value in range(256)]
        return _recolour(picture, lambda p: pictures.mapped(p, table * 3))


class Rotate(Operation, frozen=True):
    """Clockwise. Quarter turns turn the frame too; any other angle keeps the frame and clears the corners."""

    name = "rotate"
    reshapes = True
    degrees: int

    def paint(self, picture: Image.Image) -> Image.Image:
        turns = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
        angle = self.degrees % 360
        if angle in turns:
            return picture.transpose(turns[angle])
        fill = _blank(picture, (1, 1)).getpixel((0, 0))
        return picture.rotate(-angle, Image.Resampling.BICUBIC, fillcolor=fill if isinstance(fill, tuple) else None)


class Flip(Operation, frozen=True):
    name = "flip"
    axis: Literal["horizontal", "vertical"] = "horizontal"

    def paint(self, picture: Image.Image) -> Image.Image:
        return ImageOps.mirror(picture) if self.axis == "horizontal" else ImageOps.flip(picture)


class Brightness(Operation, frozen=True):
    name = "brightness"
    percent: int

    def paint(self, picture: Image.Image) -> Image.Image:
        return _recolour(picture, lambda p: ImageEnhance.Brightness(p).enhance(1 + self.percent / 100))


class Contrast(Operation, frozen=True):
    name = "contrast"
    percent: int

    def paint(self, picture: Image.Image) -> Image.Image:
        return _recolour(picture, lambda p: ImageEnhance.Contrast(p).enhance(1 + self.percent / 100))


class Saturation(Operation, frozen=True):
    name = "saturation"
    percent: int

    def paint(self, picture: Image.Image) -> Image.Image:
        return _recolour(picture, lambda p: ImageEnhance.Color(p).enhance(1 + self.percent / 100))


class Crop(Operation, frozen=True):
    """The largest centred part of the asked ratio, to within a pixel."""

    name = "crop"
    reshapes = True
    ratio_width: int
    ratio_height: int

    def paint(self, picture: Image.Image) -> Image.Image | None:
        width = min(picture.width, round(picture.height * self.ratio_width / self.ratio_height))
        height = min(picture.height, round(picture.width * self.ratio_height / self.ratio_width))
        if not pictures.allowed((width, height)):
            return None
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        return picture.crop((left, top, left + width, top + height))


class Resize(Operation, frozen=True):
    """To exactly these pixels, stretched if their ratio is another."""

    name = "resize"
    reshapes = True
    width: int
    height: int

    def paint(self, picture: Image.Image) -> Image.Image | None:
        size = (self.width, self.height)
        return pictures.resized(picture, size, Image.Resampling.LANCZOS) if pictures.allowed(size) else None


class Scale(Operation, frozen=True):
    name = "scale"
    reshapes = True
    percent: int

    def paint(self, picture: Image.Image) -> Image.Image | None:
        size = (round(picture.width * self.percent / 100), round(picture.height * self.percent / 100))
        return pictures.resized(picture, size, Image.Resampling.LANCZOS) if pictures.allowed(size) else None


class Border(Operation, frozen=True):
    """Around the picture, which so grows; without a width four percent of the shorter side."""

    name = "border"
    reshapes = True
    colour: str = "black"
    width_px: int | None = None

    def paint(self, picture: Image.Image) -> Image.Image | None:
        width = self.width_px or max(1, min(picture.size) // 25)
        if not pictures.allowed((picture.width + 2 * width, picture.height + 2 * width)):
            return None
        return ImageOps.expand(picture, width, ImageColor.getcolor(self.colour, picture.mode))


class Text(Operation, frozen=True):
    """One line, as large as a tenth of the shorter side or as the width allows; None if it cannot be read or drawn."""

    name = "text"
    text: str
    position: Position = "center"
    colour: str = "white"

    def paint(self, picture: Image.Image) -> Image.Image | None:
        if lettering.undrawable(self.text):
            return None
        margin = max(2, min(picture.size) // 25)
        font = lettering.fitting(self.text, picture.width - 2 * margin, max(10, min(picture.size) // 10))
        if font is None:
            return None
        painted = picture.copy()
        self._draw(ImageDraw.Draw(painted), picture.size, font, margin)
        return painted

    def _draw(self, draw: ImageDraw.ImageDraw, size: tuple[int, int], font: lettering.Font, margin: int) -> None:
        words = self.position.split()
        across = "l" if "left" in words else "r" if "right" in words else "m"
        down = "a" if "top" in words else "d" if "bottom" in words else "m"
        x = {"l": margin, "m": size[0] / 2, "r": size[0] - margin}[across]
        y = {"a": margin, "m": size[1] / 2, "d": size[1] - margin}[down]
        outline = "white" if sum(ImageColor.getrgb(self.colour)[:3]) < 384 else "black"
        stroke = max(1, round(font.size / 14))
        draw.text((x, y), self.text, self.colour, font, across + down, stroke_width=stroke, stroke_fill=outline)


class Background(Operation, frozen=True):
    """Lays a colour behind the picture. Only an alpha channel says where the background is; without one, None."""

    name = "background"
    colour: str

    def paint(self, picture: Image.Image) -> Image.Image | None:
        if picture.mode != "RGBA" or picture.getchannel("A").getextrema() == (255, 255):
            return None
        return Image.alpha_composite(Image.new("RGBA", picture.size, self.colour), picture)
