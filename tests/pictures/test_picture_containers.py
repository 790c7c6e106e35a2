"""Containers are rewritten from an allow-list: the same pixels, and nothing else."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adapters.contract import ImageFormat
from gateway.pictures import jpeg, png, webp
from gateway.pictures.exif import orientation
from gateway.pictures.sniff import BadPicture, Fault
from tests.pictures.samples import (
    ROCKET,
    SECRET,
    encoded,
    exif,
    gradient,
    jpeg_segment,
    laden,
    opened,
    png_chunk,
    srgb_profile,
)

PARSERS = {ImageFormat.JPEG: jpeg.parse, ImageFormat.PNG: png.parse, ImageFormat.WEBP: webp.parse}
METADATA = {"exif", "icc_profile", "xmp", "comment", "photoshop", "parameters", "XML:com.adobe.xmp"}


@pytest.mark.parametrize("format_", ImageFormat)
def test_metadata_goes_and_every_pixel_stays(format_):
    before = laden(format_, orientation=6)
    container = PARSERS[format_](before)
    after = opened(container.data)
    assert SECRET in before
    assert SECRET not in container.data
    assert METADATA.isdisjoint(after.info)
    assert not after.getexif()
    assert after.tobytes() == opened(before).tobytes()
    assert (container.width, container.height) == after.size


@pytest.mark.parametrize("format_", ImageFormat)
def test_what_changes_the_look_is_handed_over(format_):
    container = PARSERS[format_](laden(format_, orientation=6))
    assert orientation(container.exif or b"") == 6
    assert container.icc == srgb_profile()


@pytest.mark.parametrize("format_", ImageFormat)
def test_a_clean_file_is_a_fixed_point(format_):
    once = PARSERS[format_](laden(format_))
    assert PARSERS[format_](once.data) == type(once)(data=once.data, width=once.width, height=once.height)


@pytest.mark.parametrize(
    "image",
    [
        gradient(mode="L"),
        gradient(mode="CMYK"),
        gradient(33, 17),
    ],
    ids=["grey", "cmyk", "odd"],
)
@pytest.mark.parametrize("progressive", [False, True])
def test_kinds_of_jpeg_keep_their_pixels(image, progressive):
    before = encoded(image, "jpeg", progressive=progressive, restart_marker_blocks=1)
    assert opened(jpeg.parse(before).data).tobytes() == opened(before).tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_kinds_of_png_keep_their_pixels_and_transparency(mode):
    image = Image.frombytes("I;16", (16, 16), bytes(range(256)) * 2) if mode == "I;16" else gradient(mode=mode)
    options = {"transparency": 3} if mode == "P" else {}
    before = encoded(image, "png", **options)
    after = opened(png.parse(before).data)
    assert (after.mode, after.tobytes()) == (opened(before).mode, opened(before).tobytes())
    assert after.info.get("transparency") == opened(before).info.get("transparency")


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_kinds_of_webp_keep_their_pixels_and_alpha(mode, lossless):
    image = gradient(33, 17, mode)
    if mode == "RGBA":
        image.putalpha(gradient(33, 17, "L"))
    before = encoded(image, "webp", lossless=lossless, exif=exif())
    after = opened(webp.parse(before).data)
    assert (after.mode, after.tobytes()) == (opened(before).mode, opened(before).tobytes())


def test_a_jfif_thumbnail_is_dropped_with_the_rest_of_its_segment():
    plain = encoded(gradient(), "jpeg")
    at = plain.index(b"JFIF\0")
    thumbnail = jpeg_segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\2\1" + SECRET[:6])
    before = plain[: at - 4] + thumbnail + plain[at + 14 :]
    assert opened(before).size == (48, 32)
    assert SECRET[:6] not in jpeg.parse(before).data


def test_second_pictures_of_a_multi_picture_jpeg_are_dropped():
    second = encoded(Image.new("RGB", (40, 40), "red"), "jpeg")
    before = encoded(gradient(), "mpo", save_all=True, append_images=[Image.new("RGB", (40, 40), "red")])
    after = opened(jpeg.parse(before).data)
    assert (after.format, after.size) == ("JPEG", (48, 32))
    assert len(jpeg.parse(before).data) < len(before) - len(second) // 2


def test_a_still_png_in_an_animation_container_is_taken_and_an_animation_is_not():
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    with pytest.raises(BadPicture) as refused:
        png.parse(encoded(frames[0], "png", save_all=True, append_images=frames[1:]))
    assert refused.value.reason is Fault.ANIMATED
    plain = encoded(frames[0], "png")
    still = plain[:33] + png_chunk(b"acTL", b"\0\0\0\1\0\0\0\0") + plain[33:]
    assert b"acTL" not in png.parse(still).data


def test_an_animated_webp_is_refused():
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    with pytest.raises(BadPicture) as refused:
        webp.parse(encoded(frames[0], "webp", save_all=True, append_images=frames[1:]))
    assert refused.value.reason is Fault.ANIMATED


@pytest.mark.parametrize("format_", ImageFormat)
def test_a_truncated_file_is_refused_wherever_it_is_cut(format_):
    whole = PARSERS[format_](laden(format_)).data
    for length in range(16, len(whole) - 1, max(1, len(whole) // 200)):
        with pytest.raises(BadPicture) as refused:
            PARSERS[format_](whole[:length])
        assert refused.value.reason is Fault.BROKEN


def test_a_png_with_a_wrong_checksum_or_an_unknown_critical_chunk_is_refused():
    plain = encoded(gradient(), "png")
    with pytest.raises(BadPicture, match="checksum"):
        png.parse(plain[:40] + bytes((plain[40] ^ 1,)) + plain[41:])
    with pytest.raises(BadPicture, match="critical"):
        png.parse(plain[:33] + png_chunk(b"EVIL", b"") + plain[33:])


def test_a_profile_that_inflates_without_end_is_refused():
    plain = encoded(gradient(), "png")
    bomb = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000)))
    with pytest.raises(BadPicture, match="over 4 MB"):
        png.parse(plain[:33] + bomb + plain[33:])


def test_arithmetic_coded_and_lossless_jpegs_are_refused_with_what_to_send():
    plain = encoded(gradient(), "jpeg")
    at = plain.index(b"\xff\xc0")
    with pytest.raises(BadPicture, match="send baseline or progressive"):
        jpeg.parse(plain[: at + 1] + b"\xc9" + plain[at + 2 :])


def test_a_jpeg_of_endless_scans_is_refused():
    plain = encoded(gradient(), "jpeg", progressive=True)
    last = plain.rindex(b"\xff\xda")
    with pytest.raises(BadPicture, match="scans"):
        jpeg.parse(plain[:-2] + plain[last:-2] * 200 + plain[-2:])


@pytest.mark.parametrize("place", ["between segments", "in the scan"])
def test_two_megabytes_of_fill_bytes_are_not_passed_on(place):
    plain = encoded(gradient(), "jpeg")
    at = 2 if place == "between segments" else len(plain) - 2
    container = jpeg.parse(plain[:at] + b"\xff" * 2_000_000 + plain[at:])
    assert container.data == jpeg.parse(plain).data


@pytest.mark.parametrize("format_", [ImageFormat.JPEG, ImageFormat.PNG])
def test_a_file_of_millions_of_empty_parts_is_refused(format_):
    plain = encoded(gradient(), format_)
    empty, at = (b"\xff\xfe\0\2", 2) if format_ is ImageFormat.JPEG else (png_chunk(b"prVt", b""), 33)
    with pytest.raises(BadPicture, match="parts"):
        PARSERS[format_](plain[:at] + empty * 1_000_000 + plain[at:])


MUTATED = {format_: [laden(format_), encoded(gradient(20, 20), format_)] for format_ in ImageFormat}
MUTATED[ImageFormat.JPEG].append(ROCKET[:6000] + ROCKET[-200:])


@pytest.mark.parametrize("format_", ImageFormat)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_mutation_makes_a_parser_raise_anything_but_bad_picture(format_, data):
    mutant = bytearray(data.draw(st.sampled_from(MUTATED[format_])))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(mutant) - 1))
        mutant[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    try:
        container = PARSERS[format_](bytes(mutant))
    except BadPicture:
        return
    assert 1 <= orientation(container.exif or b"") <= 8
    assert PARSERS[format_](container.data).data == container.data


@given(st.binary(max_size=80))
def test_orientation_reads_anything(noise):
    assert orientation(noise) in range(1, 9)
    assert orientation(b"MM\0*\0\0\0\x08" + noise) in range(1, 9)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_both_byte_orders(value, order):
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0)
    assert orientation(head + struct.pack(order + "IH", 8, 1) + entry) == value
