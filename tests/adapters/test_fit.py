"""What an offer is sent for an edit, as a table; what is adjusted says so, and what cannot be adjusted is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from adapters.contract import (
    Abilities,
    Adjustment,
    AutoSize,
    Edit,
    ImageFormat,
    ModelSize,
    Offer,
    Picture,
    Pixels,
    Range,
    Ratio,
    Tier,
)
from adapters.fit import Fit, Sent, Unfit, fit
from adapters.kontext import SHAPES, distance, name_of, near_a_megapixel, pixels, ratio
from adapters.options import Accelerator, Options, RunflowOptions, RunwareOptions

SIZES = tuple(str(size) for size in SHAPES.values())
WIDE = Picture("a" * 64, ImageFormat.JPEG, 4032, 2268, 1)
TALL = Picture("b" * 64, ImageFormat.PNG, 600, 2000, 1)
MASK = Picture("c" * 64, ImageFormat.PNG, 4032, 2268, 1)

# Abilities as they occur: a closed list of sizes, named ratios, any size.
LISTED = Abilities(
    images=2, n=20, sizes=SIZES, size_required=True, prompt=3000, seed=True, safety=Range(0, 6), flag_nsfw=True,
    enhance_prompt=True, dials=("runware.safety",),
)  # fmt: skip
OPEN = Abilities(
    images=2, n=20, sizes=SIZES, seed=True, guidance=Range(0, 20), steps=Range(1, 50), negative_prompt=True,
    flag_nsfw=True, dials=("runware.scheduler", "runware.acceleratorOptions"),
)  # fmt: skip
NAMED = Abilities(images=1, n=4, ratios=tuple(SHAPES), seed=True, guidance=Range(1, 20), safety=Range(1, 6))
PLAIN = Abilities(mask=True)


def offer(abilities: Abilities) -> Offer:
    return Offer(provider="some", model="model", wire_model="m", tier=Tier.STANDARD, abilities=abilities)


def edit(**wishes) -> Edit:
    return structs.replace(Edit(prompt="Make the mug blue", images=(WIDE,)), **wishes)


def fitted(abilities: Abilities, **wishes) -> Fit:
    result = fit(edit(**wishes), offer(abilities))
    assert isinstance(result, Fit), result
    return result


# --- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("abilities", "wish", "size", "named", "adjusted"),
    [
        (LISTED, AutoSize(), "1392x752", None, False),
        (LISTED, Ratio(16, 9), "1392x752", None, False),
        (LISTED, Ratio(32, 18), "1392x752", None, False),
        (LISTED, Ratio(7, 3), "1568x672", None, False),
        (LISTED, Ratio(5, 4), "1184x880", None, True),
        (LISTED, Pixels(832, 1248), "832x1248", None, False),
        (LISTED, Pixels(1920, 1080), "1392x752", None, True),
        (OPEN, ModelSize(), None, None, False),
        (NAMED, AutoSize(), None, "16:9", False),
        (NAMED, ModelSize(), None, None, False),
        (NAMED, Ratio(32, 18), None, "16:9", False),
        (NAMED, Ratio(5, 4), None, "4:3", True),
        (NAMED, Pixels(1392, 752), None, "16:9", True),
        (PLAIN, AutoSize(), None, None, False),
        (PLAIN, Pixels(640, 480), "640x480", None, False),
        (PLAIN, Ratio(1, 2), "720x1456", None, False),
    ],
)
def test_shapes(abilities, wish, size, named, adjusted):
    result = fitted(abilities, size=wish)
    assert (result.sent.size and str(result.sent.size)) == size
    assert result.sent.ratio == named
    asked = [(one.field, one.asked, one.sent) for one in result.adjustments]
    assert asked == ([("size", str(wish), size or named)] if adjusted else [])


def test_auto_follows_the_first_picture():
    assert fitted(LISTED, images=(TALL, WIDE)).sent.size == Pixels(672, 1568)


@given(st.integers(1, 9999), st.integers(1, 9999))
def test_any_shape_gets_the_nearest_listed_one(width, height):
    sent = fitted(LISTED, size=Ratio(width, height)).sent.size
    assert sent is not None
    wanted = near_a_megapixel(Ratio(width, height))
    assert distance(wanted, sent) <= min(distance(wanted, size) for size in SHAPES.values()) + 1e-5


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_free_size_keeps_its_ratio_near_a_megapixel(width, height):
    if max(width, height) > 3 * min(width, height):
        return
    size = near_a_megapixel(Ratio(width, height))
    assert size.width % 16 == size.height % 16 == 0
    assert 0.9 < size.width * size.height / 1024**2 < 1.1
    assert distance(size, Ratio(width, height)) < 0.05  # the family calls 752x1392 9:16


@pytest.mark.parametrize(
    "text", ["", "16", "16:", ":9", "16:9:1", "1_6:9", " 16:9", "0:9", "-1:9", "16:x", "1" * 9 + ":1"]
)
def test_only_two_whole_numbers_are_a_ratio_or_a_size(text):
    with pytest.raises(ValueError, match="expected two"):
        ratio(text)
    with pytest.raises(ValueError, match="expected two"):
        pixels(text.replace(":", "x"))


def test_every_shape_is_found_by_its_name():
    assert [name_of(ratio(name)) for name in SHAPES] == list(SHAPES)
    assert [pixels(str(size)) for size in SHAPES.values()] == list(SHAPES.values())


# --- what is never adjusted -----------------------------------------------------------------------------------------


CACHED = Options(runware=RunwareOptions(accelerator_options=Accelerator(cache_end_step=21)))


@pytest.mark.parametrize(
    ("abilities", "wishes", "field"),
    [
        (LISTED, {"images": (WIDE, WIDE, WIDE)}, "images"),
        (NAMED, {"n": 5}, "n"),
        (LISTED, {"prompt": "x" * 3001}, "prompt"),
        (LISTED, {"mask": MASK}, "mask"),
        (OPEN, {"safety": 6}, "safety"),
        (NAMED, {"safety": 0}, "safety"),
        (LISTED, {"size": ModelSize()}, "size"),
        (OPEN, {"steps": 20, "options": CACHED}, "options.runware.acceleratorOptions.cacheEndStep"),
    ],
)
def test_unfit(abilities, wishes, field):
    result = fit(edit(**wishes), offer(abilities))
    assert isinstance(result, Unfit)
    assert result.field == field
    assert result.why


@pytest.mark.parametrize(
    ("abilities", "wishes"),
    [
        (LISTED, {"images": (WIDE, WIDE), "n": 20, "prompt": "x" * 3000, "safety": 0}),
        (PLAIN, {"mask": MASK}),
        (LISTED, {"steps": 20, "options": CACHED}),
        (OPEN, {"steps": 21, "options": CACHED}),
        (structs.replace(OPEN, dials=()), {"steps": 20, "options": CACHED}),
    ],
)
def test_fit_at_the_edge(abilities, wishes):
    fitted(abilities, **wishes)


# --- dials ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("abilities", "wishes", "sent", "adjustments"),
    [
        (PLAIN, {}, Sent(), []),
        (OPEN, {"guidance": 7.5, "steps": 28, "seed": 0}, {"guidance": 7.5, "steps": 28, "seed": 0}, []),
        (PLAIN, {"guidance": 7.5, "seed": 0}, {}, [("seed", "0", None), ("guidance", "7.5", None)]),
        (PLAIN, {"steps": 28}, {}, [("steps", "28", None)]),
        (OPEN, {"guidance": 50.0}, {"guidance": 20.0}, [("guidance", "50.0", "20")]),
        (OPEN, {"steps": 80}, {"steps": 50}, [("steps", "80", "50")]),
        (NAMED, {"guidance": 0.5}, {"guidance": 1.0}, [("guidance", "0.5", "1")]),
        (LISTED, {"safety": 3, "enhance_prompt": False}, {"safety": 3, "enhance_prompt": False}, []),
        (LISTED, {"flag_nsfw": True}, {"flag_nsfw": True}, []),
        (PLAIN, {"flag_nsfw": True}, {}, [("flag_nsfw", "True", None)]),
        (PLAIN, {"enhance_prompt": True}, {}, [("enhance_prompt", "True", None)]),
        (PLAIN, {"enhance_prompt": False}, {}, []),
        (PLAIN, {"negative_prompt": "secret words"}, {}, [("negative_prompt", "given", None)]),
        (OPEN, {"negative_prompt": "text", "guidance": 1.01}, {"negative_prompt": "text", "guidance": 1.01}, []),
        (OPEN, {"negative_prompt": "text"}, {"negative_prompt": "text"}, []),
        (OPEN, {"negative_prompt": "text", "guidance": 1.0}, {"guidance": 1.0}, [("negative_prompt", "given", None)]),
    ],
)  # fmt: skip
def test_dials(abilities, wishes, sent, adjustments):
    result = fitted(abilities, size=AutoSize(), **wishes)
    wanted = sent if isinstance(sent, Sent) else structs.replace(Sent(), **sent)
    assert structs.replace(result.sent, size=None, ratio=None) == wanted
    assert [(one.field, one.asked, one.sent) for one in result.adjustments] == adjustments
    assert all(one.why for one in result.adjustments)


def test_options_are_sent_where_they_are_taken_and_reported_where_not():
    options = Options(
        runware=RunwareOptions(scheduler="Euler", true_cfg_scale=2.0), runflow=RunflowOptions(sync_mode=True)
    )
    result = fitted(OPEN, options=options)
    assert result.sent.options == Options(runware=RunwareOptions(scheduler="Euler"))
    assert result.adjustments == (
        Adjustment("options.runware.trueCFGScale", "given", None, "some/model has no such dial"),
        Adjustment("options.runflow.sync_mode", "given", None, "some/model has no such dial"),
    )
    assert fitted(PLAIN, options=options).sent.options == Options()


def test_strict_turns_an_adjustment_into_an_exclusion():
    wishes = {"size": Ratio(5, 4)}
    assert fitted(LISTED, **wishes).adjustments
    result = fit(edit(strict=True, **wishes), offer(LISTED))
    assert isinstance(result, Unfit)
    assert (result.field, result.asked) == ("size", "5:4")
    assert isinstance(fit(edit(strict=True), offer(LISTED)), Fit)
