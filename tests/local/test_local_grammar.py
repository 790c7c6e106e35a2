"""The words of the preview: what a prompt asks for, and, more important, what it does not."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.local import scope

# prompt -> the operations in order, then the clauses left out, as written
TABLE = [
    ("make it black and white", ["grayscale"], []),
    ("Black & White", ["grayscale"], []),
    ("Convert the image to grayscale.", ["grayscale"], []),
    ("desaturate the whole photo", ["grayscale"], []),
    ("apply a sepia filter", ["sepia"], []),
    ("Please turn this photo into sepia tone", ["sepia"], []),
    ("invert the colours", ["invert"], []),
    ("blur it by 5 px", ["blur"], []),
    ("blur the picture slightly", ["blur"], []),
    ("sharpen", ["sharpen"], []),
    ("pixelate the image with 12 px blocks", ["pixelate"], []),
    ("posterise it to 6 levels", ["posterize"], []),
    ("Rotate it 90° left", ["rotate"], []),
    ("turn it upside down", ["rotate"], []),
    ("flip the picture vertically", ["flip"], []),
    ("can you make the photo slightly brighter?", ["brightness"], []),
    ("darken it by 15%", ["brightness"], []),
    ("make the image brighter by 20%", ["brightness"], []),
    ("increase the contrast by 30%", ["contrast"], []),
    ("less saturation", ["saturation"], []),
    ("crop to 16:9", ["crop"], []),
    ("crop it to a square", ["crop"], []),
    ("resize to 800x600", ["resize"], []),
    ("scale it down to 50%", ["scale"], []),
    ("add a red 10px border", ["border"], []),
    ('add text "20% OFF, today and tomorrow" at the bottom', ["text"], []),
    ("write “and rotate 90 degrees, please” on the picture", ["text"], []),
    ("set the background to white", ["background"], []),
    ("Rotate 90 degrees, then crop to 4:3 and add a border of 8 px", ["rotate", "crop", "border"], []),
    ("brighten it and sharpen it", ["brightness", "sharpen"], []),
    ("grayscale, add a cat", ["grayscale"], ["add a cat"]),
    ('make the mug blue and add text "Sale"', ["text"], ["make the mug blue"]),
    ("remove the man and crop to 4:3", ["crop"], ["remove the man"]),
    ("Make the mug blue, keep everything else", [], ["Make the mug blue", "keep everything else"]),
    # Keyword search acted on each of these.
    ("blur the background", [], ["blur the background"]),
    ("darken the sky", [], ["darken the sky"]),
    ("rotate the dog's head", [], ["rotate the dog's head"]),
    ("replace the background with a beach", [], ["replace the background with a beach"]),
    ("a black and white cat", [], ["a black and white cat"]),
    ("put 'SALE' on the mug", [], ["put 'SALE' on the mug"]),
    ("crop out the man", [], ["crop out the man"]),
    ("flip the table over", [], ["flip the table over"]),
    ("a mirror on the wall", [], ["a mirror on the wall"]),
    ("invert the man's tie colours", [], ["invert the man's tie colours"]),
    # Negations, and what is joined to them.
    ("don't blur it", [], ["don't blur it"]),
    ("Do not rotate the image", [], ["Do not rotate the image"]),
    ("don’t brighten and sharpen the image", [], ["don’t brighten", "sharpen the image"]),
    ("don't blur it, make it grayscale", ["grayscale"], ["don't blur it"]),
    ("sharpen the image without blurring", [], ["sharpen the image without blurring"]),
    # A neighbour's object is not the whole picture.
    ("blur and sharpen the dog", [], ["blur", "sharpen the dog"]),
    ("crop, blur and sharpen the dog", [], ["crop", "blur", "sharpen the dog"]),
    ("make the sky darker and blurrier", [], ["make the sky darker", "blurrier"]),
    ("Find the dog. Blur it.", [], ["Find the dog", "Blur it"]),
    ("invert the image, except the sky", [], ["invert the image", "except the sky"]),
    ("if it is dark, brighten the image", [], ["if it is dark", "brighten the image"]),
    # An unclosed quotation swallows the rest.
    ('add text "hello and rotate it 90 degrees', [], ['add text "hello and rotate it 90 degrees']),
    # Out of range or not a colour.
    ("darken it by 150%", [], ["darken it by 150%"]),
    ("rotate 720 degrees", [], ["rotate 720 degrees"]),
    ("crop to 0:9", [], ["crop to 0:9"]),
    ("add a happy border", [], ["add a happy border"]),
    ("...!?", [], ["...!?"]),
]


@pytest.mark.parametrize(("prompt", "applied", "left_out"), TABLE, ids=[row[0][:50] for row in TABLE])
def test_a_prompt_is_read_exactly(prompt: str, applied: list[str], left_out: list[str]):
    parts = scope.parse(prompt)
    assert [part.operation.name for part in parts if part.operation] == applied
    assert [part.text for part in parts if not part.operation] == left_out


@pytest.mark.parametrize(
    ("prompt", "arguments"),
    [
        ("rotate 90 degrees counter-clockwise", {"degrees": 270}),
        ("rotate left", {"degrees": 270}),
        ("rotate it by 30 degrees to the right", {"degrees": 30}),
        ("make it 35% darker", {"percent": -35}),
        ("desaturate it by 40 percent", {"percent": -40}),
        ("blur with a radius of 2.5 px", {"radius_px": 2.5}),
        ("posterize to 6", {"levels": 6}),
        ("mirror it", {"axis": "horizontal"}),
        ("resize the photo to 640 x 480 pixels", {"width": 640, "height": 480}),
        ("add a 12 px #FF8800 frame around it", {"colour": "#ff8800", "width_px": 12}),
        ('write "Ünïcode, ok" in gold at the top-left corner',
         {"text": "Ünïcode, ok", "colour": "gold", "position": "top left"}),
    ],
)  # fmt: skip
def test_the_arguments_are_those_in_the_words(prompt: str, arguments: dict[str, object]):
    (part,) = scope.parse(prompt)
    found = {name: getattr(part.operation, name) for name in arguments}
    assert found == arguments


@given(st.text(max_size=300))
def test_every_word_of_any_text_is_in_some_clause(prompt: str):
    told = " ".join(part.text for part in scope.parse(prompt))
    for word in ("".join(c if c.isalpha() and c.isascii() else " " for c in prompt)).split():
        assert word in told or word.casefold() in {"and", "then"}


WORDS = [
    "blur",
    "it",
    "the image",
    "and",
    ",",
    ".",
    "don't",
    "sharpen",
    "the dog",
    '"',
    "'",
    "rotate",
    "90",
    "then",
    "“",
]


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_a_dog_is_never_a_reason_to_touch_the_picture(prompt: str):
    for part in scope.parse(prompt):
        assert part.operation is None or "dog" not in part.text


HOSTILE = {
    "one word": "a" * 32_000,
    "spaces": " " * 31_999 + "x",
    "quotation marks that never close": "'a " * 10_600,
    "opening marks": "“" * 32_000,
    "paired marks": '"' * 32_000,
    "blur without end": "blur, " * 5_300,
    "please without end": "please " * 4_500 + "blur",
    "digits": "rotate " + "9" * 31_000,
    "ands": "and " * 8_000,
    "nearly a rule": "add a 1px red 1px border of 1px " * 1_000,
    "brackets": "(" * 16_000 + ")" * 16_000,
    "combining marks": "e" + "\u0301" * 31_000,
}


@pytest.mark.parametrize("prompt", HOSTILE.values(), ids=HOSTILE)
def test_no_prompt_of_full_length_takes_long(prompt: str):
    started = time.process_time()
    scope.parse(prompt[:32_000])
    assert time.process_time() - started < 2.0, "reading must stay linear in the prompt's length"


@settings(max_examples=30)
@given(st.text(alphabet="aA1 ,.;'\"“”«»‘’&-", max_size=2_000))
def test_any_punctuation_is_read(prompt: str):
    assert bool(scope.parse(prompt)) == bool(prompt.strip())
