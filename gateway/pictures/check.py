"""What is done to a picture inside a worker process: take it apart, decode what is left, and give back a clean file.

The decoder only ever sees a container that we wrote ourselves, after its size was judged. A clean file keeps its coded
pixels unless its orientation, a colour profile that is not sRGB, CMYK or another wanted format forces new ones.
"""

import hashlib
from io import BytesIO
from typing import Any, cast

from msgspec import Struct
from PIL import Image

from adapters.contract import ImageFormat
from gateway.pictures import datauri, icc, jpeg, png, webp
from gateway.pictures.container import Container, broken
from gateway.pictures.exif import UPRIGHT, orientation
from gateway.pictures.jobs import Clean, Cleaned, Compare, Compared
from gateway.pictures.sniff import sniff

_PARSERS = {ImageFormat.JPEG: jpeg.parse, ImageFormat.PNG: png.parse, ImageFormat.WEBP: webp.parse}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SIDEWAYS = frozenset({5, 6, 7, 8})

# Modes that each format holds as they are; everything else goes through RGB or, with transparency, RGBA.
_MODES = {
    ImageFormat.JPEG: ("L", "RGB"),
    ImageFormat.PNG: ("1", "L", "LA", "I;16", "RGB", "RGBA"),
    ImageFormat.WEBP: ("RGB", "RGBA"),
}

_REDUCTION = 8  # the side of a JPEG's block
_BLANK_SPREAD = 2  # of 255, per channel: what coding leaves of one colour


class Checked(Struct, frozen=True, kw_only=True):
    """What a file is, before its pixels are decoded. `profile`: a colour profile that is not sRGB."""

    format: ImageFormat
    container: Container
    orientation: int
    mode: str
    profile: bytes | None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, the right way up."""
        width, height = self.container.width, self.container.height
        return (height, width) if self.orientation in _SIDEWAYS else (width, height)

    def is_plain(self) -> bool:
        return self.orientation == UPRIGHT and self.profile is None and self.mode != "CMYK"


def clean(data: bytes, job: Clean) -> tuple[Cleaned, bytes]:
    """Raises `BadPicture`."""
    checked = inspect(datauri.decode(data) if job.base64 else data, job)
    wanted, size = job.wanted or checked.format, checked.size
    if wanted is checked.format and checked.is_plain():
        cleaned = checked.container.data
        image = _glimpse(cleaned, wanted)
    else:
        image = upright(checked)
        cleaned = _encode(image, wanted, job.quality)
    small = _reduced(image)
    return Cleaned(
        format=wanted,
        width=size[0],
        height=size[1],
        digest=hashlib.sha256(cleaned).hexdigest(),
        exact=checked.format is not ImageFormat.JPEG,
        blank=_has_one_colour(small) and _has_one_colour(_load(_open(cleaned, wanted))),
    ), cleaned


def compare(data: bytes, job: Compare) -> Compared:
    """Raises `BadPicture`."""
    first, second = data[: job.split], data[job.split :]
    second = datauri.decode(second) if job.base64 else second
    one, other = (upright(inspect(each, Clean(limits=job.limits))) for each in (first, second))
    return Compared(one.size == other.size and _reduced(one).tobytes() == _reduced(other).tobytes())


def inspect(data: bytes, job: Clean) -> Checked:
    """Type, limits and container; the pixels are still coded. Raises `BadPicture`."""
    job.limits.check_bytes(len(data))
    format_ = sniff(data)
    datauri.check_declared(job.declared, format_)
    container = _PARSERS[format_](data)
    job.limits.check_size(container.width, container.height)
    image = _open(container.data, format_)
    if image.size != (container.width, container.height):
        raise broken(format_.name, "it has more than one size")  # what was judged must be what is decoded
    return Checked(
        format=format_,
        container=container,
        orientation=orientation(container.exif or b""),
        mode=image.mode,
        profile=_foreign_profile(container.icc, image.mode),
    )


def _open(data: bytes, format_: ImageFormat) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=[format_.name])
    except Exception:  # noqa: BLE001 - Pillow's parsers raise whatever they trip over; all of it means a bad file
        raise broken(format_.name, "its header cannot be read") from None


def _load(image: Image.Image) -> Image.Image:
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - as above
        raise broken(image.format or "picture", "its pixels cannot be decoded") from None
    if image.mode == "P" and image.palette is None:
        raise broken(image.format or "picture", "it has a palette's pixels and no palette")
    return image


def _foreign_profile(profile: bytes | None, mode: str) -> bytes | None:
    colours = {"L": "L", "LA": "L", "I;16": "L", "1": "L", "CMYK": "CMYK"}.get(mode, "RGB")
    return profile if profile is not None and icc.changes_colours(profile, colours) else None


def _glimpse(data: bytes, format_: ImageFormat) -> Image.Image:
    """Proof that the pixels decode, at an eighth of their size where the format allows it: of a JPEG all coded data is
    walked, and little of it transformed."""
    image = _open(data, format_)
    image.draft(image.mode, (max(1, image.width // _REDUCTION), max(1, image.height // _REDUCTION)))
    return _load(image)


def upright(checked: Checked) -> Image.Image:
    """The pixels as they are meant to be seen: the right way up, and sRGB."""
    image = _load(_open(checked.container.data, checked.format))
    if checked.profile is not None:
        image = _in_srgb(image, checked.profile)
    turn = _UPRIGHT.get(checked.orientation)
    return image if turn is None else image.transpose(turn)


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    image = expanded(image)
    if "A" not in image.getbands():
        return icc.to_srgb(image, profile)
    alpha = image.getchannel("A")
    colours = icc.to_srgb(image.convert("L" if image.mode == "LA" else "RGB"), profile)
    colours.putalpha(alpha)
    return colours


def expanded(image: Image.Image) -> Image.Image:
    """8 bits a channel, no palette: L, LA, RGB, RGBA or CMYK."""
    if image.mode == "I;16":  # the high bytes; Pillow's own conversion cuts off everything above 255
        image = Image.frombytes("L", image.size, image.tobytes()[1::2])
    if image.has_transparency_data:
        return image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _flat(image: Image.Image) -> Image.Image:
    """RGB on white."""
    image = expanded(image)
    if "A" not in image.getbands():
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def _encode(image: Image.Image, wanted: ImageFormat, quality: int) -> bytes:
    transparent = image.has_transparency_data
    if transparent and wanted is ImageFormat.JPEG:
        image = _flat(image)
    elif image.mode not in _MODES[wanted] or (transparent and image.mode in ("1", "L", "RGB", "I;16")):
        image = expanded(image)
        image = image if image.mode in _MODES[wanted] else image.convert("RGBA" if transparent else "RGB")
    buffer = BytesIO()
    image.save(buffer, wanted.name, **_options(wanted, quality))
    return buffer.getvalue()


def _options(wanted: ImageFormat, quality: int) -> dict[str, Any]:
    """Fast ones, since a caller waits: PNG's default level takes three times as long for a fifth less, WebP's default
    method twice as long for one percent."""
    options: dict[ImageFormat, dict[str, Any]] = {
        ImageFormat.JPEG: {"quality": quality, "subsampling": 0 if quality >= 90 else 2},
        ImageFormat.PNG: {"compress_level": 1, "icc_profile": None},  # else it writes the one of the pixels' past
        ImageFormat.WEBP: {"quality": quality, "method": 2},
    }
    return options[wanted]


def _reduced(image: Image.Image) -> Image.Image:
    """RGB on white, each pixel the mean of 8 × 8: no edit leaves every one of them as it was. Flattened after it is
    reduced, since that is dearer than decoding."""
    plain = image if image.mode in ("RGB", "RGBA") else expanded(image)
    return _flat(plain.reduce(_REDUCTION))


def _has_one_colour(image: Image.Image) -> bool:
    """Asked of the reduced picture, which settles almost every one, and only then of all pixels."""
    extrema = cast("tuple[tuple[int, int], ...]", _flat(image).getextrema())
    return all(high - low <= _BLANK_SPREAD for low, high in extrema)
