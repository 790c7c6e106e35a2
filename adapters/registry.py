"""Every adapter by name. A provider's configuration names one (`adapter = "runflow"`); a new adapter is a new line."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from adapters.contract import Adapter, Offer
from adapters.openai_images import OpenAIImages, OpenAIImagesSettings
from adapters.runflow import Runflow, model_path
from adapters.runflow_settings import RunflowSettings
from adapters.runware import Runware, RunwareSettings


class Habits(Struct, frozen=True):
    """What an account has where its configuration says nothing: how many of its calls run at once, and how long each
    may take."""

    max_concurrency: int = 4
    timeout_s: float = 30.0


class Kind(Struct, frozen=True):
    """`settings`: what a provider's configuration may say to this adapter. `make`: settings of that type, made one.
    `check_id` raises `ValueError` for a model id that the wire cannot carry; without one, any will do. `narrow`: an
    offer with what the server behind this adapter, as it is set, can do of it; without one, all. `habits`: of the
    server behind it."""

    settings: type[Struct]
    make: Callable[[Any], Adapter]  # Any: each takes its own settings type, which `make()` below has just converted to
    check_id: Callable[[str], object] | None = None
    narrow: Callable[[Any, Offer], Offer] | None = None  # Any: the adapter that `make` made
    habits: Callable[[Any], Habits] | None = None  # Any: as above


def _profile_habits(adapter: OpenAIImages) -> Habits:
    return Habits(adapter.profile.concurrency, adapter.profile.timeout_s)


REGISTRY: dict[str, Kind] = {
    "openai_images": Kind(OpenAIImagesSettings, OpenAIImages, narrow=OpenAIImages.narrow, habits=_profile_habits),
    "runflow": Kind(RunflowSettings, Runflow, check_id=model_path),
    "runware": Kind(RunwareSettings, Runware),
}


def make(name: str, settings: Mapping[str, object]) -> Adapter:
    """The adapter `name` with `settings` as a configuration file holds them.

    Raises `ValueError` for an unknown adapter, an unknown setting or a wrong value. Its text begins with the setting's
    place below the provider, so that a caller only has to put the provider's own before it.
    """
    kind = REGISTRY.get(name)
    if kind is None:
        raise ValueError(f"adapter: expected one of {', '.join(REGISTRY)}; got {name!r}")
    known = kind.settings.__struct_fields__
    for key in settings:
        if key not in known:
            raise ValueError(f"{key}: no such setting of the adapter {name}; it knows {', '.join(known)}")
    try:
        return kind.make(msgspec.convert(settings, kind.settings))
    except msgspec.ValidationError as error:
        raise ValueError(_placed(str(error))) from None


def check(name: str, offer: Offer) -> None:
    """Raises `ValueError` where the adapter `name` cannot put the offer's model id on its wire."""
    check_id = REGISTRY[name].check_id
    try:
        if check_id:
            check_id(offer.wire_model)
    except ValueError as error:
        raise ValueError(f"models.{offer.model}.id: {error}") from None


def narrowed(name: str, adapter: Adapter, offer: Offer) -> Offer:
    """`offer` as planning must see it: without the abilities that the server behind `adapter` lacks."""
    narrow = REGISTRY[name].narrow
    return narrow(adapter, offer) if narrow else offer


def habits(name: str, adapter: Adapter) -> Habits:
    """What `adapter` has where nothing else was said."""
    known = REGISTRY[name].habits
    return known(adapter) if known else Habits()


def _placed(error: str) -> str:
    """msgspec's "Expected … - at `$.statuses.failed`" with the place first; a struct's own words begin with it."""
    what, _, place = error.partition(" - at `$")
    place = place.strip(".`")
    return f"{place}: {what}" if place else what
