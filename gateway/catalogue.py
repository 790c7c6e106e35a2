"""Reads what can be bought: the shipped catalogue of each provider, with the configuration laid over it.

The files are data beside the adapters (`adapters/catalogue/*.toml`). A billed model without a price is refused here,
before anything starts: a missing price is never 0.
"""

from datetime import date
from importlib.resources import files
from typing import Any

import msgspec
from msgspec import Struct, structs

from adapters.contract import Abilities, Offer, Price, Tier
from gateway.money import micro_from_usd


class PriceRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dated price as the file has it; appended with its source, never edited in place."""

    usd: str
    since: date
    source: str
    size: str | None = None
    steps: int | None = None


class ModelRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`engine`: what the server must say that it runs, or this is not sold."""

    id: str
    tier: Tier
    abilities: Abilities
    engine: str | None = None
    usual_s: float = 10.0
    default_steps: int | None = None
    prices: tuple[PriceRow, ...] = ()


class OwnRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is taken of a model that only a configuration names, where that says nothing else."""

    abilities: Abilities
    usual_s: float = 10.0


class Catalogue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider's file. `settings`: the adapter's own, by which this provider differs from others that speak the
    same. `own`: models may be added by a configuration; without it, only those here are sold. `base_url` empty: every
    account has one of its own."""

    adapter: str
    base_url: str = ""
    models: dict[str, ModelRow] = {}
    own: OwnRow | None = None
    settings: dict[str, str] = {}
    billed: bool = True


class ModelOverlay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a configuration may say of a model: `[providers.NAME.models.MODEL]`. A model that the shipped catalogue does
    not name needs `id`, what its server calls it, and `tier`, the quality that is promised of it. `gpu_second_usd` and
    `gpu_most_usd`: as the provider's, for this model."""

    id: str | None = None
    tier: Tier | None = None
    price_usd: str | None = None
    gpu_second_usd: str | None = None
    gpu_most_usd: str | None = None
    usual_s: float | None = None
    abilities: dict[str, Any] | None = None


def shipped() -> tuple[str, ...]:
    """The names of the shipped catalogues, one per adapter file's default provider."""
    folder = files("adapters") / "catalogue"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def read_catalogue(provider: str) -> Catalogue:
    """The shipped catalogue of a provider. Raises `msgspec.ValidationError` for a malformed file."""
    return msgspec.toml.decode((files("adapters") / "catalogue" / f"{provider}.toml").read_bytes(), type=Catalogue)


def offers(
    provider: str, catalogue: Catalogue, overlays: dict[str, ModelOverlay], *, billed: bool
) -> tuple[Offer, ...]:
    """The offers of one provider. Raises `ValueError` naming the model and what to set."""
    added = {model: _own_row(catalogue, model, one) for model, one in overlays.items() if model not in catalogue.models}
    return tuple(
        _offer(provider, model, row, overlays.get(model, ModelOverlay()), billed=billed)
        for model, row in {**catalogue.models, **added}.items()
    )


def _own_row(catalogue: Catalogue, model: str, overlay: ModelOverlay) -> ModelRow:
    known = ", ".join(sorted(catalogue.models)) or "none"
    if catalogue.own is None:
        raise ValueError(f"models.{model}: no such model in the catalogue; known are {known}")
    if overlay.id is None or overlay.tier is None:
        words = 'one of your own needs id = "what its server calls it" and tier = "draft", "standard" or "premium"'
        raise ValueError(f"models.{model}: no such model in the catalogue (known are {known}); {words}")
    own = catalogue.own
    return ModelRow(id=overlay.id, tier=overlay.tier, abilities=own.abilities, usual_s=own.usual_s)


def _offer(provider: str, model: str, row: ModelRow, overlay: ModelOverlay, *, billed: bool) -> Offer:
    prices = _prices(model, row, overlay) if billed else ()
    if billed and not prices:
        raise ValueError(f'models.{model}.price_usd: a billed model needs a price; set price_usd = "0.04" (never 0)')
    return Offer(
        provider=provider,
        model=model,
        wire_model=overlay.id or row.id,
        tier=overlay.tier or row.tier,
        abilities=_abilities(row.abilities, overlay),
        prices=prices,
        billed=billed,
        engine=row.engine,
        usual_s=overlay.usual_s or row.usual_s,
        default_steps=row.default_steps,
    )


def _abilities(shipped_abilities: Abilities, overlay: ModelOverlay) -> Abilities:
    if overlay.abilities is None:
        return shipped_abilities
    changed = {**structs.asdict(shipped_abilities), **overlay.abilities}
    return msgspec.convert(msgspec.to_builtins(changed), Abilities)


def _prices(model: str, row: ModelRow, overlay: ModelOverlay) -> tuple[Price, ...]:
    if overlay.price_usd is not None:
        micro = _micro(f"models.{model}.price_usd", overlay.price_usd)
        return (Price(micro_usd=micro, since=date.min, source="configuration"),)
    return tuple(
        Price(
            micro_usd=_micro(f"models.{model}.prices[{index}].usd", price.usd),
            since=price.since,
            source=price.source,
            size=price.size,
            steps=price.steps,
        )
        for index, price in enumerate(row.prices)
    )


def _micro(place: str, text: str) -> int:
    try:
        return micro_from_usd(text)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
