"""What a second of a machine of one's own costs, from the configuration to its offers. Left out, its work is free."""

from collections.abc import Iterable

from msgspec.structs import replace

from adapters.contract import GpuPrice, Offer
from gateway.money import micro_from_usd
from gateway.sections import ProviderSection


def by_seconds(settings: ProviderSection, offers: Iterable[Offer], timeout_s: float) -> tuple[Offer, ...]:
    """The offers with their price by time. A model's own words come before its provider's. Raises `ValueError` that
    names the setting."""
    return tuple(replace(offer, gpu=_gpu(settings, offer, timeout_s)) for offer in offers)


def _gpu(settings: ProviderSection, offer: Offer, timeout_s: float) -> GpuPrice | None:
    second = _said(settings, offer, "gpu_second_usd")
    most = _said(settings, offer, "gpu_most_usd")
    if second is None and most is None:
        return None
    if second is None:
        raise ValueError("gpu_most_usd: caps what gpu_second_usd makes; set that too, or leave this out")
    if offer.billed:
        raise ValueError("gpu_second_usd: this provider bills, so its models have prices; leave it out")
    return GpuPrice(
        second_micro=_micro(*second), timeout_s=timeout_s, most_micro=None if most is None else _micro(*most)
    )


def _said(settings: ProviderSection, offer: Offer, field: str) -> tuple[str, str] | None:
    """Where it is said, and what."""
    model = settings.models.get(offer.model)
    for place, section in ((f"models.{offer.model}.{field}", model), (field, settings)):
        value: str | None = getattr(section, field, None)
        if value is not None:
            return place, value
    return None


def _micro(place: str, text: str) -> int:
    try:
        return micro_from_usd(text)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
