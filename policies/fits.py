"""What an offer would be sent for an edit and at what price, remembered: most edits differ only in words and pixels.

`fit` and `price_micro` are pure, so remembering them changes nothing but the time of a plan. What is remembered holds
no prompt and no picture's digest: words are kept as their length, pictures as their shape.
"""

from datetime import date
from functools import lru_cache

from msgspec.structs import replace

from adapters.contract import Abilities, Edit, Offer, Picture, Tier
from adapters.fit import Fit, Unfit, fit
from adapters.options import Options
from policies.price import price_micro

REMEMBERED = 8192


def outline(edit: Edit) -> Edit | None:
    """The edit without its content: all that `fit` can tell apart, where no tag in a prompt is refused. None where it
    carries options, whose texts and pictures are the caller's own: such an edit is judged anew each time."""
    if edit.options != Options():
        return None
    return _same(
        replace(
            edit,
            prompt="." * len(edit.prompt),
            images=tuple(_shape(picture) for picture in edit.images),
            mask=_shape(edit.mask) if edit.mask else None,
            negative_prompt="." if edit.negative_prompt else edit.negative_prompt,
        )
    )


def fitted(edit: Edit, outlined: Edit | None, offer: Offer) -> Fit | Unfit:
    """What `fit` says of the edit at the offer. One that reads settings in a prompt is asked with the prompt's words,
    which no outline holds."""
    return fit(edit, offer) if outlined is None or offer.abilities.refused_tags else _fitted(outlined, offer)


@lru_cache(REMEMBERED)
def priced(offer: Offer, fit: Fit, day: date) -> int:
    """What `price_micro` says of what would be sent. Raises `MissingPrice`."""
    return price_micro(offer, fit.sent, day)


@lru_cache(REMEMBERED)
def _fitted(outlined: Edit, offer: Offer) -> Fit | Unfit:
    """Offers of equal abilities are sent alike; only words about an adjustment name the offer."""
    alike = _fitted_by_abilities(outlined, offer.abilities)
    if isinstance(alike, Fit) and not alike.adjustments:
        return alike
    return fit(outlined, offer)


@lru_cache(REMEMBERED)
def _fitted_by_abilities(outlined: Edit, abilities: Abilities) -> Fit | Unfit:
    return fit(outlined, Offer(provider="", model="", wire_model="", tier=Tier.PREVIEW, abilities=abilities))


@lru_cache(REMEMBERED)
def _same(outlined: Edit) -> Edit:
    """One object for all equal ones: then looking it up, once an offer, compares no fields."""
    return outlined


def _shape(picture: Picture) -> Picture:
    return replace(picture, digest="", bytes=0)
