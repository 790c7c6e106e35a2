"""What must be installed for what is asked, found without importing it."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from gateway.local.dev.options import Options

NEEDED = ("torch", "diffusers", "transformers", "safetensors", "accelerate")
INSTALL = "pip install 'kontext-gateway[local]'"
FOR_QUANTIZE = {"bnb4": "bitsandbytes", "bnb8": "bitsandbytes", "torchao-int8": "torchao"}


def missing(options: Options) -> dict[str, str]:
    """Each missing library, with the command that installs it."""
    wanted: dict[str, str] = {}
    wanted.update((name, INSTALL) for name in NEEDED)
    if options.quantize:
        wanted[FOR_QUANTIZE[options.quantize]] = f"pip install {FOR_QUANTIZE[options.quantize]}"
    if options.gguf:
        wanted["gguf"] = "pip install gguf"
    if options.lora:
        wanted["peft"] = "pip install peft"
    return {name: how for name, how in wanted.items() if find_spec(name) is None}


def installed() -> dict[str, str | None]:
    return {name: _version(name) for name in NEEDED}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
