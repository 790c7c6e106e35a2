"""What the command's flags say about the engine; it travels to the worker as JSON."""

from typing import Literal, get_args

import msgspec

Device = Literal["auto", "cuda", "mps", "cpu"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]
Offload = Literal["auto", "none", "model", "sequential"]
Quantize = Literal["bnb4", "bnb8", "torchao-int8"]

DEVICES: tuple[str, ...] = get_args(Device)
DTYPES: tuple[str, ...] = get_args(Dtype)
OFFLOADS: tuple[str, ...] = get_args(Offload)
QUANTIZES: tuple[str, ...] = get_args(Quantize)

MOST_STEPS = 50


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`weights`: a folder, or a hub id. `gguf`: a file that replaces the transformer. `lora`: folders or files.
    `max_pixels`: what the model makes at most; a larger picture is an enlargement. `threads`: torch's, None its own
    choice. `timeout_s`: how long the worker may take for one edit before it is ended."""

    weights: str
    device: Device = "auto"
    dtype: Dtype = "auto"
    offload: Offload = "auto"
    attention: str | None = None
    download: bool = False
    quantize: Quantize | None = None
    gguf: str | None = None
    lora: tuple[str, ...] = ()
    steps: int = 28
    guidance: float = 2.5
    max_pixels: int = 1024 * 1024
    threads: int | None = None
    warm_up: bool = True
    timeout_s: float = 900.0
