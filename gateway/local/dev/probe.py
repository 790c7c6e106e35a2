"""`python -m gateway.local.dev.probe`: what torch sees of this machine, as JSON."""

import os
import sys
from importlib import import_module

import msgspec

from gateway.local.dev import memory


class Card(msgspec.Struct, frozen=True):
    name: str
    free: int
    total: int
    bfloat16: bool


class Machine(msgspec.Struct, frozen=True):
    """Bytes; of cards, CUDA's alone are counted, since MPS shares the machine's memory."""

    cards: tuple[Card, ...]
    mps: bool
    cores: int
    free: int
    total: int


def seen() -> Machine:
    torch = import_module("torch")
    cards = tuple(_card(torch.cuda, number) for number in range(torch.cuda.device_count()))
    total = memory.measured("cpu", torch).total
    return Machine(
        cards, bool(torch.backends.mps.is_available()), os.cpu_count() or 1, memory.free("cpu", torch), total
    )


def _card(cuda: memory.Torch, number: int) -> Card:
    free, total = cuda.mem_get_info(number)
    return Card(cuda.get_device_name(number), free, total, cuda.is_bf16_supported())


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(seen()))
