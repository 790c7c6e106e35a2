"""What server and worker say to each other: a length, then one message in MessagePack."""

import struct
from typing import IO, TypeVar

import msgspec

_LENGTH = struct.Struct(">I")
Size = tuple[int, int]
SEEDS = 2**63


class Pixels(msgspec.Struct, frozen=True):
    """Raw RGB, or one channel for a mask."""

    size: Size
    data: bytes

    def __repr__(self) -> str:
        return f"Pixels({self.size[0]}x{self.size[1]})"


class Order(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """One edit, ready for the pipeline: `size` is what it makes, `seed` that of the first of `count` pictures."""

    id: str
    prompt: str
    picture: Pixels
    mask: Pixels | None
    size: Size
    seed: int
    count: int
    steps: int
    guidance: float
    negative_prompt: str | None
    true_cfg_scale: float

    def seed_of(self, number: int) -> int:
        """Of the picture of that number, from 0; after the largest seed comes the first."""
        return (self.seed + number) % SEEDS

    def __repr__(self) -> str:
        return f"Order({self.id}, {self.size[0]}x{self.size[1]}, {self.count} pictures, {self.steps} steps)"


class Cancel(msgspec.Struct, frozen=True, tag=True):
    id: str


class Memory(msgspec.Struct, frozen=True):
    """In bytes. `used` and `peak` are the device's, or the process's on a CPU."""

    device: str
    used: int
    peak: int
    total: int


class Ready(msgspec.Struct, frozen=True, tag=True):
    """`step_s`: seconds of one step in the warm-up at full size; None without one."""

    device: str
    dtype: str
    offload: str
    memory: Memory
    load_s: float
    step_s: float | None


class NotLoaded(msgspec.Struct, frozen=True, tag=True):
    """The weights cannot be served; the message is for the operator."""

    message: str


class Step(msgspec.Struct, frozen=True, tag=True):
    """`done` of `steps`, counted over all pictures of the edit."""

    id: str
    done: int
    steps: int


class Finished(msgspec.Struct, frozen=True, tag=True):
    """`unread`: what of the order's words the model did not read, in words."""

    id: str
    pictures: tuple[Pixels, ...]
    seconds: float
    memory: Memory
    unread: tuple[str, ...] = ()


class Stopped(msgspec.Struct, frozen=True, tag=True):
    """As the sender wished, after `done` steps."""

    id: str
    done: int


class Broken(msgspec.Struct, frozen=True, tag=True):
    """The edit failed, the worker goes on. `what` is `out_of_memory` or the name of the exception."""

    id: str
    what: str
    memory: Memory


ToWorker = Order | Cancel
ToServer = Ready | NotLoaded | Step | Finished | Stopped | Broken

M = TypeVar("M")


def write(stream: IO[bytes], message: ToWorker | ToServer) -> None:
    body = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def read(stream: IO[bytes], decoder: msgspec.msgpack.Decoder[M]) -> M | None:
    """The next message; None when the other side is gone, also in the middle of one."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    return decoder.decode(body) if len(body) == length else None
