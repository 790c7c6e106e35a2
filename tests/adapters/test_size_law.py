"""Sizes of a model that takes many, by its law: what is sent is allowed, near to what was asked, and said to differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import (
    Abilities,
    AutoSize,
    Edit,
    ImageFormat,
    ModelSize,
    Offer,
    Picture,
    Pixels,
    Ratio,
    SizeLaw,
    SizeWish,
    Tier,
)
from adapters.fit import Fit, fit
from adapters.kontext import allows, distance, lawful
from gateway.catalogue import read_catalogue

OWN = read_catalogue("openai").own
assert OWN is not None
assert OWN.abilities.size_law is not None
GPT = OWN.abilities.size_law
sides = st.integers(1, 20_000)


def sent(size: SizeWish, picture: tuple[int, int] = (1600, 900)) -> Fit:
    offer = Offer(provider="openai", model="x", wire_model="x", tier=Tier.STANDARD, abilities=Abilities(size_law=GPT))
    edit = Edit(prompt="x", images=(Picture("a" * 64, ImageFormat.PNG, *picture, 1),), size=size)
    found = fit(edit, offer)
    assert isinstance(found, Fit)
    return found


@given(st.builds(Pixels, sides, sides))
def test_every_wish_becomes_a_size_that_is_allowed(wanted: Pixels) -> None:
    made = lawful(wanted, GPT)
    assert made.width % 16 == made.height % 16 == 0
    assert max(made.width, made.height) <= 3840
    assert max(made.width, made.height) <= 3 * min(made.width, made.height)
    assert 655_360 <= made.width * made.height <= 3840 * 2160


@given(st.builds(Pixels, st.integers(1, 240).map(lambda n: n * 16), st.integers(1, 240).map(lambda n: n * 16)))
def test_what_is_allowed_stays_as_it_is(wanted: Pixels) -> None:
    if allows(GPT, wanted):
        assert lawful(wanted, GPT) == wanted


@given(st.builds(Pixels, st.integers(800, 3000), st.integers(800, 2000)))
def test_the_shape_is_kept_within_a_step(wanted: Pixels) -> None:
    if distance(wanted, Pixels(1, 1)) <= distance(Pixels(29, 10), Pixels(1, 1)):
        assert distance(wanted, lawful(wanted, GPT)) < 0.03


@given(st.builds(Pixels, sides, sides), st.sampled_from([1, 8, 16, 64]))
def test_any_law_is_kept(wanted: Pixels, step: int) -> None:
    law = SizeLaw(step=step, ratio=4.0, side=2048, least=256 * 256, most=2048 * 2048)
    assert allows(law, lawful(wanted, law))


@pytest.mark.parametrize(
    ("wish", "size", "adjusted"),
    [
        (AutoSize(), Pixels(1392, 752), False),
        (Ratio(1, 1), Pixels(1024, 1024), False),
        (Pixels(1536, 864), Pixels(1536, 864), False),
        (Pixels(1537, 864), Pixels(1536, 864), True),
        (Pixels(512, 512), Pixels(816, 816), True),
        (Pixels(8000, 1000), Pixels(3840, 1280), True),
        (ModelSize(), None, False),
    ],
)
def test_what_could_not_be_sent_as_asked_is_said(wish: SizeWish, size: Pixels | None, adjusted: bool) -> None:
    found = sent(wish)
    assert found.sent.size == size
    assert [one.field for one in found.adjustments] == (["size"] if adjusted else [])
