"""What a file is, by its bytes; and how large it may be."""

import pytest

from adapters.contract import ImageFormat
from gateway.pictures.sniff import INPUT, RESULT, BadPicture, Fault, sniff
from tests.pictures.samples import encoded, gradient


@pytest.mark.parametrize("format_", ImageFormat)
def test_the_three_formats_are_told_apart(format_):
    assert sniff(encoded(gradient(), format_)) is format_


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (b"\xef\xbb\xbf  <SVG>", "an SVG"),
        (encoded(gradient(), "gif"), "a GIF"),
        (encoded(gradient(), "tiff"), "a TIFF"),
        (encoded(gradient(), "bmp"), "a BMP"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF"),
        (b"\0\0\0\x18ftypmp42", "a video"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript file"),
        (b"PK\3\4\x14\0", "a ZIP archive"),
        (b"<!DOCTYPE html><title>404</title>", "an HTML page"),
        ("just a text, not a picture: é".encode(), "a text file"),
        (b"a" * 1023 + "é".encode(), "a text file"),
        (b"\x7fELF\2\1\1\0", "not a picture that we know"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not a picture that we know"),
    ],
)
def test_everything_else_is_refused_by_name(data, name):
    with pytest.raises(BadPicture, match=f"this is {name}; send JPEG, PNG or WEBP") as refused:
        sniff(data)
    assert refused.value.reason is Fault.UNSUPPORTED


def test_an_empty_file_is_said_to_be_empty():
    with pytest.raises(BadPicture, match="empty") as refused:
        sniff(b"")
    assert refused.value.reason is Fault.EMPTY


@pytest.mark.parametrize(("width", "height"), [(15, 100), (100, 15), (8193, 100), (100, 8193), (1, 2_000_000)])
def test_sides_out_of_range_are_refused_with_the_range(width, height):
    with pytest.raises(BadPicture, match="send sides from 16 to 8192") as refused:
        INPUT.check_size(width, height)
    assert refused.value.reason is Fault.SIZE


def test_area_and_bytes_are_bounded_at_their_limit():
    INPUT.check_size(5000, 5000)
    with pytest.raises(BadPicture, match="25 megapixels"):
        INPUT.check_size(5000, 5001)
    INPUT.check_bytes(20_000_000)
    with pytest.raises(BadPicture, match=r"20\.5 MB; send at most 20 MB"):
        INPUT.check_bytes(20_500_000)


def test_a_result_may_be_smaller_and_heavier_than_an_input():
    RESULT.check_size(1, 1)
    RESULT.check_bytes(21_000_000)
