"""Pictures made for the tests: small, with every kind of metadata in them, and deliberately broken ones."""

import struct
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms

from adapters.contract import ImageFormat

ROCKET = (Path(__file__).parent / "photos" / "rocket.jpg").read_bytes()
SECRET = b"SECRET-52.3702-4.8952"  # stands in every place that metadata can hide in
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + SECRET + b"</x:xmpmeta>"


def gradient(width: int = 48, height: int = 32, mode: str = "RGB") -> Image.Image:
    """Every corner has a colour of its own, so that a turn shows."""
    image = Image.new("RGB", (width, height))
    for x in range(width):
        for y in range(height):
            image.putpixel((x, y), (x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)))
    return image.convert(mode)


def encoded(image: Image.Image, format_: ImageFormat | str, **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, str(format_), **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def exif(orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = SECRET.decode()
    tags.get_ifd(0x8825)[29] = SECRET.decode()
    return tags.tobytes()


@cache
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@cache
def foreign_profile() -> bytes:
    """Adobe RGB, from a real photograph."""
    return opened(ROCKET).info["icc_profile"]


def laden(format_: ImageFormat, image: Image.Image | None = None, orientation: int = 1) -> bytes:
    """A picture with EXIF, GPS, XMP, an sRGB profile, what else its format has room for, and bytes behind the end."""
    image = image or gradient()
    metadata = {"exif": exif(orientation), "icc_profile": srgb_profile()}
    if format_ is ImageFormat.JPEG:
        plain = encoded(image, "jpeg", quality=92, comment=SECRET, xmp=XMP, **metadata)
        iptc = jpeg_segment(0xED, b"Photoshop 3.0\0" + SECRET)
        jfxx = jpeg_segment(0xE0, b"JFXX\0\x10" + SECRET)
        return plain[:2] + iptc + jfxx + plain[2:] + SECRET
    if format_ is ImageFormat.PNG:
        plain = encoded(image, "png", **metadata)
        texts = [
            png_chunk(b"tEXt", b"parameters\0" + SECRET),
            png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
            png_chunk(b"prVt", SECRET),
        ]
        return plain[:33] + b"".join(texts) + plain[33:] + SECRET
    return encoded(image, "webp", quality=90, xmp=XMP, **metadata) + SECRET


def jpeg_segment(marker: int, payload: bytes) -> bytes:
    return b"\xff" + bytes((marker,)) + (len(payload) + 2).to_bytes(2, "big") + payload


def png_chunk(type_: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + type_ + payload + struct.pack(">I", zlib.crc32(type_ + payload))


def png_claiming(width: int, height: int) -> bytes:
    """A small file that says it is of any size, with one deflated stream of zeros."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(*chunk) for chunk in ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    )
