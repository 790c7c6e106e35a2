"""A picture file taken apart: the part that is picture, rebuilt from an allow-list, and the two things that change how
it must be shown (orientation, colour profile), which the caller turns into pixels.

The pixels themselves are copied as they are coded: nothing is decoded here. What no list names (EXIF, GPS, XMP, IPTC,
comments, thumbnails, second pictures, bytes behind the end) is simply not copied.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from msgspec import Struct

from gateway.pictures.sniff import BadPicture, Fault


class Container(Struct, frozen=True, kw_only=True):
    """`data` is a whole file of the same format with the same pixels. `exif` is a TIFF structure, `icc` a profile."""

    data: bytes
    width: int
    height: int
    exif: bytes | None = None
    icc: bytes | None = None

    def __repr__(self) -> str:
        return f"Container({self.width}×{self.height}, {len(self.data)} bytes)"


MOST_PROFILE_BYTES = 4_000_000  # the largest CMYK profiles in use are about 2.5 MB
_MOST_PIECES = 50_000  # a PNG of 64 MB in chunks of 8 kB has 8,000; empty ones would cost seconds and a gigabyte

_Piece = TypeVar("_Piece")


def bounded(format_name: str, pieces: Iterator[_Piece]) -> tuple[_Piece, ...]:
    """All segments or chunks of a file."""
    taken = tuple(islice(pieces, _MOST_PIECES + 1))
    if len(taken) > _MOST_PIECES:
        raise broken(format_name, f"it has more than {_MOST_PIECES} parts")
    return taken


def broken(format_name: str, what: str) -> BadPicture:
    return BadPicture(Fault.BROKEN, f"the {format_name} is damaged: {what}; export it again")


def animated(format_name: str) -> BadPicture:
    return BadPicture(Fault.ANIMATED, f"the {format_name} is animated; send one still picture")
