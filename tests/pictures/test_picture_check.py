"""What a worker does with one picture: pixels are coded anew only where something forces it, and rightly."""

import base64
import hashlib
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms, ImageOps

from adapters.contract import ImageFormat
from gateway.pictures import check
from gateway.pictures.jobs import Clean, Compare
from gateway.pictures.sniff import INPUT, RESULT, BadPicture, Fault, Limits
from tests.pictures.samples import (
    ROCKET,
    SECRET,
    encoded,
    exif,
    foreign_profile,
    gradient,
    laden,
    opened,
    png_claiming,
    srgb_profile,
)

PNG, JPEG, WEBP = ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.WEBP


def clean(data: bytes, limits: Limits = INPUT, **options):
    return check.clean(data, Clean(limits=limits, **options))


def worst(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of any channel of any pixel."""
    assert one.size == other.size
    return max(ImageChops.difference(one.convert("RGB"), other.convert("RGB")).tobytes())


@pytest.mark.parametrize("format_", ImageFormat)
def test_an_upright_srgb_picture_keeps_its_coded_pixels(format_):
    before = laden(format_)
    found, data = clean(before)
    assert opened(data).tobytes() == opened(before).tobytes()
    assert SECRET not in data
    assert (found.format, found.width, found.height) == (format_, 48, 32)
    assert found.digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("format_", ImageFormat)
def test_orientation_is_turned_into_pixels(format_, value):
    before = encoded(gradient(), format_, exif=exif(value), **({} if format_ is PNG else {"quality": 95}))
    found, data = clean(before)
    after = opened(data)
    upright = ImageOps.exif_transpose(opened(before))
    assert after.size == upright.size == (found.width, found.height)
    assert worst(after, upright) <= (0 if format_ is PNG else 20)
    assert not after.getexif()


def test_a_foreign_profile_is_turned_into_srgb():
    found, data = clean(ROCKET)
    after, before = opened(data), opened(ROCKET)
    srgb = ImageCms.createProfile("sRGB")
    expected = ImageCms.profileToProfile(before, ImageCms.ImageCmsProfile(BytesIO(foreign_profile())), srgb)
    assert expected is not None
    assert worst(after, expected) < 32
    assert worst(expected, before) > 32
    assert "icc_profile" not in after.info
    assert (found.width, found.height) == (640, 427)


@pytest.mark.parametrize("source", ImageFormat)
@pytest.mark.parametrize("wanted", ImageFormat)
def test_nothing_of_the_metadata_survives_new_coding(source, wanted):
    data = clean(laden(source, orientation=6), wanted=wanted)[1]
    assert SECRET not in data
    assert {"exif", "icc_profile", "xmp", "comment", "dpi"}.isdisjoint(opened(data).info)


def test_a_foreign_profile_leaves_alpha_alone():
    image = gradient(mode="RGBA")
    image.putalpha(gradient(mode="L"))
    after = opened(clean(encoded(image, "png", icc_profile=foreign_profile()))[1])
    assert after.mode == "RGBA"
    assert after.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    assert worst(after, image) > 10


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 200])
def test_an_unusable_profile_counts_as_none(profile):
    before = encoded(gradient(), "png", icc_profile=profile)
    assert opened(clean(before)[1]).tobytes() == gradient().tobytes()


def test_an_srgb_profile_under_another_name_is_known_by_what_it_does():
    renamed = srgb_profile().replace("sRGB".encode("utf-16-be"), "Mine".encode("utf-16-be"))
    assert renamed != srgb_profile()
    before = encoded(gradient(), "jpeg", icc_profile=renamed)
    assert opened(clean(before)[1]).tobytes() == opened(before).tobytes()


def test_cmyk_becomes_rgb():
    before = encoded(gradient(mode="CMYK"), "jpeg", quality=95)
    after = opened(clean(before)[1])
    assert after.mode == "RGB"
    assert worst(after, gradient()) < 40


KINDS = {
    "grey": gradient(mode="L"),
    "black and white": gradient(mode="1"),
    "palette": gradient(mode="P"),
    "grey with alpha": gradient(mode="LA"),
    "alpha": gradient(mode="RGBA"),
    "16 bit": Image.frombytes("I;16", (48, 32), bytes(byte for v in range(1536) for byte in (255, v * 256 // 1536))),
}


@pytest.mark.parametrize("wanted", ImageFormat)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turned", [False, True])
def test_every_kind_of_png_becomes_every_format(kind, wanted, turned):
    before = encoded(KINDS[kind], "png", **({"exif": exif(3)} if turned else {}))
    found, data = clean(before, wanted=wanted)
    after = opened(data)
    assert (after.format, after.size) == (wanted.name, (48, 32))
    expected = check._flat(opened(before))
    expected = expected.transpose(Image.Transpose.ROTATE_180) if turned else expected
    assert worst(check._flat(after), expected) < (1 if wanted is PNG else 130)
    assert found.format is wanted


def test_sixteen_bits_become_eight_by_their_high_byte():
    after = opened(clean(encoded(KINDS["16 bit"], "png"), wanted=JPEG, quality=100)[1])
    values = after.tobytes()
    assert (values[0] <= 4, values[-1] >= 251) == (True, True)


def test_alpha_becomes_white_in_a_jpeg_and_stays_elsewhere():
    clear = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    before = encoded(clear, "png")
    assert min(opened(clean(before, wanted=JPEG)[1]).tobytes()) >= 254
    assert max(opened(clean(before, wanted=WEBP)[1]).getchannel("A").tobytes()) == 0


def test_quality_is_obeyed():
    image = opened(ROCKET).crop((0, 0, 200, 200))
    low, high = (len(clean(encoded(image, "png"), wanted=JPEG, quality=quality)[1]) for quality in (40, 95))
    assert low < high / 2


def test_blank_means_every_pixel():
    dot = Image.new("RGB", (400, 400), "navy")
    assert clean(encoded(dot, "png"))[0].blank
    assert clean(encoded(dot, "jpeg"))[0].blank
    assert clean(encoded(dot, "png"), wanted=JPEG)[0].blank
    dot.putpixel((200, 200), (0, 0, 160))  # too little to show in the reduced picture
    assert not clean(encoded(dot, "png"))[0].blank


def test_equal_pixels_are_equal_whatever_their_format():
    image = opened(ROCKET)
    image.info.clear()
    jpeg = encoded(image, "jpeg", quality=90)
    photo = opened(jpeg)
    assert same(jpeg, encoded(photo, "png"))
    assert same(jpeg, encoded(photo, "webp", lossless=True))
    assert same(jpeg, encoded(photo.convert("RGBA"), "png"))
    photo.putpixel((300, 200), (255, 0, 0))
    assert not same(jpeg, encoded(photo, "png"))
    assert not same(jpeg, encoded(photo.crop((0, 0, 320, 320)), "png"))


def same(one: bytes, other: bytes) -> bool:
    return check.compare(one + other, Compare(limits=RESULT, split=len(one))).equal


def test_only_a_format_without_loss_can_hold_the_very_pixels_of_another():
    assert not clean(encoded(gradient(), "jpeg"))[0].exact
    assert not clean(encoded(gradient(), "jpeg"), wanted=PNG)[0].exact
    assert clean(encoded(gradient(), "png"), wanted=JPEG)[0].exact
    assert clean(encoded(gradient(), "webp"))[0].exact


@pytest.mark.parametrize(
    ("data", "limits", "reason"),
    [
        (png_claiming(1, 2_000_000), INPUT, Fault.SIZE),
        (png_claiming(1, 2_000_000), RESULT, Fault.SIZE),
        (png_claiming(8000, 8000), RESULT, Fault.SIZE),
        (png_claiming(8, 8), INPUT, Fault.SIZE),
        (png_claiming(4000, 4000), INPUT, Fault.BROKEN),
        (bytes(20_000_001), INPUT, Fault.TOO_LARGE),
        (b"%PDF-1.7", INPUT, Fault.UNSUPPORTED),
    ],
)
def test_limits_come_before_the_decoder(data, limits, reason):
    with pytest.raises(BadPicture) as refused:
        clean(data, limits=limits)
    assert refused.value.reason is reason


def test_base64_is_decoded_strictly_and_its_declared_type_is_checked():
    text = base64.b64encode(encoded(gradient(), "png"))
    assert clean(text, base64=True, declared=PNG)[0].format is PNG
    with pytest.raises(BadPicture, match="says image/jpeg, but the picture is image/png") as refused:
        clean(text, base64=True, declared=JPEG)
    assert refused.value.reason is Fault.MISDECLARED


def test_pixel_data_that_ends_early_inside_a_whole_container_is_refused():
    whole = encoded(gradient(), "webp", lossless=True)
    cut = whole[: len(whole) // 2]
    body = cut[8:16] + (len(cut) - 20).to_bytes(4, "little") + cut[20:] + b"\0" * (len(cut) % 2)
    with pytest.raises(BadPicture, match="damaged") as refused:
        clean(b"RIFF" + len(body).to_bytes(4, "little") + body)
    assert refused.value.reason is Fault.BROKEN


MUTATED = {format_: laden(format_, orientation=6) for format_ in ImageFormat}


@pytest.mark.parametrize("format_", ImageFormat)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_mutation_makes_a_check_raise_anything_but_bad_picture(format_, data):
    mutant = bytearray(MUTATED[format_])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(mutant) - 1))
        mutant[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=5))
    try:
        _, cleaned = clean(bytes(mutant))
    except BadPicture:
        return
    assert not opened(cleaned).getexif()
