"""One edit against one offer: what would be sent, what had to be adjusted, or why it cannot be sent at all.

Planning and sending use the same function, so what a quote says is what an attempt does. A wish that changes which
picture comes out (a mask, the number of pictures, a promise of safety) is never adjusted: the offer is unfit.
"""

from collections.abc import Callable
from functools import cache

import msgspec
from msgspec import Struct, structs

from adapters.contract import (
    Abilities,
    Adjustment,
    AutoSize,
    Edit,
    ModelSize,
    Offer,
    Picture,
    Pixels,
    Range,
    Ratio,
    SizeLaw,
)
from adapters.kontext import lawful, name_of, near_a_megapixel, nearest_ratio, nearest_size, pixels
from adapters.options import Options


class Sent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The dials as the offer gets them, in our words. None is not sent. `size` where pixels are chosen, `ratio` where
    a shape is chosen by name. `options` holds only what this offer takes."""

    n: int = 1
    size: Pixels | None = None
    ratio: str | None = None
    seed: int | None = None
    guidance: float | None = None
    steps: int | None = None
    negative_prompt: str | None = None
    safety: int | None = None
    flag_nsfw: bool = False
    enhance_prompt: bool | None = None
    options: Options = Options()


class Fit(Struct, frozen=True, cache_hash=True):
    sent: Sent
    adjustments: tuple[Adjustment, ...] = ()


class Unfit(Struct, frozen=True):
    """Why an offer cannot take the edit; `why` says what would fit."""

    field: str
    asked: str
    why: str


def fit(edit: Edit, offer: Offer) -> Fit | Unfit:
    """What `offer` would be sent for `edit`."""
    for requirement in REQUIREMENTS:
        if unfit := requirement(edit, offer.abilities):
            return unfit
    shape = _shape(edit, offer.abilities)
    sent = Sent(
        n=edit.n,
        size=shape.size,
        ratio=shape.ratio,
        seed=edit.seed if offer.abilities.seed else None,
        guidance=_clamped(edit.guidance, offer.abilities.guidance),
        steps=_whole(_clamped(edit.steps, offer.abilities.steps)),
        negative_prompt=edit.negative_prompt if offer.abilities.negative_prompt else None,
        safety=edit.safety,
        flag_nsfw=edit.flag_nsfw and offer.abilities.flag_nsfw,
        enhance_prompt=edit.enhance_prompt if offer.abilities.enhance_prompt else None,
        options=_own_options(edit.options, offer),
    )
    ignored = _ignored_negative_prompt(sent)
    resized = (shape.adjustment,) if shape.adjustment else ()
    adjustments = (*resized, *_dropped(edit, sent, offer), *ignored, *_foreign_options(edit, offer))
    if edit.strict and adjustments:
        first = adjustments[0]
        return Unfit(first.field, first.asked, f"strict: {first.why}")
    return Fit(structs.replace(sent, negative_prompt=None) if ignored else sent, adjustments)


# --- what is never adjusted -----------------------------------------------------------------------------------------


def _few_enough_images(edit: Edit, abilities: Abilities) -> Unfit | None:
    if len(edit.images) > abilities.images:
        return Unfit("images", str(len(edit.images)), f"takes at most {abilities.images} input picture(s)")
    return None


def _few_enough_results(edit: Edit, abilities: Abilities) -> Unfit | None:
    return Unfit("n", str(edit.n), f"makes at most {abilities.n} at once") if edit.n > abilities.n else None


def _prompt_short_enough(edit: Edit, abilities: Abilities) -> Unfit | None:
    if len(edit.prompt) > abilities.prompt:
        return Unfit("prompt", f"{len(edit.prompt)} characters", f"takes at most {abilities.prompt} characters")
    return None


def _prompt_is_words_alone(edit: Edit, abilities: Abilities) -> Unfit | None:
    """Refused, not stripped: what is left of a nested tag may be a tag again, and the prompt is the caller's."""
    prompt = edit.prompt.lower()
    for tag in abilities.refused_tags:
        if tag in prompt:
            return Unfit("prompt", tag, f"reads {tag} in a prompt as settings of its engine; leave the tag out")
    return None


def _can_mask(edit: Edit, abilities: Abilities) -> Unfit | None:
    return Unfit("mask", "a mask", "has no masks; leave it out") if edit.mask and not abilities.mask else None


def _keeps_the_safety_promise(edit: Edit, abilities: Abilities) -> Unfit | None:
    if edit.safety is None:
        return None
    promise = abilities.safety
    if promise is None:
        return Unfit("safety", str(edit.safety), "has no moderation to promise; leave safety out to allow it")
    if not promise.least <= edit.safety <= promise.most:
        return Unfit("safety", str(edit.safety), f"promises {promise.least:g} to {promise.most:g} only")
    return None


def _can_choose_no_size(edit: Edit, abilities: Abilities) -> Unfit | None:
    if isinstance(edit.size, ModelSize) and abilities.size_required:
        return Unfit("size", "model", "needs a size; send auto, a ratio or pixels")
    return None


def _caching_ends_within_the_steps(edit: Edit, abilities: Abilities) -> Unfit | None:
    accelerator = edit.options.runware and edit.options.runware.accelerator_options
    steps = _whole(_clamped(edit.steps, abilities.steps))
    if not accelerator or steps is None or "runware.acceleratorOptions" not in abilities.dials:
        return None
    last = accelerator.cache_end_step
    if last is None or last <= steps:
        return None
    field = "options.runware.acceleratorOptions.cacheEndStep"
    return Unfit(field, str(last), f"must not be above the {steps} steps; lower it or ask for more steps")


REQUIREMENTS: tuple[Callable[[Edit, Abilities], Unfit | None], ...] = (
    _few_enough_images,
    _few_enough_results,
    _prompt_short_enough,
    _prompt_is_words_alone,
    _can_mask,
    _keeps_the_safety_promise,
    _can_choose_no_size,
    _caching_ends_within_the_steps,
)


# --- sizes ----------------------------------------------------------------------------------------------------------


class _Shape(Struct, frozen=True):
    """Pixels or a named ratio to send, and the adjustment where that is not what was asked."""

    size: Pixels | None = None
    ratio: str | None = None
    adjustment: Adjustment | None = None


@cache
def _listed(sizes: tuple[str, ...]) -> tuple[Pixels, ...]:
    return tuple(pixels(size) for size in sizes)


def _shape(edit: Edit, abilities: Abilities) -> _Shape:
    wish = edit.size
    if isinstance(wish, ModelSize):
        return _Shape()
    if abilities.ratios:
        return _named_shape(edit.images[0], wish, abilities.ratios)
    if abilities.sizes:
        return _listed_shape(edit.images[0], wish, _listed(abilities.sizes))
    if abilities.size_law:
        return _lawful_shape(edit.images[0], wish, abilities.size_law)
    if isinstance(wish, AutoSize):
        return _Shape()
    return _Shape(size=near_a_megapixel(wish) if isinstance(wish, Ratio) else wish)


def _named_shape(first: Picture, wish: AutoSize | Ratio | Pixels, ratios: tuple[str, ...]) -> _Shape:
    if isinstance(wish, AutoSize):
        return _Shape(ratio=nearest_ratio(first, ratios))
    sent = nearest_ratio(wish, ratios)
    if isinstance(wish, Ratio) and sent in (str(wish), name_of(wish)):
        return _Shape(ratio=sent)
    why = "shapes are chosen by name; this is the nearest"
    return _Shape(ratio=sent, adjustment=Adjustment("size", str(wish), sent, why))


def _listed_shape(first: Picture, wish: AutoSize | Ratio | Pixels, sizes: tuple[Pixels, ...]) -> _Shape:
    if isinstance(wish, AutoSize):
        return _Shape(size=nearest_size(first, sizes))
    wanted = near_a_megapixel(wish) if isinstance(wish, Ratio) else wish
    sent = nearest_size(wanted, sizes)
    if wanted == sent:
        return _Shape(size=sent)
    why = "only listed sizes can be made; this is the nearest shape"
    return _Shape(size=sent, adjustment=Adjustment("size", str(wish), str(sent), why))


def _lawful_shape(first: Picture, wish: AutoSize | Ratio | Pixels, law: SizeLaw) -> _Shape:
    """A size is always sent: a model that is free to choose does not keep the picture's shape."""
    if isinstance(wish, AutoSize):
        return _Shape(size=lawful(near_a_megapixel(Ratio(first.width, first.height)), law))
    wanted = near_a_megapixel(wish) if isinstance(wish, Ratio) else wish
    sent = lawful(wanted, law)
    if wanted == sent:
        return _Shape(size=sent)
    why = "not every size can be made; this is the nearest"
    return _Shape(size=sent, adjustment=Adjustment("size", str(wish), str(sent), why))


# --- dials ----------------------------------------------------------------------------------------------------------


def _clamped(value: float | None, allowed: Range | None) -> float | None:
    return None if value is None or allowed is None else allowed.clamp(value)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


DIALS = ("seed", "guidance", "steps", "negative_prompt", "flag_nsfw", "enhance_prompt")


def _dropped(edit: Edit, sent: Sent, offer: Offer) -> tuple[Adjustment, ...]:
    """Every dial whose sent value is not the asked one."""
    adjustments: list[Adjustment] = []
    for field in DIALS:
        asked, given = getattr(edit, field), getattr(sent, field)
        if asked is None or asked is False or asked == given:
            continue
        shown = "given" if field == "negative_prompt" else f"{asked}"
        why = f"{offer.name} has no such dial" if given is None or given is False else "outside the offer's range"
        adjustments.append(Adjustment(field, shown, None if given is None or given is False else f"{given:g}", why))
    return tuple(adjustments)


def _ignored_negative_prompt(sent: Sent) -> tuple[Adjustment, ...]:
    """Guidance of 1 or less switches negative prompts off (Runware's page for Kontext [dev] says so in words)."""
    if sent.negative_prompt is None or sent.guidance is None or sent.guidance > 1:
        return ()
    why = "a guidance of 1 or less switches negative prompts off; ask for a guidance above 1"
    return (Adjustment("negative_prompt", "given", None, why),)


# --- options of one provider ----------------------------------------------------------------------------------------


def _own_options(options: Options, offer: Offer) -> Options:
    """Without the dials that this offer does not take."""
    if options == Options():
        return options
    kept = {
        provider: {dial: value for dial, value in dials.items() if f"{provider}.{dial}" in offer.abilities.dials}
        for provider, dials in _by_provider(options).items()
    }
    return msgspec.convert({provider: dials for provider, dials in kept.items() if dials}, Options)


def _foreign_options(edit: Edit, offer: Offer) -> tuple[Adjustment, ...]:
    """Options of another provider, and dials of this provider that this model does not take."""
    why = f"{offer.name} has no such dial"
    return tuple(
        Adjustment(f"options.{provider}.{dial}", "given", None, why)
        for provider, dials in _by_provider(edit.options).items()
        for dial in dials
        if f"{provider}.{dial}" not in offer.abilities.dials
    )


def _by_provider(options: Options) -> dict[str, dict[str, object]]:
    """Every dial that was given, under its provider's own name for it."""
    return msgspec.to_builtins(options)
