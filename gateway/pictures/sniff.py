"""What a file really is, by its first bytes, and how large a picture may be.

Names and declared media types are claims; only the bytes count. Three formats are taken. Everything else is refused,
by its own name where it is recognisable, so that the sender knows what to change.
"""

from enum import StrEnum

from msgspec import Struct

from adapters.contract import ImageFormat


class Fault(StrEnum):
    EMPTY = "empty"
    UNSUPPORTED = "unsupported"  # a file of another type
    ENCODING = "encoding"  # base64 or data URI, not the picture
    MISDECLARED = "misdeclared"  # the declared type is not the true one
    TOO_LARGE = "too_large"  # bytes
    SIZE = "size"  # width, height or their product
    ANIMATED = "animated"
    BROKEN = "broken"  # right type, but it cannot be read to its end
    TOO_SLOW = "too_slow"  # not decoded within a job's time
    CRASHED = "crashed"  # two worker processes died of it


class BadPicture(Exception):  # noqa: N818 - the name is the fact
    """A picture that is not taken. `message` says what was found and what to send instead; it holds no picture data."""

    def __init__(self, reason: Fault, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Limits(Struct, frozen=True, kw_only=True):
    """Checked before any pixel is decoded."""

    wire_bytes: int
    pixels: int
    least_side: int
    most_side: int

    def check_bytes(self, count: int) -> None:
        if count > self.wire_bytes:
            raise BadPicture(
                Fault.TOO_LARGE,
                f"the picture is {count / 1e6:.1f} MB; send at most {self.wire_bytes // 1_000_000} MB",
            )

    def check_size(self, width: int, height: int) -> None:
        if not all(self.least_side <= side <= self.most_side for side in (width, height)):
            raise BadPicture(
                Fault.SIZE,
                f"the picture is {width}×{height} pixels; send sides from {self.least_side} to {self.most_side}",
            )
        if width * height > self.pixels:
            raise BadPicture(
                Fault.SIZE,
                f"the picture is {width}×{height} pixels; send at most {self.pixels // 1_000_000} megapixels",
            )


INPUT = Limits(wire_bytes=20_000_000, pixels=25_000_000, least_side=16, most_side=8192)
# A result is paid for: it is refused only where decoding it would be unsafe.
RESULT = Limits(wire_bytes=64_000_000, pixels=25_000_000, least_side=1, most_side=16_384)

_HEAD = 1024

_TAKEN = (
    (b"\xff\xd8\xff", ImageFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
)

_REFUSED = (
    (b"%PDF-", "a PDF"),
    (b"GIF87a", "a GIF"),
    (b"GIF89a", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"II+\0", "a TIFF"),
    (b"MM\0+", "a TIFF"),
    (b"BM", "a BMP"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"8BPS", "a Photoshop file"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
)

_BRANDS = {
    b"avif": "an AVIF",
    b"avis": "an AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "a HEIC"),
}


def sniff(data: bytes) -> ImageFormat:
    """The format by magic bytes. Raises `BadPicture` for anything but JPEG, PNG and WebP."""
    if not data:
        raise BadPicture(Fault.EMPTY, "the picture is empty; send a JPEG, PNG or WEBP")
    for magic, taken in _TAKEN:
        if data.startswith(magic):
            return taken
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ImageFormat.WEBP
    raise BadPicture(Fault.UNSUPPORTED, f"this is {_name(data[:_HEAD])}; send JPEG, PNG or WEBP")


def _name(head: bytes) -> str:
    for magic, name in _REFUSED:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a video")
    return _text_name(head)


def _text_name(head: bytes) -> str:
    lowered = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in lowered:
        return "an SVG"
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if b"\0" not in head and _is_utf8(head):
        return "a text file"
    return "not a picture that we know"


def _is_utf8(head: bytes) -> bool:
    """Whether it is UTF-8, but for a last character that the cut may have split."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and len(head) == _HEAD
    return True
