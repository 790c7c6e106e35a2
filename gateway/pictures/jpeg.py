"""JPEG taken apart (ITU-T T.81, annex B): a file is segments up to the start of scan, coded data, and so on to the end
marker.

JFIF and Adobe segments decide how colours are read, so they are kept, but written anew: the first may carry a
thumbnail, and both have room for other bytes.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from gateway.pictures.container import MOST_PROFILE_BYTES, Container, bounded, broken
from gateway.pictures.sniff import BadPicture, Fault

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_DHT, _DQT, _DRI = 0xC4, 0xDB, 0xDD
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive
_RARE_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})  # lossless, arithmetic …
_KEPT = _FRAMES | {_DHT, _DQT, _DRI, _SOS}
_BARE = frozenset({0x00, 0x01, _SOI, *range(0xD0, 0xD8)})  # markers without a length; none belongs between segments

_JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"
# Behind a scan: a marker that is neither a stuffed zero nor a restart. One 0xFF, not `\xff+`, which would backtrack
# over every run of fill bytes.
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_FILL = re.compile(rb"\xff+")
_MOST_SCANS = 100  # each scan of a few bytes costs a pass over all pixels; encoders write about ten


class _Segment(Struct, frozen=True):
    marker: int
    payload: bytes
    scan: bytes


def parse(data: bytes) -> Container:
    """Raises `BadPicture` for whatever is not one complete baseline, extended or progressive JPEG."""
    segments = bounded("JPEG", _segments(data))
    width, height = _size(segments)
    kept = b"".join(_rewritten(segment) for segment in segments)
    return Container(
        data=b"\xff\xd8" + kept + b"\xff\xd9", width=width, height=height, exif=_exif(segments), icc=_icc(segments)
    )


def _segments(data: bytes) -> Iterator[_Segment]:
    position, scans = 2, 0
    while True:
        marker, position = _marker(data, position)
        if marker == _EOI:
            return
        payload, position = _payload(data, position)
        scan = b""
        if marker == _SOS:
            scans += 1
            scan, position = _scan(data, position)
        if scans > _MOST_SCANS:
            raise BadPicture(Fault.BROKEN, f"the JPEG has more than {_MOST_SCANS} scans; export it as baseline")
        yield _Segment(marker, payload, scan)


def _marker(data: bytes, position: int) -> tuple[int, int]:
    fill = _FILL.match(data, position)
    if fill is None or fill.end() >= len(data):
        raise broken("JPEG", "it ends early" if position >= len(data) - 1 else "a segment does not start with a marker")
    marker = data[fill.end()]
    if marker in _BARE:
        raise broken("JPEG", "a marker is out of place")
    return marker, fill.end() + 1


def _payload(data: bytes, position: int) -> tuple[bytes, int]:
    end = position + int.from_bytes(data[position : position + 2], "big")
    if end < position + 2 or end > len(data):
        raise broken("JPEG", "a segment runs over the end")
    return data[position + 2 : end], end


def _scan(data: bytes, position: int) -> tuple[bytes, int]:
    found = _NEXT_MARKER.search(data, position)
    if found is None:
        raise broken("JPEG", "it ends early")
    return data[position : found.start()].rstrip(b"\xff"), found.start()


def _size(segments: tuple[_Segment, ...]) -> tuple[int, int]:
    markers = [segment.marker for segment in segments]
    if not _RARE_FRAMES.isdisjoint(markers):
        raise BadPicture(Fault.UNSUPPORTED, "this JPEG is lossless or arithmetic-coded; send baseline or progressive")
    frames = [segment for segment in segments if segment.marker in _FRAMES]
    if len(frames) != 1 or len(frames[0].payload) < 6:
        raise broken("JPEG", "it does not have exactly one frame")
    if _SOS not in markers or markers.index(_SOS) < markers.index(frames[0].marker):
        raise broken("JPEG", "it has no picture data")
    head = frames[0].payload
    return int.from_bytes(head[3:5], "big"), int.from_bytes(head[1:3], "big")


def _rewritten(segment: _Segment) -> bytes:
    """The bytes to keep of a segment; none for what no list names."""
    marker, payload = segment.marker, segment.payload
    if marker == _APP0 and payload.startswith(b"JFIF\0"):
        payload = _JFIF
    elif marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
        payload = b"Adobe\0\x64\0\0\0\0" + payload[11:12]  # version 100, no flags, the colour transform
    elif marker not in _KEPT:
        return b""
    return b"".join((b"\xff", bytes((marker,)), (len(payload) + 2).to_bytes(2, "big"), payload, segment.scan))


def _exif(segments: tuple[_Segment, ...]) -> bytes | None:
    head = b"Exif\0\0"
    found = (s.payload[len(head) :] for s in segments if s.marker == _APP1 and s.payload.startswith(head))
    return next(found, None)


def _icc(segments: tuple[_Segment, ...]) -> bytes | None:
    """The profile from its numbered pieces (ICC.1, annex B.4)."""
    head = b"ICC_PROFILE\0"
    pieces = [s.payload[len(head) :] for s in segments if s.marker == _APP2 and s.payload.startswith(head)]
    profile = b"".join(piece[2:] for piece in sorted(pieces, key=lambda piece: piece[:1]))
    if len(profile) > MOST_PROFILE_BYTES:
        raise broken("JPEG", "its colour profile is over 4 MB")
    return profile or None
