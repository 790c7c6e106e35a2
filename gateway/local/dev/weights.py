"""A folder of weights, checked without torch and before anything slow starts.

diffusers alone would take a missing folder for a hub id, and pickle files for weights.
"""

import struct
from pathlib import Path

import msgspec

PIPELINE = "FluxKontextPipeline"
MODELS = ("transformer", "text_encoder", "text_encoder_2", "vae")
LICENCE = "FLUX.1 Kontext [dev] Non-Commercial License"
NOTICE = (
    f"The weights of FLUX.1 Kontext [dev] are under the {LICENCE}: commercial use on your own machines needs\n"
    "Black Forest Labs' paid terms (bfl.ai/licensing). FLUX.2 [klein] 4B is Apache-2.0 and edits pictures too:\n"
    "see docs/local.md for a server of it. Nothing here filters what the model makes."
)

# Bytes in bfloat16 of the real model, for a hub id whose files are not seen: 33.76 GB for all parts (measured report,
# xDiT 416), of which the transformer has 22.6 GB (Hugging Face's diffusers benchmarks, the same architecture).
PUBLISHED = {"transformer": 22_600_000_000, "text_encoder_2": 10_750_000_000, "text_encoder": 250_000_000,
             "vae": 160_000_000}  # fmt: skip


class BadWeights(Exception):  # noqa: N818 - it names what was given, not what broke
    """The weights cannot be served; the text says what was expected and what to do."""


class Folder(msgspec.Struct, frozen=True):
    """Bytes of weights by component, and the licence file that lies with them."""

    path: str
    sizes: dict[str, int]
    licence: str | None

    @property
    def total(self) -> int:
        return sum(self.sizes.values())


def find(weights: str, gguf: str | None = None) -> Folder | None:
    """The folder, checked; None for a hub id, whose files only the hub's library knows.

    Raises:
        BadWeights: there is no such folder, it is of another pipeline, a part is missing, cut off, or pickled.
    """
    path = Path(weights).expanduser()
    if path.is_dir():
        return check(path, gguf)
    if path.exists() or weights.count("/") != 1 or weights.startswith(("/", ".", "~")):
        raise BadWeights(
            f"there is no folder {weights}. Give a folder that a diffusers pipeline was saved in (it has a"
            " model_index.json), or a hub id such as black-forest-labs/FLUX.1-Kontext-dev"
        )
    return None


def check(path: Path, gguf: str | None = None) -> Folder:
    """As `find`, for a folder that is there."""
    try:
        index = msgspec.json.decode((path / "model_index.json").read_bytes(), type=dict[str, object])
    except OSError:
        raise BadWeights(f"{path} has no model_index.json; it must be a folder of diffusers' format") from None
    except msgspec.DecodeError:
        raise BadWeights(f"{path / 'model_index.json'} is not valid JSON; copy the folder again") from None
    if index.get("_class_name") != PIPELINE:
        raise BadWeights(f"{path} is of {index.get('_class_name')}; this engine serves {PIPELINE}")
    own = [name for name in MODELS if not (gguf and name == "transformer")]
    sizes = {name: sum(_checked(file) for file in _files(path / name)) for name in own}
    licences = sorted(file.name for file in path.glob("LICENSE*"))
    return Folder(str(path), sizes, licences[0] if licences else None)


def _files(component: Path) -> list[Path]:
    found = sorted(component.glob("*.safetensors"))
    if found:
        return found
    pickled = sorted(file.name for file in component.glob("*") if file.suffix in {".bin", ".pt", ".ckpt", ".pth"})
    if pickled:
        raise BadWeights(
            f"{component} has only pickled weights ({pickled[0]}), which can run code when they are loaded. Only"
            " .safetensors are read: download the folder in that format, or convert it where you trust it"
        )
    raise BadWeights(f"{component} has no .safetensors file; the download is not complete")


def _checked(file: Path) -> int:
    """The file's bytes, if its header and its length agree."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        header = stream.read(length) if 8 + length <= size else b""
    try:
        entries = msgspec.json.decode(header, type=dict[str, dict[str, object]])
        end = max((msgspec.convert(entry["data_offsets"], tuple[int, int])[1] for name, entry in entries.items()
                   if name != "__metadata__"), default=0)  # fmt: skip
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError):
        raise BadWeights(f"{file} is damaged: its header cannot be read. Copy or download it again") from None
    if 8 + length + end != size:
        raise BadWeights(f"{file} is cut off: {size:,} bytes of {8 + length + end:,}. Copy or download it again")
    return size
