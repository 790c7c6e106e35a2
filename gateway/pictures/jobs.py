"""What the gateway and a worker process say to each other: small tagged structs, with the picture's bytes behind them.

msgspec and not pickle: a worker that a picture has taken over can answer nonsense, but it cannot run code here.
"""

import struct

import msgspec
from msgspec import Struct

from adapters.contract import ImageFormat, MaskMeaning
from gateway.pictures.sniff import Fault, Limits


class Clean(Struct, frozen=True, kw_only=True, tag=True):
    """Check one picture and give it back clean, in format `wanted` (None: its own). `quality` is for re-encoding.

    `base64`: the bytes are base64 text. `declared`: what a data URI said they are.
    """

    limits: Limits
    wanted: ImageFormat | None = None
    quality: int = 95
    base64: bool = False
    declared: ImageFormat | None = None


class Compare(Struct, frozen=True, kw_only=True, tag=True):
    """Have two pictures the same pixels? The first ends at `split`; `base64`: the second is base64 text."""

    limits: Limits
    split: int
    base64: bool = False


class Convert(Struct, frozen=True, kw_only=True, tag=True):
    """Give back a mask, which means what an edit's mask means, as a PNG in another meaning."""

    limits: Limits
    meaning: MaskMeaning


class Ping(Struct, frozen=True, tag=True):
    """Answered once a worker has loaded its decoders."""


class Cleaned(Struct, frozen=True, kw_only=True, tag=True):
    """`digest`: SHA-256 of the clean bytes, in hex. `exact`: it came in a format that can hold another picture's very
    pixels. `blank`: all pixels have one colour."""

    format: ImageFormat
    width: int
    height: int
    digest: str
    exact: bool
    blank: bool


class Compared(Struct, frozen=True, tag=True):
    equal: bool


class Converted(Struct, frozen=True, tag=True):
    width: int
    height: int


class Ready(Struct, frozen=True, tag=True):
    pass


class Refused(Struct, frozen=True, tag=True):
    reason: Fault
    message: str


Job = Clean | Compare | Convert | Ping
Answer = Cleaned | Compared | Converted | Ready | Refused

LENGTHS = struct.Struct("<IQ")  # of the struct, and of the bytes behind it

_encoder = msgspec.msgpack.Encoder()
_job = msgspec.msgpack.Decoder(Job)
_answer = msgspec.msgpack.Decoder(Answer)

MOST_ANSWER_BYTES = 4096
MOST_PICTURE_BYTES = 256_000_000  # 25 megapixels of 16-bit RGBA that do not compress are 200 MB


def frame(message: Job | Answer, payload_bytes: int) -> bytes:
    """Everything that goes before the payload."""
    encoded = _encoder.encode(message)
    return LENGTHS.pack(len(encoded), payload_bytes) + encoded


def read_job(encoded: bytes) -> Job:
    return _job.decode(encoded)


def read_answer(encoded: bytes) -> Answer:
    """Raises `msgspec.MsgspecError` for anything else."""
    return _answer.decode(encoded)
