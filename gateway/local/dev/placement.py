"""Where the model runs and in which numbers, by what the machine has, unless a flag says it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from gateway.local.dev import memory
from gateway.local.dev.options import Options, Quantize

GIB = 1024**3
WORKING = 4 * GIB  # activations and decoder at one megapixel, beside the weights: an estimate, not measured
ALL_ON_DEVICE, BY_MODEL, BY_LAYER = "none", "model", "sequential"


def device(options: Options, torch: Any) -> str:
    if options.device != "auto":
        return options.device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def dtype(options: Options, on: str, torch: Any) -> str:
    """bfloat16 is what the weights were trained in; older cards and CPUs are slow or wrong in it."""
    if options.dtype != "auto":
        return options.dtype
    if on == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "bfloat16" if on == "mps" else "float32"


def offload(options: Options, on: str, sizes: Mapping[str, int], torch: Any) -> str:
    if options.offload != "auto":
        return options.offload
    if on != "cuda":
        return ALL_ON_DEVICE
    shrink = {"bnb4": 0.3, "bnb8": 0.55, "torchao-int8": 0.55}.get(options.quantize or "", 1.0)
    return fitting({name: int(size * shrink) for name, size in sizes.items()}, memory.free(on, torch))


def fitting(sizes: Mapping[str, int], free: int) -> str:
    """All parts on the card if they fit, else the part at work, else the layer at work (slow)."""
    if sum(sizes.values()) + WORKING <= free:
        return ALL_ON_DEVICE
    return BY_MODEL if max(sizes.values()) + WORKING <= free else BY_LAYER


def quantization(how: Quantize, number: str, torch: Any) -> Any:
    """The two large parts in fewer bits."""
    pipe_config: Any = import_module("diffusers").PipelineQuantizationConfig
    match how:
        case "bnb4":
            backend = "bitsandbytes_4bit"
            kwargs = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
                      "bnb_4bit_compute_dtype": getattr(torch, number)}  # fmt: skip
        case "bnb8":
            backend, kwargs = "bitsandbytes_8bit", {"load_in_8bit": True}
        case "torchao-int8":
            kind: Any = import_module("torchao.quantization").Int8WeightOnlyConfig
            diffusers, transformers = import_module("diffusers"), import_module("transformers")
            mapping = {
                "transformer": diffusers.TorchAoConfig(kind()),
                "text_encoder_2": transformers.TorchAoConfig(kind()),
            }
            return pipe_config(quant_mapping=mapping)
    return pipe_config(
        quant_backend=backend, quant_kwargs=kwargs, components_to_quantize=["transformer", "text_encoder_2"]
    )
