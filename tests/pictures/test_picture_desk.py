"""The desk as the engine uses it: inputs are checked and cleaned, results delivered with their oddities."""

import asyncio
import base64
import hashlib

import pytest
from PIL import Image

from adapters.contract import ImageFormat, MaskMeaning, Picture
from gateway.pictures import BadPicture, CheckedInput, Fault, Oddity, Original, Pictures, Pool, PoolFull
from tests.pictures.samples import SECRET, encoded, exif, gradient, laden, opened

PNG, JPEG, WEBP = ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.WEBP


@pytest.fixture
async def pictures():
    desk = Pictures(Pool(workers=1))
    yield desk
    await desk.aclose()


def as_uri(data: bytes, media_type: str = "image/jpeg") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


async def test_an_input_comes_back_clean_upright_and_named_by_its_content(pictures):
    checked = await pictures.check_input(laden(JPEG, orientation=6))
    assert SECRET not in checked.data
    assert opened(checked.data).size == (32, 48)
    digest = hashlib.sha256(checked.data).hexdigest()
    assert checked.picture == Picture(digest, JPEG, 32, 48, len(checked.data))


async def test_an_input_as_text_is_the_same_input(pictures):
    data = encoded(gradient(), "jpeg")
    checked = await pictures.check_input(data)
    assert await pictures.check_input_text(as_uri(data)) == checked
    assert await pictures.check_input_text(base64.b64encode(data).decode()) == checked


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (as_uri(b"%PDF-1.7"), Fault.UNSUPPORTED),
        (as_uri(encoded(gradient(), "png")), Fault.MISDECLARED),
        ("data:image/jpeg;base64,é", Fault.ENCODING),
        ("https://example.com/cat.png", Fault.ENCODING),
    ],
)
async def test_bad_text_is_refused(pictures, text, reason):
    with pytest.raises(BadPicture) as refused:
        await pictures.check_input_text(text)
    assert refused.value.reason is reason


async def test_an_input_over_twenty_megabytes_is_refused_without_a_worker(pictures):
    with pytest.raises(BadPicture, match="at most 20 MB"):
        await pictures.check_input(bytes(20_000_001))
    with pytest.raises(BadPicture, match="at most 20 MB"):
        await pictures.check_input_text("A" * 26_666_672)
    assert not pictures._pool._idle


@pytest.mark.parametrize("wanted", ImageFormat)
async def test_a_result_is_delivered_in_the_wanted_format_and_clean(pictures, wanted):
    checked = await pictures.check_result(laden(PNG), wanted, 90, (48, 32))
    after = opened(checked.data)
    assert (after.format, after.size) == (wanted.name, (48, 32))
    assert (checked.format, checked.width, checked.height) == (wanted, 48, 32)
    assert checked.digest == hashlib.sha256(checked.data).hexdigest()
    assert SECRET not in checked.data
    assert checked.warnings == ()


async def test_a_result_as_text_is_the_same_result(pictures):
    data = encoded(gradient(), "png")
    checked = await pictures.check_result(data, PNG)
    assert await pictures.check_result(as_uri(data, "image/png"), PNG) == checked
    assert await pictures.check_result(base64.b64encode(data).decode(), PNG) == checked


async def test_oddities_are_delivered_with_a_warning(pictures):
    entered = await pictures.check_input(encoded(gradient(), "png", exif=exif(3)))
    blank = await pictures.check_result(encoded(Image.new("RGB", (64, 64)), "jpeg"), JPEG, expected=(64, 64))
    other = await pictures.check_result(encoded(gradient(), "jpeg"), JPEG, expected=(1248, 832))
    same = await pictures.check_result(entered.data, PNG, original=kept(entered))
    assert blank.warnings == (Oddity.BLANK,)
    assert other.warnings == (Oddity.OTHER_SIZE,)
    assert same.warnings == (Oddity.UNCHANGED,)


async def test_the_input_in_another_format_is_still_unchanged_and_an_edit_of_it_is_not(pictures):
    entered = await pictures.check_input(encoded(gradient(), "png"))
    as_webp = encoded(gradient(), "webp", lossless=True)
    edited = gradient()
    edited.putpixel((9, 9), (255, 255, 255))
    assert (await pictures.check_result(as_webp, JPEG, original=kept(entered))).warnings == (Oddity.UNCHANGED,)
    as_text = as_uri(as_webp, "image/webp")
    assert (await pictures.check_result(as_text, PNG, original=kept(entered))).warnings == (Oddity.UNCHANGED,)
    assert (await pictures.check_result(encoded(edited, "png"), PNG, original=kept(entered))).warnings == ()


async def test_an_original_is_loaded_only_where_the_pixels_could_be_the_same(pictures):
    entered = await pictures.check_input(encoded(gradient(), "png"))
    results = [encoded(gradient(), "jpeg"), encoded(gradient().resize((24, 16)), "png"), entered.data]
    for result in results:
        await pictures.check_result(result, PNG, original=Original(entered.picture, never))
    gone = await pictures.check_result(encoded(gradient(), "webp", lossless=True), PNG, original=kept(entered, None))
    assert gone.warnings == ()


async def never() -> bytes | None:
    raise AssertionError("the original was loaded")


def kept(entered: CheckedInput, data: bytes | None = b"") -> Original:
    """An input as the store keeps it; None where it is gone."""

    async def load() -> bytes | None:
        return entered.data if data is not None else None

    return Original(entered.picture, load)


async def test_a_result_that_cannot_be_decoded_is_refused(pictures):
    with pytest.raises(BadPicture, match="HTML page"):
        await pictures.check_result(b"<html>502 Bad Gateway</html>", PNG)


async def test_results_wait_where_inputs_are_refused():
    pictures = Pictures(Pool(workers=1, waiting=0))
    data = encoded(gradient(), "jpeg")
    running = asyncio.create_task(pictures.check_input(data))
    while not pictures._pool._busy:  # noqa: ASYNC110 - the pool has no event for it, and wants none
        await asyncio.sleep(0)
    result = asyncio.create_task(pictures.check_result(data, JPEG))
    with pytest.raises(PoolFull):
        await pictures.check_input(data)
    assert (await running).data == (await result).data
    await pictures.aclose()


async def test_no_picture_bytes_in_a_repr(pictures):
    data = encoded(gradient(), "jpeg")
    shown = repr(await pictures.check_input(data)) + repr(await pictures.check_result(data, JPEG))
    assert "\\x" not in shown
    assert len(shown) < 500


def ramp(mode: str) -> bytes:
    """256 pixels, from not edited to edited: by brightness, or by an alpha channel that falls."""
    edited = Image.frombytes("L", (16, 16), bytes(range(256)))
    if mode == "L":
        return encoded(edited, "png")
    image = Image.new("RGB", edited.size, "white")
    image.putalpha(edited.point([255 - value for value in range(256)]))
    return encoded(image, "png")


@pytest.mark.parametrize("mode", ["L", "RGBA"])
async def test_a_mask_is_converted_into_what_a_server_reads(pictures, mode):
    luma = opened(await pictures.converted_mask(ramp(mode), MaskMeaning.LUMA))
    assert (luma.format, luma.mode, luma.tobytes()) == ("PNG", "L", bytes(range(256)))
    alpha = opened(await pictures.converted_mask(ramp(mode), MaskMeaning.ALPHA))
    assert (alpha.format, alpha.mode) == ("PNG", "RGBA")
    assert alpha.getchannel("A").tobytes() == bytes([255] * 128 + [0] * 128), "only wholly transparent is edited there"


async def test_a_mask_that_is_no_picture_is_refused(pictures):
    with pytest.raises(BadPicture):
        await pictures.converted_mask(b"%PDF-1.7", MaskMeaning.LUMA)
