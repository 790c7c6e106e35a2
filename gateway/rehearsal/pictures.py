"""Pictures that are real and show where they came from: the input, cut to the asked size, tinted and labelled.

Making one takes tens of milliseconds, so it happens in a thread, and equal work is done once: a benchmark should
measure the gateway and not its stand-in.
"""

import asyncio
import hashlib
import io
import random
import warnings
from collections import OrderedDict
from collections.abc import Collection

import msgspec
from msgspec import Struct
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
TINTS = {"pro": (36, 92, 200), "max": (190, 60, 30), "dev": (40, 150, 80)}
TINT_STRENGTH = 0.22
LARGEST_LOSSY_BYTES = 130_000
QUALITIES = (85, 75, 65, 50, 35, 20)
KEPT_PICTURES = 256
KEPT_SOURCE_BYTES = 256 * 2**20
CAPTION_WORDS = 8
GRAIN = 7  # pixels


class NotAPictureError(Exception):
    """The bytes are no picture of an accepted type."""


class Source(Struct, frozen=True):
    """A reference picture, named by the SHA-256 of its bytes."""

    digest: str
    width: int
    height: int


class Recipe(Struct, frozen=True, kw_only=True):
    """All that decides a picture. `number` tells the pictures of one task apart; `format` is Pillow's name."""

    source: str | None
    width: int
    height: int
    model: str
    words: str
    format: str = "JPEG"
    quality: int = 85
    number: int = 0

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.format]


def first_words(prompt: str) -> str:
    return " ".join(prompt.split()[:CAPTION_WORDS])


class Studio:
    """Takes reference pictures in and makes results. `fast`: one ready picture per size and format for everybody."""

    def __init__(self, *, fast: bool = False) -> None:
        self._fast = fast
        self._sources: OrderedDict[str, bytes] = OrderedDict()
        self._source_bytes = 0
        self._made: OrderedDict[Recipe, asyncio.Task[bytes]] = OrderedDict()

    async def take_in(self, data: bytes, formats: Collection[str]) -> Source:
        """Check that `data` is a picture in one of Pillow's `formats`, and keep it. Raises `NotAPictureError`."""
        source = await asyncio.to_thread(_measure, data, tuple(formats))
        if source.digest not in self._sources:
            self._sources[source.digest] = data
            self._source_bytes += len(data)
        while self._source_bytes > KEPT_SOURCE_BYTES and len(self._sources) > 1:
            self._source_bytes -= len(self._sources.popitem(last=False)[1])
        return source

    async def picture(self, recipe: Recipe) -> bytes:
        if self._fast:
            recipe = msgspec.structs.replace(recipe, source=None, model="", words="", number=0)
        made = self._made.get(recipe)
        if made is None:
            source = self._sources.get(recipe.source or "")
            made = self._made[recipe] = asyncio.create_task(asyncio.to_thread(paint, recipe, source))
            if len(self._made) > KEPT_PICTURES:
                self._made.popitem(last=False)
        # Shielded: one caller who hangs up must not take the picture from the others.
        return await asyncio.shield(made)


def _measure(data: bytes, formats: tuple[str, ...]) -> Source:
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=formats) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image.load()
            width, height = image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombWarning) as wrong:
        raise NotAPictureError from wrong
    except Image.DecompressionBombError as wrong:
        raise NotAPictureError from wrong
    return Source(hashlib.sha256(data).hexdigest(), width, height)


def paint(recipe: Recipe, source: bytes | None) -> bytes:
    """The picture of a recipe; without a source (a link that the stand-in does not follow), over a pattern."""
    image = _pattern(recipe) if source is None else _cover(source, recipe.width, recipe.height)
    if recipe.model:
        tint = Image.new("RGB", image.size, TINTS.get(recipe.model, (120, 60, 160)))
        image = Image.blend(image, tint, TINT_STRENGTH)
    _caption(image, recipe)
    return _encode(image, recipe)


def _cover(source: bytes, width: int, height: int) -> Image.Image:
    with Image.open(io.BytesIO(source)) as image:
        image.draft("RGB", (width, height))  # lets a JPEG decode smaller, and so faster
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)


def _pattern(recipe: Recipe) -> Image.Image:
    """Blocks of grey, always the same for one size: busy enough for about 100 kB as JPEG and as PNG."""
    small = (recipe.width // GRAIN + 1, recipe.height // GRAIN + 1)
    grains = random.Random(recipe.number).randbytes(small[0] * small[1])  # noqa: S311 (a pattern, not a secret)
    blocks = ImageOps.scale(Image.frombytes("L", small, grains), GRAIN, Image.Resampling.NEAREST)
    cropped = blocks.crop((0, 0, recipe.width, recipe.height))
    return ImageOps.colorize(cropped, black=(70, 90, 120), white=(200, 205, 190))


def _caption(image: Image.Image, recipe: Recipe) -> None:
    text = " · ".join(part for part in ("REHEARSAL", recipe.model, recipe.words) if part)
    height = max(18, image.height // 24)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, image.height - height, image.width, image.height), fill=(16, 16, 20))
    font = ImageFont.load_default(size=int(height * 0.62))
    draw.text((height // 3, image.height - height // 2), text, fill=(245, 240, 225), font=font, anchor="lm")
    if recipe.number:
        draw.text((image.width - height, image.height - height // 2), f"#{recipe.number + 1}", font=font, anchor="rm")


def _encode(image: Image.Image, recipe: Recipe) -> bytes:
    if recipe.format == "PNG":
        return _saved(image, "PNG", compress_level=1)
    data = b""
    for quality in sorted({min(recipe.quality, q) for q in QUALITIES}, reverse=True):
        data = _saved(image, recipe.format, quality=quality)
        if len(data) <= LARGEST_LOSSY_BYTES:
            break
    return data


def _saved(image: Image.Image, picture_format: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, picture_format, **options)
    return out.getvalue()
