"""Data URIs and base64: one spelling, judged by length before it is decoded."""

import pytest

from adapters.contract import ImageFormat
from gateway.pictures.datauri import Encoded, decode, split
from gateway.pictures.sniff import INPUT, BadPicture, Fault


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        ("data:image/png;base64,AAAA", ImageFormat.PNG),
        ("data:image/jpeg;base64,AAAA", ImageFormat.JPEG),
        ("data:image/jpg;base64,AAAA", ImageFormat.JPEG),
        ("DATA:IMAGE/WEBP;BASE64,AAAA", ImageFormat.WEBP),
        ("data:image/png;charset=utf-8;base64,AAAA", ImageFormat.PNG),
        ("AAAA", None),
    ],
)
def test_the_declared_type_and_the_start_of_the_data(text, declared):
    assert split(text, INPUT) == Encoded(len(text) - 4, declared)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data:image/gif;base64,AAAA", Fault.UNSUPPORTED),
        ("data:text/html;base64,AAAA", Fault.UNSUPPORTED),
        ("data:image/png,AAAA", Fault.ENCODING),
        ("data:;base64,AAAA", Fault.ENCODING),
        ("data:" + "x" * 1_000_000, Fault.ENCODING),
        ("A" * 26_666_672, Fault.TOO_LARGE),
    ],
)
def test_what_cannot_be_a_picture_is_refused_unread(text, reason):
    with pytest.raises(BadPicture) as refused:
        split(text, INPUT)
    assert refused.value.reason is reason


def test_twenty_megabytes_still_fit():
    split("A" * 26_666_668, INPUT)


@pytest.mark.parametrize("text", [b"AAA", b"AA=A", b"AAAA\n", b" AAAA", b"AA-_", b"AAAA====", b"A A=", b"AAAA!"])
def test_loose_base64_is_refused_with_what_to_send(text):
    with pytest.raises(BadPicture, match="without spaces or line breaks") as refused:
        decode(text)
    assert refused.value.reason is Fault.ENCODING


def test_strict_base64_is_decoded():
    assert decode(b"aGk=") == b"hi"
