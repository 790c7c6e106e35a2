"""PNG taken apart (W3C PNG, third edition): a signature and chunks, each with its own checksum.

Five chunk types are picture. A critical chunk that we do not know (its first letter is a capital) would change the
picture, so it is refused; an ancillary one is left out.
"""

import zlib
from collections.abc import Iterator

from msgspec import Struct

from gateway.pictures.container import MOST_PROFILE_BYTES, Container, animated, bounded, broken

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


class _Chunk(Struct, frozen=True):
    """`whole` is the chunk with its length, type and checksum."""

    type: bytes
    payload: bytes
    whole: bytes


def parse(data: bytes) -> Container:
    """Raises `BadPicture` for whatever is not one complete still PNG."""
    chunks = bounded("PNG", _chunks(data))
    width, height = _size(chunks)
    if any(chunk.type == b"acTL" and int.from_bytes(chunk.payload[:4], "big") > 1 for chunk in chunks):
        raise animated("PNG")
    return Container(
        data=_SIGNATURE + b"".join(chunk.whole for chunk in chunks if chunk.type in _KEPT),
        width=width,
        height=height,
        exif=next((chunk.payload for chunk in chunks if chunk.type == b"eXIf"), None),
        icc=_icc(chunks),
    )


def _chunks(data: bytes) -> Iterator[_Chunk]:
    position = len(_SIGNATURE)
    while True:
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            raise broken("PNG", "it ends early")
        chunk = _Chunk(data[position + 4 : position + 8], data[position + 8 : end - 4], data[position:end])
        _check(chunk)
        yield chunk
        if chunk.type == b"IEND":
            return
        position = end


def _check(chunk: _Chunk) -> None:
    if zlib.crc32(chunk.payload, zlib.crc32(chunk.type)) != int.from_bytes(chunk.whole[-4:], "big"):
        raise broken("PNG", "a checksum does not match")
    if chunk.type[:1].isupper() and chunk.type not in _KEPT:
        raise broken("PNG", "it has a critical chunk that no reader knows")


def _size(chunks: tuple[_Chunk, ...]) -> tuple[int, int]:
    types = [chunk.type for chunk in chunks]
    head = chunks[0].payload
    if types[0] != b"IHDR" or types.count(b"IHDR") != 1 or len(head) != 13:
        raise broken("PNG", "it does not start with exactly one header")
    if b"IDAT" not in types:
        raise broken("PNG", "it has no picture data")
    return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")


def _icc(chunks: tuple[_Chunk, ...]) -> bytes | None:
    """The profile of the first iCCP chunk: a name, a zero, the method, and deflated data. Unreadable counts as none."""
    packed = next((chunk.payload for chunk in chunks if chunk.type == b"iCCP"), b"")
    stream = packed.partition(b"\0")[2][1:]
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(stream, MOST_PROFILE_BYTES + 1)
    except zlib.error:
        return None
    if len(profile) > MOST_PROFILE_BYTES:
        raise broken("PNG", "its colour profile is over 4 MB")
    return profile or None
