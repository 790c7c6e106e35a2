"""The size law of FLUX.1 Kontext: the pipeline makes multiples of 16 of about one megapixel, and takes a size that it
is given for a ratio. So the ratio is decided here, from the picture itself; its own default would be a square."""

from math import sqrt

from gateway.local.pictures import BadPicture

MULTIPLE = 16  # the autoencoder's eight, times the transformer's patch of two
MOST_RATIO = 3

Size = tuple[int, int]


def check(size: Size, name: str) -> None:
    """Raises BadPicture for a ratio beyond 3:1, which the model was not made for (and does not refuse by itself)."""
    if max(size) > MOST_RATIO * min(size):
        raise BadPicture(
            f"{name} is {size[0]}x{size[1]}; the model takes ratios from 1:{MOST_RATIO} to {MOST_RATIO}:1. Crop the"
            " picture, or ask for another `size`"
        )


def generated(size: Size, pixels: int) -> Size:
    """What the model makes for a picture of this shape: at most so many pixels, each side a multiple of 16."""
    ratio = size[0] / size[1]
    return _floored(sqrt(pixels * ratio)), _floored(sqrt(pixels / ratio))


def _floored(side: float) -> int:
    return max(MULTIPLE, round(side) // MULTIPLE * MULTIPLE)
