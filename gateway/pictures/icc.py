"""Colour profiles: whether one means anything but sRGB, and turning such pixels into sRGB.

A profile is judged by what it does to a sample of colours, not by its name, which anyone can write. One that cannot
be used (damaged, or for another kind of pixel) counts as none, as in every viewer.
"""

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageChops, ImageCms

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - Pillow leaves its C types open
_TOLERANCE = 3  # of 255: versions of sRGB differ by rounding
_STEPS = range(0, 256, 32)
_UNUSABLE = (OSError, ValueError, TypeError, ImageCms.PyCMSError)


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """RGB pixels of an L, RGB or CMYK image; the numbers as they are where the profile cannot be used."""
    transform = _transform(profile, image.mode)
    converted = None if transform is None else ImageCms.applyTransform(image, transform)
    return converted or image.convert("RGB")


@lru_cache(maxsize=64)
def changes_colours(profile: bytes, mode: str) -> bool:
    """Whether pixels of `mode` (L, RGB or CMYK) look different with this profile than as sRGB."""
    if mode == "CMYK":
        return True
    sample = _sample(mode)
    difference = ImageChops.difference(sample.convert("RGB"), to_srgb(sample, profile))
    return max(difference.tobytes()) > _TOLERANCE


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Kept, since making one costs more than using it on a small picture, and a team's photos share a camera."""
    try:
        return ImageCms.buildTransform(ImageCms.ImageCmsProfile(BytesIO(profile)), _SRGB, mode, "RGB")
    except _UNUSABLE:
        return None


def _sample(mode: str) -> Image.Image:
    if mode == "L":
        return Image.frombytes("L", (256, 1), bytes(range(256)))
    colours = bytes(value for red in _STEPS for green in _STEPS for blue in _STEPS for value in (red, green, blue))
    return Image.frombytes("RGB", (len(colours) // 3, 1), colours)
