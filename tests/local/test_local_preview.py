"""The engine as a function: bytes and a prompt in, a stamped file and an account of what was done out."""

import io
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms

from gateway.local import pictures, stamp
from gateway.local.pictures import BadPicture
from gateway.local.preview import MOST_OPERATIONS, render


def file(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def noise(size: tuple[int, int] = (320, 240), mode: str = "RGB") -> Image.Image:
    return Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * i).resize(size) for i in range(3)]).convert(mode)


PHOTO = file(noise())


def has_badge(data: bytes, size: tuple[int, int]) -> bool:
    """Whether the badge's dark paper, light letters and amber edge lie at the top left."""
    expected = stamp.badge(size)
    corner = min(size) // 50
    found = opened(data).convert("RGB").crop((corner, corner, corner + expected.width, corner + expected.height))
    off = ImageChops.difference(found, expected).convert("L").histogram()
    return sum(off[:64]) > 0.95 * expected.width * expected.height


def test_the_badge_can_be_seen():
    drawn = stamp.badge((320, 240)).convert("L")
    light, dark = sum(drawn.histogram()[180:]), sum(drawn.histogram()[:60])
    assert light > 100
    assert dark > 3 * light
    assert drawn.width > 80


PROMPTS = [
    "make it grayscale",
    "paint a cat",
    "invert it",
    'add text "PREVIEW" at the top left',
    "brighten it 300%",
    "!",
]


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("colour", ["white", "black", "#111827"])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_stamp_is_on_every_picture(prompt: str, colour: str, form: pictures.Format):
    rendered = render(file(Image.new("RGB", (320, 240), colour)), prompt, format=form, quality=60)
    assert has_badge(rendered.data, (320, 240))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_any_prompt_renders_the_same_twice_and_is_stamped(prompt: str):
    first, second = render(PHOTO, prompt), render(PHOTO, prompt)
    assert first == second
    assert has_badge(first.data, (320, 240))
    assert bool(first.applied or first.not_applied) == bool(prompt.strip())


@pytest.mark.parametrize("size", [(16, 16), (16, 400), (400, 16), (64, 48), (1000, 90)])
def test_small_and_narrow_pictures_are_stamped_too(size: tuple[int, int]):
    rendered = render(file(noise(size)), "paint a cat; remove the dog", size=size)
    assert (rendered.width, rendered.height) == size
    assert has_badge(rendered.data, size)


def test_lone_surrogates_and_full_length_prompts_are_rendered():
    assert render(PHOTO, "don't \ud800 blur it").not_applied == ("don't \ufffd\ufffd\ufffd blur it",)
    assert len(render(PHOTO, "猫 " * 16_000).not_applied[0]) > 31_000


@pytest.mark.parametrize(("form", "key"), [("png", "Comment"), ("jpeg", None), ("webp", None)])
def test_the_file_says_what_it_is(form: pictures.Format, key: str | None):
    picture = opened(render(PHOTO, "sepia", format=form).data)
    assert picture.format == form.upper()
    said = picture.info[key] if key else picture.getexif()[0x010E]
    software = picture.info["Software"] if key else picture.getexif()[0x0131]
    assert "not AI" in said
    assert software.startswith("kontext preview")


def test_what_was_done_is_told_with_its_arguments():
    rendered = render(PHOTO, "rotate it 90 degrees left, add a red 4px border and make the mug blue")
    assert [(done.op, done.args) for done in rendered.applied] == [
        ("rotate", {"degrees": 270}),
        ("border", {"colour": "red", "width_px": 4}),
    ]
    assert rendered.not_applied == ("make the mug blue",)
    assert (rendered.width, rendered.height) == (248, 328)


def strip_rows(data: bytes) -> list[int]:
    """The rows that differ from the picture, outside the badge's columns."""
    off = ImageChops.difference(opened(data).convert("RGB"), noise()).crop((200, 0, 320, 240))
    box = off.getbbox()
    return [] if box is None else list(range(box[1], box[3]))


def test_only_what_was_not_applied_draws_a_strip_in_the_lower_third():
    assert strip_rows(render(PHOTO, "flip it, flip it").data) == []
    rows = strip_rows(render(PHOTO, "paint a cat, " * 500).data)
    assert rows[-1] == 239
    assert rows[0] >= 160
    assert len(rows) > 10


def test_the_strip_shows_different_words_for_different_clauses():
    assert render(PHOTO, "paint a cat").data != render(PHOTO, "paint a dog").data


def test_the_strip_does_not_hide_a_text_at_the_bottom():
    alone = opened(render(PHOTO, 'add text "SALE" at the bottom').data)
    both = opened(render(PHOTO, 'add text "SALE" at the bottom, paint a cat').data)
    low = (0, 190, 320, 240)
    assert both.crop(low).tobytes() == alone.crop(low).tobytes()
    assert both.tobytes() != alone.tobytes()


@pytest.mark.parametrize("size", [(320, 240), (100, 300), (17, 500), (512, 512)])
def test_the_size_asked_for_is_filled_without_distortion(size: tuple[int, int]):
    square = Image.new("RGB", (300, 300), "navy")
    square.paste("yellow", (140, 140, 160, 160))
    rendered = render(file(square), "sharpen", size=size)
    picture = opened(rendered.data).convert("RGB")
    assert picture.size == size == (rendered.width, rendered.height)
    if min(size) > 50:
        yellow = picture.split()[0].point([0] * 128 + [255] * 128).crop((0, size[1] // 3, *size)).getbbox()
        assert yellow is not None
        assert abs((yellow[2] - yellow[0]) - (yellow[3] - yellow[1])) <= 2


def mask_file(kind: str, size: tuple[int, int] = (320, 240)) -> bytes:
    """Selects the box (150, 100)–(250, 150), said in OpenAI's way or by brightness."""
    if kind == "alpha":
        mask = Image.new("RGBA", size, (255, 255, 255, 255))
        mask.paste((0, 0, 0, 0), (150, 100, 250, 150))
    else:
        mask = Image.new("L", size, 0)
        mask.paste(255, (150, 100, 250, 150))
    return file(mask)


@pytest.mark.parametrize("kind", ["alpha", "brightness"])
@pytest.mark.parametrize(
    "prompt", ["invert it", "blur it by 9", "pixelate it", "flip it", 'add text "X"', "make it sepia"]
)
def test_only_the_inside_of_the_mask_changes(kind: str, prompt: str):
    rendered = render(PHOTO, prompt, mask=mask_file(kind))
    off = ImageChops.difference(opened(rendered.data), opened(render(PHOTO, "flip it, flip it").data)).getbbox()
    assert len(rendered.applied) == 1
    assert off is not None
    assert off[0] >= 150
    assert off[1] >= 100
    assert off[2] <= 250
    assert off[3] <= 150


def test_a_half_clear_mask_edits_by_half():
    mask = file(Image.new("RGBA", (320, 240), (0, 0, 0, 128)))
    picture = opened(render(file(Image.new("RGB", (320, 240), "black")), "invert it", mask=mask).data)
    value = picture.convert("L").getpixel((300, 200))
    assert isinstance(value, int)
    assert 120 <= value <= 135


@pytest.mark.parametrize("prompt", ["rotate 90 degrees", "crop to a square", "resize to 64x64", "add a border"])
def test_what_moves_the_outline_is_not_done_under_a_mask(prompt: str):
    assert render(PHOTO, prompt, mask=mask_file("alpha")).not_applied == (prompt,)


def test_a_prompt_of_many_blurs_costs_a_few_and_says_so():
    rendered = render(PHOTO, "flip it, " * 30)
    assert len(rendered.applied) == MOST_OPERATIONS
    assert len(rendered.not_applied) == 30 - MOST_OPERATIONS


def test_a_camera_s_orientation_is_followed():
    lying = Image.new("RGB", (200, 100), "blue")
    lying.paste("red", (0, 0, 200, 30))  # the top of what the sensor saw
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right
    picture = opened(render(file(lying, "JPEG", exif=exif, quality=95), "flip it vertically").data)
    assert picture.size == (100, 200)
    red, blue = picture.getpixel((90, 150)), picture.getpixel((10, 150))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert red[0] > 200 > 50 > red[2]
    assert blue[2] > 200


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGBA", "CMYK"])
def test_every_kind_of_pixels_is_understood(mode: str):
    picture = Image.new("I;16", (320, 240), 40_000) if mode == "I;16" else noise(mode=mode)
    assert len(render(file(picture, "JPEG" if mode == "CMYK" else "PNG"), "invert it").applied) == 1


def test_sixteen_bits_are_scaled_not_clipped():
    gray = Image.new("I;16", (64, 64), 0x8000)
    assert pictures.decode(file(gray)).getpixel((5, 5)) == (128, 128, 128)


def test_an_srgb_profile_changes_no_pixel_and_a_broken_one_is_ignored():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert pictures.decode(file(noise(), icc_profile=srgb)).tobytes() == noise().tobytes()
    assert pictures.decode(file(noise(), icc_profile=b"no profile")).tobytes() == noise().tobytes()


def test_transparency_is_kept_in_png_and_becomes_white_in_jpeg():
    clear = file(Image.new("RGBA", (200, 200), (255, 0, 0, 0)))
    assert opened(render(clear, "invert it").data).getpixel((199, 199)) == (0, 255, 255, 0)
    assert opened(render(clear, "invert it", format="jpeg").data).getpixel((199, 199)) == (255, 255, 255)


def two_frames(form: str) -> bytes:
    return file(noise(), form, save_all=True, append_images=[Image.new("RGB", (320, 240))])


def test_a_phone_s_second_picture_in_a_jpeg_is_no_animation():
    assert render(two_frames("MPO"), "invert it").applied


REFUSED = {
    "nothing": (b"", "not a PNG"),
    "text": (b"just words" * 100, "not a PNG"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
    "gif": (file(noise(), "GIF"), "not a PNG"),
    "cut short": (PHOTO[: len(PHOTO) // 2], "damaged"),
    "animated png": (two_frames("PNG"), "animation"),
    "animated webp": (two_frames("WEBP"), "animation"),
    "narrow": (file(Image.new("L", (8, 300))), "8x300"),
    "long": (file(Image.new("1", (16, 9000))), "16x9000"),
    "many pixels": (file(Image.new("1", (6000, 6000))), "25,000,000"),
    "a bomb": (file(Image.new("1", (20_000, 20_000))), "25,000,000"),
    "heavy": (PHOTO + b"\0" * pictures.MAX_BYTES, "20,000,000"),
}


@pytest.mark.parametrize(("data", "said"), REFUSED.values(), ids=REFUSED)
def test_a_picture_that_is_none_or_too_much_is_refused_with_the_reason(data: bytes, said: str):
    with pytest.raises(BadPicture, match=said) as refusal:
        render(data, "sepia")
    assert refusal.value.param == "image"


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (mask_file("alpha", (240, 320)), "240x320"),
        (file(Image.new("RGBA", (320, 240), "white")), "selects nothing"),
        (file(Image.new("L", (320, 240), 0)), "selects nothing"),
        (b"words", "not a PNG"),
    ],
)
def test_a_mask_that_fits_nothing_is_refused(mask: bytes, said: str):
    with pytest.raises(BadPicture, match=said) as refusal:
        render(PHOTO, "sepia", mask=mask)
    assert refusal.value.param == "mask"


def test_no_repr_holds_the_picture():
    assert len(repr(render(PHOTO, "sepia"))) < 100
