"""Hostile pictures, made when a test asks for one: what each is, and whether it is taken as an input.

`None` is accepted: then what comes out is clean, upright and sRGB, without a byte of what else was in the file.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

from PIL import Image

from adapters.contract import ImageFormat
from gateway.pictures import Fault
from tests.pictures.samples import (
    SECRET,
    encoded,
    exif,
    foreign_profile,
    gradient,
    jpeg_segment,
    laden,
    png_chunk,
    png_claiming,
    srgb_profile,
)

JPEG, PNG, WEBP = ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP
MB = 1 << 20
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = png_chunk(b"IEND", b"")


def _deflated(size: int) -> bytes:
    """So many zeros, without ever holding them."""
    deflate = zlib.compressobj(9)
    parts = [deflate.compress(bytes(MB)) for _ in range(size // MB)]
    return b"".join(parts) + deflate.flush()


def _png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return _SIGNATURE + head + b"".join(chunks) + _END


def _rows(width: int, height: int, bytes_a_pixel: int) -> bytes:
    return png_chunk(b"IDAT", zlib.compress((b"\0" + bytes(range(256)) * (width * bytes_a_pixel // 256)) * height))


def _png_with(*chunks: bytes) -> bytes:
    plain = encoded(gradient(), "png")
    return plain[:33] + b"".join(chunks) + plain[33:]


def _jpeg_claiming(width: int, height: int) -> bytes:
    plain = bytearray(encoded(gradient(), "jpeg"))
    frame = plain.index(b"\xff\xc0")
    plain[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(plain)


def _jpeg_with(*segments: bytes) -> bytes:
    plain = encoded(gradient(), "jpeg")
    return plain[:2] + b"".join(segments) + plain[2:]


def _many_scans() -> bytes:
    """A progressive picture whose last scan comes a thousand times: each costs a pass over all pixels."""
    plain = encoded(gradient(1024, 1024).resize((1024, 1024)), "jpeg", progressive=True)
    scan = plain.rindex(b"\xff\xda")
    return plain[:-2] + plain[scan:-2] * 1000 + plain[-2:]


def _two_frames() -> bytes:
    plain = encoded(gradient(), "jpeg")
    start = plain.index(b"\xff\xc0")
    length = int.from_bytes(plain[start + 2 : start + 4], "big") + 2
    other = bytearray(plain[start : start + length])
    other[5:9] = struct.pack(">HH", 8000, 8000)
    return plain[:start] + bytes(other) + plain[start:]


def _webp_chunk(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def _webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _lossless_claiming(side: int) -> bytes:
    bits = (side - 1) | (side - 1) << 14
    return _webp(_webp_chunk(b"VP8L", b"\x2f" + struct.pack("<I", bits) + bytes(64)))


def _canvas_claiming(side: int) -> bytes:
    """A canvas of one size around pixels of another."""
    inner = encoded(gradient(), "webp", lossless=True)[12:]
    size = struct.pack("<I", side - 1)[:3]
    return _webp(_webp_chunk(b"VP8X", bytes(4) + size + size), inner)


def _animated(format_: str, frames: int, side: int) -> bytes:
    first, *rest = (Image.new("RGB", (side, side), (n * 40 % 256, n, 90)) for n in range(frames))
    return encoded(first, format_, save_all=True, append_images=rest)


def _looping_exif() -> bytes:
    """A directory whose next directory is itself, with counts and places far outside."""
    entry = struct.pack("<HHII", 0x0112, 3, 0xFFFFFFFF, 0xFFFFFFF0)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 3) + entry * 3 + struct.pack("<I", 8)


def _iccp(profile: bytes) -> bytes:
    return png_chunk(b"iCCP", b"x\0\0" + profile)


def _of(image: Image.Image, format_: str, **options: object) -> Callable[[], bytes]:
    return lambda: encoded(image, format_, **options)


def _palette_with_alpha() -> bytes:
    image = gradient(mode="P")
    image.info["transparency"] = bytes(range(256))
    return encoded(image, "png", transparency=bytes(range(256)))


Maker = Callable[[], bytes]
PICTURES: dict[str, tuple[Maker, Fault | None]] = {
    # --- bombs: small files that say they are large, or are
    "PNG of 1 by 2,000,000": (lambda: png_claiming(1, 2_000_000), Fault.SIZE),
    "PNG of 2,000,000 by 1": (lambda: png_claiming(2_000_000, 1), Fault.SIZE),
    "PNG of 8192 by 8192": (lambda: png_claiming(8192, 8192), Fault.SIZE),
    "PNG of 2^31 - 1": (lambda: png_claiming(2**31 - 1, 2**31 - 1), Fault.SIZE),
    "PNG of 2^32 - 1": (lambda: png_claiming(2**32 - 1, 2**32 - 1), Fault.SIZE),
    "PNG of nothing": (lambda: png_claiming(0, 0), Fault.SIZE),
    "JPEG of 65,500": (lambda: _jpeg_claiming(65_500, 65_500), Fault.SIZE),
    "JPEG of 8192 by 8192": (lambda: _jpeg_claiming(8192, 8192), Fault.SIZE),
    "JPEG of 16 by 65,500": (lambda: _jpeg_claiming(16, 65_500), Fault.SIZE),
    "JPEG of nothing": (lambda: _jpeg_claiming(0, 0), Fault.SIZE),
    "JPEG with two sizes": (_two_frames, Fault.BROKEN),
    "JPEG of a thousand scans": (_many_scans, Fault.BROKEN),
    "JPEG with 2 MB of fill bytes": (lambda: _jpeg_with(b"\xff" * 2_000_000), None),
    "WebP of 16,383": (lambda: _lossless_claiming(16_383), Fault.SIZE),
    "WebP with a canvas of 16,383": (lambda: _canvas_claiming(16_383), Fault.BROKEN),
    "WebP with a canvas around less": (lambda: _canvas_claiming(4096), Fault.BROKEN),
    "256 MB behind the last row": (
        lambda: _png(16, 16, png_chunk(b"IDAT", _deflated(256 * MB))),
        None,
    ),
    "256 MB of compressed text": (lambda: _png_with(png_chunk(b"zTXt", b"x\0\0" + _deflated(256 * MB))), None),
    "256 MB of international text": (
        lambda: _png_with(png_chunk(b"iTXt", b"x\0\1\0\0\0" + _deflated(256 * MB))),
        None,
    ),
    "256 MB of colour profile": (lambda: _png_with(_iccp(_deflated(256 * MB))), Fault.BROKEN),
    "100,000 chunks": (lambda: _png_with(png_chunk(b"prVt", b"x") * 100_000), Fault.BROKEN),
    "100,000 empty pieces of pixels": (lambda: _png_with(png_chunk(b"IDAT", b"") * 100_000), Fault.BROKEN),
    "200,000 comments": (lambda: _jpeg_with(jpeg_segment(0xFE, b"x") * 200_000), Fault.BROKEN),
    "a directory that loops": (lambda: _jpeg_with(jpeg_segment(0xE1, _looping_exif())), None),
    # --- more than one picture
    "animated PNG": (lambda: _animated("png", 5, 64), Fault.ANIMATED),
    "animated PNG, large": (lambda: _animated("png", 3, 2000), Fault.ANIMATED),
    "animated WebP": (lambda: _animated("webp", 5, 64), Fault.ANIMATED),
    "animated GIF": (lambda: _animated("gif", 5, 64), Fault.UNSUPPORTED),
    "a phone's JPEG with a second one": (lambda: _animated("mpo", 2, 64), None),
    # --- other types, and types that are not what they say
    "SVG": (lambda: b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', Fault.UNSUPPORTED),
    "PDF": (lambda: b"%PDF-1.7\n%" + SECRET, Fault.UNSUPPORTED),
    "PostScript": (lambda: b"%!PS-Adobe-3.0\n(/etc/passwd) run", Fault.UNSUPPORTED),
    "ImageMagick's own": (lambda: b'push graphic-context\nfill "url(https://a.example/)"', Fault.UNSUPPORTED),
    "TIFF": (_of(gradient(), "tiff"), Fault.UNSUPPORTED),
    "BMP": (_of(gradient(), "bmp"), Fault.UNSUPPORTED),
    "ICO": (_of(gradient(), "ico"), Fault.UNSUPPORTED),
    "ZIP": (lambda: b"PK\3\4" + bytes(60), Fault.UNSUPPORTED),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(60), Fault.UNSUPPORTED),
    "a program": (lambda: b"\x7fELF" + bytes(200), Fault.UNSUPPORTED),
    "HTML": (lambda: b"<!doctype html><script>alert(1)</script>", Fault.UNSUPPORTED),
    "nothing": (lambda: b"", Fault.EMPTY),
    "JPEG that is also a ZIP": (lambda: encoded(gradient(), "jpeg") + b"PK\3\4" + SECRET + b"PK\5\6" + bytes(18), None),
    "PNG that is also a script": (
        lambda: _png_with(png_chunk(b"tEXt", b"x\0<script>" + SECRET)) + b"<?php " + SECRET,
        None,
    ),
    "JPEG that is also HTML": (lambda: _jpeg_with(jpeg_segment(0xFE, b"--><script>" + SECRET + b"</script>")), None),
    "WebP with a program behind it": (lambda: encoded(gradient(), "webp") + b"\x7fELF" + SECRET, None),
    "20 MB and a byte": (lambda: bytes(20_000_001), Fault.TOO_LARGE),
    # --- colours
    "CMYK": (_of(gradient(mode="CMYK"), "jpeg"), None),
    "CMYK with a profile of another kind": (_of(gradient(mode="CMYK"), "jpeg", icc_profile=srgb_profile()), None),
    "a broken profile": (_of(gradient(), "jpeg", icc_profile=b"not a profile"), None),
    "a foreign profile": (_of(gradient(), "png", icc_profile=foreign_profile()), None),
    "16-bit grey": (lambda: _png(256, 16, _rows(256, 16, 2), depth=16, colour=0), None),
    "16-bit colours": (lambda: _png(256, 16, _rows(256, 16, 6), depth=16, colour=2), None),
    "16-bit colours with alpha": (lambda: _png(256, 16, _rows(256, 16, 8), depth=16, colour=6), None),
    "a palette with alpha": (_palette_with_alpha, None),
    "a palette that is not there": (lambda: _png(256, 16, _rows(256, 16, 1), colour=3), Fault.BROKEN),
    "an empty palette": (lambda: _png(256, 16, png_chunk(b"PLTE", b""), _rows(256, 16, 1), colour=3), None),
    "a palette that comes too late": (
        lambda: _png(256, 16, _rows(256, 16, 1), png_chunk(b"PLTE", bytes(768)), colour=3),
        Fault.BROKEN,
    ),
    "a palette of one colour": (lambda: _png(256, 16, png_chunk(b"PLTE", b"abc"), _rows(256, 16, 1), colour=3), None),
    "a palette of a third": (lambda: _png(256, 16, png_chunk(b"PLTE", b"abcd"), _rows(256, 16, 1), colour=3), None),
    "transparency of another kind": (
        lambda: _png(256, 16, png_chunk(b"tRNS", b"x"), _rows(256, 16, 3)),
        Fault.BROKEN,
    ),
    "a colour type that does not exist": (lambda: _png(256, 16, _rows(256, 16, 3), colour=5), Fault.BROKEN),
    "a depth that does not exist": (lambda: _png(256, 16, _rows(256, 16, 3), depth=7), Fault.BROKEN),
}

for _format in ImageFormat:
    PICTURES[f"{_format} full of metadata"] = (lambda it=_format: laden(it), None)
    for _turn in range(10):  # 0 and 9 do not exist: upright
        PICTURES[f"{_format} turned as {_turn}"] = (
            lambda it=_format, turn=_turn: encoded(gradient(), it, exif=exif(turn)),
            None,
        )
    for _share in (0.1, 0.5, 0.9):
        PICTURES[f"{_format} cut after {_share:.0%}"] = (
            lambda it=_format, share=_share: _cut(encoded(gradient(200, 200), it), share),
            Fault.BROKEN,
        )


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def made() -> Iterator[tuple[str, bytes, Fault | None]]:
    for name, (make, verdict) in PICTURES.items():
        yield name, make(), verdict
