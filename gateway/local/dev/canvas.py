"""The sender's picture as the model takes it, and the model's as the sender gets it."""

import msgspec
from PIL import Image, ImageOps

from gateway.local import pictures
from gateway.local.dev import sizes
from gateway.local.dev.messages import Pixels, Size
from gateway.local.engine import Ask

NOTE = pictures.Note(software="kontext local, FLUX.1 Kontext [dev]", comment="made by an AI model")


class Canvas(msgspec.Struct, frozen=True):
    """`size` is delivered and `made` is generated. With a mask, `original` and `weights` have the delivered size."""

    size: Size
    made: Size
    picture: Image.Image
    original: Image.Image | None = None
    weights: Image.Image | None = None

    def __repr__(self) -> str:
        return f"Canvas({self.size}, made {self.made}, masked={self.weights is not None})"


def prepare(ask: Ask, most_pixels: int) -> Canvas:
    """Upright RGB without transparency, in the size that the model works in.

    Raises:
        BadPicture: picture or mask is refused.
    """
    picture = pictures.decode(ask.picture)
    weights = None if ask.mask is None else pictures.mask_weights(ask.mask, picture.size)
    picture = pictures.on_white(picture)
    size = ask.size or picture.size
    sizes.check(size, "the size" if ask.size else "the picture")
    if weights is None:
        sizes.check(picture.size, "the picture")
        return Canvas(size, sizes.generated(size, most_pixels), _scaled(picture, most_pixels))
    # Inpainting works in place: picture and mask take the wished shape first.
    original, weights = (ImageOps.fit(each, size, Image.Resampling.LANCZOS) for each in (picture, weights))
    return Canvas(size, sizes.generated(size, most_pixels), _scaled(original, most_pixels), original, weights)


def _scaled(picture: Image.Image, most_pixels: int) -> Image.Image:
    return pictures.resized(picture, sizes.generated(picture.size, most_pixels), Image.Resampling.LANCZOS)


def mask(canvas: Canvas) -> Pixels | None:
    """White is repainted."""
    if canvas.weights is None:
        return None
    return pixels(pictures.resized(canvas.weights, canvas.made, Image.Resampling.LANCZOS))


def pixels(picture: Image.Image) -> Pixels:
    return Pixels(picture.size, picture.tobytes())


def finish(canvas: Canvas, made: Pixels, ask: Ask) -> bytes:
    """The file: exactly of the size asked for, and outside a mask the very pixels that were sent."""
    picture = Image.frombytes("RGB", made.size, made.data)
    if picture.size != canvas.size:
        picture = pictures.resized(picture, canvas.size, Image.Resampling.LANCZOS)
    if canvas.original is not None and canvas.weights is not None:
        picture = Image.composite(picture, canvas.original, canvas.weights)
    return pictures.encode(picture, ask.format, ask.quality, NOTE)
