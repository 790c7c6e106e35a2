"""Picture bytes to checked pixels and back.

The format is told by the first bytes, whatever the sender declared: the OpenAI SDK sends raw bytes as octet-stream.
Everything inside works on upright sRGB pixels, RGB, or RGBA where the picture has transparency.
"""

import io
from typing import Literal

import msgspec
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

Format = Literal["png", "jpeg", "webp"]

MAX_BYTES = 20_000_000
MAX_PIXELS = 25_000_000
MIN_SIDE = 16
MAX_SIDE = 8192
FORMATS = ("PNG", "JPEG", "WEBP")


class BadPicture(ValueError):  # noqa: N818 - it names what was sent, not what broke
    """A picture that is refused; the text says what was expected and may be shown to the sender."""

    def __init__(self, message: str, param: Literal["image", "mask"] = "image") -> None:
        super().__init__(message)
        self.param = param


def allowed(size: tuple[int, int]) -> bool:
    return all(MIN_SIDE <= side <= MAX_SIDE for side in size) and size[0] * size[1] <= MAX_PIXELS


def resized(picture: Image.Image, size: tuple[int, int], how: Image.Resampling) -> Image.Image:
    return picture.resize(size, how)  # pyright: ignore[reportUnknownMemberType]  # Pillow's hint names numpy, not here


def mapped(picture: Image.Image, table: list[int]) -> Image.Image:
    """Each value replaced by its entry in the table (256 entries a channel; 65,536 for mode I), as 8 bits."""
    mode = "L" if picture.mode == "I" else None
    return picture.point(table, mode)  # pyright: ignore[reportUnknownMemberType]  # as above


def decode(data: bytes, param: Literal["image", "mask"] = "image") -> Image.Image:
    """Upright RGB or RGBA pixels; `param` is the name under which a refusal speaks of the picture.

    Raises:
        BadPicture: not a PNG, JPEG or WEBP, several frames, damaged, or beyond a limit.
    """
    try:
        return _decode(data)
    except BadPicture as error:
        raise BadPicture(f"the {param} {error}", param) from error.__cause__


def _decode(data: bytes) -> Image.Image:
    if len(data) > MAX_BYTES:
        raise BadPicture(f"has {len(data):,} bytes; send at most {MAX_BYTES:,}")
    try:
        with _open(data) as opened:
            _check(opened)
            opened.load()
            return _upright_srgb(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(f"has more than {MAX_PIXELS:,} pixels") from None
    except Image.UnidentifiedImageError:
        raise BadPicture("is not a PNG, JPEG or WEBP picture") from None
    except BadPicture:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:  # what Pillow's decoders raise
        raise BadPicture("is damaged and cannot be decoded; send a whole PNG, JPEG or WEBP") from error


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _check(opened: Image.Image) -> None:
    """Looks at the header alone, before any pixel is decoded."""
    if not allowed(opened.size):
        raise BadPicture(
            f"is {opened.width}x{opened.height}; each side must be {MIN_SIDE} to {MAX_SIDE} pixels,"
            f" and at most {MAX_PIXELS:,} pixels in all"
        )
    # A phone's JPEG may carry a depth or brightness map as a second "frame" (MPO): its first picture is the photograph.
    if opened.format in {"PNG", "WEBP"} and getattr(opened, "n_frames", 1) > 1:
        raise BadPicture("is an animation; send one frame")


def _upright_srgb(opened: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(opened)
    if upright.mode.startswith("I"):  # 16 bits a channel; a plain convert would clip instead of scale
        upright = mapped(upright.convert("I"), [value >> 8 for value in range(65536)])
    profile = opened.info.get("icc_profile")
    plain = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    if profile and opened.mode in {"RGB", "RGBA"}:
        return _to_srgb(plain, profile)
    return plain


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """A profile that is broken counts as sRGB, as browsers do."""
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(own):
            return picture
        converted = ImageCms.profileToProfile(picture, own, _srgb())
    except (ImageCms.PyCMSError, OSError):
        return picture
    return converted or picture


def _srgb() -> ImageCms.ImageCmsProfile:
    made = ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # untyped
    return ImageCms.ImageCmsProfile(made)  # pyright: ignore[reportUnknownArgumentType]  # as above


def mask_weights(data: bytes, size: tuple[int, int]) -> Image.Image:
    """How much each pixel may be edited, 0 to 255, from a mask of the picture's size.

    A mask with an alpha channel is OpenAI's (transparent = edit); any other says it by brightness (white = edit).

    Raises:
        BadPicture: not a picture, of another size, or selecting nothing.
    """
    mask = decode(data, "mask")
    if mask.size != size:
        raise BadPicture(
            f"the mask is {mask.width}x{mask.height}, the picture {size[0]}x{size[1]}; they must be alike", "mask"
        )
    weights = ImageOps.invert(mask.getchannel("A")) if mask.mode == "RGBA" else mask.convert("L")
    if weights.getbbox() is None:
        raise BadPicture(
            "the mask selects nothing: make the area to edit transparent, or white in a mask without alpha channel",
            "mask",
        )
    return weights


class Note(msgspec.Struct, frozen=True):
    """What the file says about itself."""

    software: str
    comment: str


def encode(picture: Image.Image, form: Format, quality: int | None, note: Note) -> bytes:
    """The picture as a file with the note in its metadata; JPEG has no alpha, so transparency becomes white there."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0131] = note.comment, note.software  # ImageDescription, Software
    out = io.BytesIO()
    match form:
        case "png":
            picture.save(out, "PNG", compress_level=3, pnginfo=_png_text(note))
        case "jpeg":
            on_white(picture).save(out, "JPEG", quality=95 if quality is None else quality, exif=exif)
        case "webp":
            picture.save(out, "WEBP", quality=90 if quality is None else quality, method=2, exif=exif)
    return out.getvalue()


def _png_text(note: Note) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", note.software)
    text.add_itxt("Comment", note.comment)
    return text


def on_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
