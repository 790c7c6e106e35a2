"""A mask from an edit's meaning into a server's.

An edit's mask says by its alpha channel what is edited (transparent), or without one by its brightness (white). Servers
read one or the other, and none says that it read the wrong one: it edits the wrong place.
"""

from io import BytesIO

from PIL import Image

from adapters.contract import MaskMeaning
from gateway.pictures import check
from gateway.pictures.jobs import Clean, Convert, Converted

_HALF = 128
"""OpenAI edits where alpha is 0 and nowhere else, so a soft edge is cut in its middle."""


def convert(data: bytes, job: Convert) -> tuple[Converted, bytes]:
    """Raises `BadPicture`."""
    edited = _edited(check.upright(check.inspect(data, Clean(limits=job.limits))))
    made = _as_alpha(edited) if job.meaning is MaskMeaning.ALPHA else edited
    buffer = BytesIO()
    made.save(buffer, "PNG")
    return Converted(made.width, made.height), buffer.getvalue()


def _edited(mask: Image.Image) -> Image.Image:
    """How much each pixel is edited: 255 wholly, 0 not at all."""
    mask = check.expanded(mask)
    if "A" not in mask.getbands():
        return mask.convert("L")
    return mask.getchannel("A").point([255 - alpha for alpha in range(256)])


def _as_alpha(edited: Image.Image) -> Image.Image:
    kept = edited.point([0 if value >= _HALF else 255 for value in range(256)])
    made = Image.new("RGBA", edited.size)
    made.putalpha(kept)
    return made
