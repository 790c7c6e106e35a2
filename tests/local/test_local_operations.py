"""The operations as properties of pixels, on pictures of any colours and shapes, with alpha and without."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from gateway.local import lettering
from gateway.local import operations as op

CHANNELS = {"RGB": 3, "RGBA": 4}


@st.composite
def drawn_pictures(draw: st.DrawFn, modes: tuple[str, ...] = ("RGB", "RGBA")) -> Image.Image:
    mode = draw(st.sampled_from(modes))
    width, height = draw(st.integers(16, 40)), draw(st.integers(16, 40))
    seed = draw(st.binary(min_size=48, max_size=48))
    data = (seed * (width * height * 4 // 48 + 1))[: width * height * CHANNELS[mode]]
    return Image.frombytes(mode, (width, height), data)


def same(a: Image.Image, b: Image.Image) -> bool:
    return (a.mode, a.size, a.tobytes()) == (b.mode, b.size, b.tobytes())


def paint(operation: op.Operation, picture: Image.Image) -> Image.Image:
    painted = operation.paint(picture)
    assert painted is not None
    return painted


COLOUR_OPERATIONS = [
    op.Grayscale(), op.Sepia(), op.Invert(), op.Blur(), op.Blur(3.5), op.Sharpen(), op.Pixelate(), op.Pixelate(5),
    op.Posterize(3), op.Brightness(30), op.Contrast(-40), op.Saturation(80), op.Flip(),
]  # fmt: skip


@settings(max_examples=25)
@given(drawn_pictures(), st.sampled_from(COLOUR_OPERATIONS))
def test_colours_change_and_shape_and_input_do_not(picture: Image.Image, operation: op.Operation):
    before = picture.copy()
    painted = paint(operation, picture)
    assert (painted.mode, painted.size) == (picture.mode, picture.size)
    assert same(picture, before)
    if picture.mode == "RGBA" and not isinstance(operation, op.Flip):
        assert same(painted.getchannel("A"), picture.getchannel("A"))


@given(drawn_pictures())
def test_four_quarter_turns_two_flips_and_two_inversions_restore(picture: Image.Image):
    turned = picture
    for _ in range(4):
        turned = paint(op.Rotate(90), turned)
    assert same(turned, picture)
    for twice in (op.Flip("horizontal"), op.Flip("vertical"), op.Rotate(180), op.Invert()):
        assert same(paint(twice, paint(twice, picture)), picture)


def test_a_right_turn_brings_the_left_edge_to_the_top():
    picture = Image.new("RGB", (20, 30))
    picture.paste("red", (0, 0, 1, 30))
    turned = paint(op.Rotate(90), picture)
    assert turned.size == (30, 20)
    assert turned.getpixel((15, 0)) == (255, 0, 0)


def test_a_crooked_turn_keeps_the_frame_and_clears_the_corners():
    turned = paint(op.Rotate(45), Image.new("RGB", (40, 40), "navy"))
    assert turned.size == (40, 40)
    assert (turned.getpixel((0, 0)), turned.getpixel((20, 20))) == ((255, 255, 255), (0, 0, 128))
    assert paint(op.Rotate(45), Image.new("RGBA", (40, 40), "navy")).getpixel((0, 0)) == (255, 255, 255, 0)


@given(drawn_pictures())
def test_gray_has_equal_channels(picture: Image.Image):
    r, g, b = paint(op.Grayscale(), picture).split()[:3]
    assert r.tobytes() == g.tobytes() == b.tobytes()


@given(drawn_pictures(modes=("RGB",)), st.integers(10, 90))
def test_brightening_raises_the_mean_and_darkening_lowers_it(picture: Image.Image, percent: int):
    picture.putpixel((0, 0), (100, 100, 100))
    mean = sum(ImageStat.Stat(picture).mean)
    assert sum(ImageStat.Stat(paint(op.Brightness(-percent), picture)).mean) < mean
    assert sum(ImageStat.Stat(paint(op.Brightness(percent), picture)).mean) > mean


def test_blur_and_pixelate_take_detail_away_and_sharpen_adds_it():
    picture = Image.new("RGB", (64, 64), (60, 60, 60))
    picture.paste((200, 200, 200), (20, 20, 44, 44))
    edges = [ImageStat.Stat(ImageChops.difference(p, ImageChops.offset(p, 1, 0))).extrema[0][1]
             for p in (paint(op.Blur(4), picture), picture, paint(op.Sharpen(), picture))]  # fmt: skip
    assert edges[0] < edges[1] < edges[2]
    assert len(set(paint(op.Pixelate(16), picture).crop((0, 0, 16, 16)).get_flattened_data())) == 1


def test_posterize_leaves_so_many_levels():
    ramp = Image.frombytes("RGB", (256, 16), bytes(v for _ in range(16) for x in range(256) for v in (x, x, x)))
    assert len(paint(op.Posterize(5), ramp).getcolors() or []) == 5


@given(drawn_pictures(), st.integers(1, 4), st.integers(1, 4))
def test_a_crop_has_its_ratio_within_a_pixel_or_is_not_made(picture: Image.Image, width: int, height: int):
    cropped = op.Crop(width, height).paint(picture)
    if cropped is None:
        assert min(picture.size) * min(width, height) / max(width, height) < 17
        return
    assert abs(cropped.width - cropped.height * width / height) <= max(1, width / height)
    assert cropped.width == picture.width or cropped.height == picture.height


def test_a_crop_takes_the_middle():
    picture = Image.new("RGB", (60, 20), "black")
    picture.paste("white", (20, 0, 40, 20))
    assert paint(op.Crop(1, 1), picture).getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(
    "operation",
    [
        op.Resize(8, 800),
        op.Resize(9000, 100),
        op.Resize(8000, 8000),
        op.Scale(1),
        op.Crop(100, 1),
        op.Border(width_px=4090),
    ],
)
def test_what_would_leave_the_limits_is_not_done(operation: op.Operation):
    assert operation.paint(Image.new("RGB", (100, 100))) is None


def test_a_border_grows_the_picture_and_keeps_its_inside():
    picture = Image.effect_noise((30, 20), 50).convert("RGBA")
    framed = paint(op.Border("red", 7), picture)
    assert framed.size == (44, 34)
    assert framed.getpixel((3, 17)) == (255, 0, 0, 255)
    assert same(framed.crop((7, 7, 37, 27)), picture)


@given(drawn_pictures(modes=("RGBA",)))
def test_a_background_keeps_opaque_pixels_and_shows_through_clear_ones(picture: Image.Image):
    picture.putpixel((0, 0), (10, 20, 30, 255))
    picture.putpixel((1, 1), (10, 20, 30, 0))
    painted = paint(op.Background("teal"), picture)
    assert painted.getpixel((0, 0)) == (10, 20, 30, 255)
    assert painted.getpixel((1, 1)) == (0, 128, 128, 255)
    assert painted.getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize("picture", [Image.new("RGB", (20, 20)), Image.new("RGBA", (20, 20), "red")])
def test_without_transparency_nobody_knows_the_background(picture: Image.Image):
    assert op.Background("teal").paint(picture) is None


PLACES = {
    "top left": (0, 0), "top": (1, 0), "top right": (2, 0), "left": (0, 1), "center": (1, 1), "right": (2, 1),
    "bottom left": (0, 2), "bottom": (1, 2), "bottom right": (2, 2),
}  # fmt: skip


@pytest.mark.parametrize(("position", "cell"), PLACES.items(), ids=PLACES)
def test_text_stands_where_it_was_asked(position: op.Position, cell: tuple[int, int]):
    picture = Image.new("RGB", (300, 300), "green")
    box = ImageChops.difference(paint(op.Text("Hi", position), picture), picture).getbbox()
    assert box is not None
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    assert (int(middle[0] // 100), int(middle[1] // 100)) == cell


def test_a_text_that_would_be_unreadable_is_not_drawn():
    assert op.Text("far too long for so small a picture").paint(Image.new("RGB", (40, 40))) is None


@pytest.mark.parametrize("text", ["ASCII 123 #%&", "é ß ñ € – “quoted” ½", "Ελληνικά", "Кириллица Ђ", "e\u0301"])
def test_latin_greek_and_cyrillic_are_drawable(text: str):
    assert lettering.undrawable(text) == 0
    assert op.Text(text).paint(Image.new("RGB", (300, 100))) is not None


@pytest.mark.parametrize(
    ("text", "lost"),
    [("猫", 1), ("שלום", 4), ("مرحبا", 5), ("ไทย", 3), ("한국", 2), ("a\x00b", 1), ("a\u202eb", 1), ("🦊", 1)],
)
def test_other_scripts_and_controls_are_reported_not_drawn_as_boxes(text: str, lost: int):
    assert lettering.undrawable(text) == lost
    assert op.Text(text).paint(Image.new("RGB", (300, 100))) is None
    assert f"[text not drawable: {lost} character{'s' if lost > 1 else ''}]" in lettering.readable(text)


@given(st.text(max_size=400), st.integers(20, 300), st.integers(1, 4))
def test_lines_fit_and_say_when_they_cut(text: str, width: int, most: int):
    face = lettering.font(12)
    readable = lettering.readable(text)
    lines = lettering.lines(readable, face, width, most)
    assert len(lines) <= most
    assert all(face.getlength(line) <= width for line in lines)
    whole = "".join("".join(lines).split()) == "".join(readable.split())
    assert whole or lines[-1].endswith("…")
