"""WebP taken apart (RFC 9649): a RIFF list of chunks, where one holds the coded picture and one may hold its alpha.

A picture without a separate alpha chunk is written in the simple form, which has no place for anything else.
"""

from collections.abc import Iterator

from msgspec import Struct

from gateway.pictures.container import MOST_PROFILE_BYTES, Container, animated, bounded, broken

_ANIMATION, _ALPHA = 0x02, 0x10  # bits of the extended header


class _Chunk(Struct, frozen=True):
    type: bytes
    payload: bytes


def parse(data: bytes) -> Container:
    """Raises `BadPicture` for whatever is not one complete still WebP."""
    chunks = bounded("WEBP", _chunks(data))
    extended = _first(chunks, b"VP8X")
    if _is_animated(chunks, extended):
        raise animated("WEBP")
    coded = next((chunk for chunk in chunks if chunk.type in _SIZES), None)
    if coded is None:
        raise broken("WEBP", "it has no picture data")
    width, height = _SIZES[coded.type](coded.payload)
    if extended is not None and _canvas(extended) != (width, height):
        raise broken("WEBP", "its canvas and its picture differ in size")
    has_alpha = extended is not None and extended[0] & _ALPHA
    alpha = _first(chunks, b"ALPH") if has_alpha and coded.type == b"VP8 " else None
    profile = _first(chunks, b"ICCP")
    if profile is not None and len(profile) > MOST_PROFILE_BYTES:
        raise broken("WEBP", "its colour profile is over 4 MB")
    return Container(
        data=_write(coded, alpha, width, height), width=width, height=height, exif=_exif(chunks), icc=profile
    )


def _chunks(data: bytes) -> Iterator[_Chunk]:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise broken("WEBP", "it ends early")
    position = 12
    while position + 8 <= end:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        if position + 8 + length > end:
            raise broken("WEBP", "a chunk runs over the end")
        yield _Chunk(data[position : position + 4], data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2


def _first(chunks: tuple[_Chunk, ...], type_: bytes) -> bytes | None:
    return next((chunk.payload for chunk in chunks if chunk.type == type_), None)


def _is_animated(chunks: tuple[_Chunk, ...], extended: bytes | None) -> bool:
    if extended is not None and len(extended) < 10:
        raise broken("WEBP", "its header is too short")
    flagged = extended is not None and bool(extended[0] & _ANIMATION)
    return flagged or any(chunk.type in (b"ANIM", b"ANMF") for chunk in chunks)


def _canvas(extended: bytes) -> tuple[int, int]:
    return int.from_bytes(extended[4:7], "little") + 1, int.from_bytes(extended[7:10], "little") + 1


def _lossy_size(payload: bytes) -> tuple[int, int]:
    """From the key frame's header (RFC 6386, 9.1): 14 bits each, above them a scale that decoders ignore."""
    if len(payload) < 10 or payload[3:6] != b"\x9d\x01\x2a":
        raise broken("WEBP", "its picture data has no key frame")
    return int.from_bytes(payload[6:8], "little") & 0x3FFF, int.from_bytes(payload[8:10], "little") & 0x3FFF


def _lossless_size(payload: bytes) -> tuple[int, int]:
    if len(payload) < 5 or payload[0] != 0x2F:
        raise broken("WEBP", "its lossless data has no signature")
    bits = int.from_bytes(payload[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


_SIZES = {b"VP8 ": _lossy_size, b"VP8L": _lossless_size}


def _exif(chunks: tuple[_Chunk, ...]) -> bytes | None:
    exif = _first(chunks, b"EXIF")
    return None if exif is None else exif.removeprefix(b"Exif\0\0")  # some writers keep JPEG's prefix


def _write(coded: _Chunk, alpha: bytes | None, width: int, height: int) -> bytes:
    chunks = [coded]
    if alpha is not None:
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunks = [_Chunk(b"VP8X", bytes((_ALPHA, 0, 0, 0)) + sides), _Chunk(b"ALPH", alpha), coded]
    body = b"WEBP" + b"".join(_chunk_bytes(chunk) for chunk in chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _chunk_bytes(chunk: _Chunk) -> bytes:
    return chunk.type + len(chunk.payload).to_bytes(4, "little") + chunk.payload + b"\0" * (len(chunk.payload) % 2)
