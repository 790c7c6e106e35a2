"""A provider's section as an account: its adapter, its key, and what it sells."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from adapters.contract import Adapter, CallsBack, Offer
from adapters.registry import check, habits, make, narrowed
from gateway.catalogue import Catalogue, offers, read_catalogue, shipped
from gateway.configuration.gpu import by_seconds
from gateway.configuration.place import SettingsError, converted
from gateway.secret import Secret, read_secret
from gateway.sections import ProviderSection
from gateway.settings import Provider


def provider(name: str, section: dict[str, Any], env: Mapping[str, str], base: Path) -> Provider:
    place = f"providers.{name}"
    shared = {key: value for key, value in section.items() if key in ProviderSection.__struct_fields__}
    settings = converted(place, shared, ProviderSection)
    own = {key: value for key, value in section.items() if key not in shared}
    catalogue = _catalogue(place, name, settings.adapter, own)
    billed = catalogue.billed if settings.billed is None else settings.billed
    key = None if settings.api_key is None else secret(f"{place}.api_key", settings.api_key, env, base)
    if billed and key is None:
        raise SettingsError(
            f'{place}.api_key: a billed provider needs its key; write api_key = "env:NAME" or "file:PATH"'
        )
    try:
        base_url = _base_url(settings.base_url or catalogue.base_url)
        sold = _served(base_url, offers(name, catalogue, settings.models, billed=billed))
        for offer in sold:
            check(catalogue.adapter, offer)
        adapter = make(catalogue.adapter, {**catalogue.settings, **own})
        usual = habits(catalogue.adapter, adapter)
        timeout_s = settings.timeout_s or usual.timeout_s
        narrow = (narrowed(catalogue.adapter, adapter, offer) for offer in sold)
        patient = (replace(offer, overflow_after_s=settings.overflow_after_s) for offer in narrow)
        return Provider(
            name=name,
            adapter=adapter,
            base_url=base_url,
            key=key,
            result_hosts=settings.result_hosts,
            max_concurrency=settings.max_concurrency or usual.max_concurrency,
            timeout_s=timeout_s,
            offers=by_seconds(settings, patient, timeout_s),
            callbacks=_calls_back(adapter, wanted=settings.callbacks),
            callback_secrets=tuple(
                secret(f"{place}.callback_secrets[{index}]", one, env, base)
                for index, one in enumerate(settings.callback_secrets)
            ),
        )
    except ValueError as error:
        raise SettingsError(f"{place}.{error}") from None


def _calls_back(adapter: Adapter, *, wanted: bool) -> bool:
    if wanted and not isinstance(adapter, CallsBack):
        raise ValueError("callbacks: servers of this kind call nobody back; leave it out")
    return wanted


def _served(base_url: str, known: tuple[Offer, ...]) -> tuple[Offer, ...]:
    """An engine inside the process serves the model of its name and no other."""
    scheme, _, engine = base_url.partition(":")
    return tuple(offer for offer in known if offer.model == engine) if scheme == "embedded" else known


def _base_url(given: str) -> str:
    if not given:
        raise ValueError('base_url: every account has its own; write base_url = "https://NAME.openai.azure.com"')
    return given.rstrip("/")


def _catalogue(place: str, name: str, adapter: str | None, own: Mapping[str, object]) -> Catalogue:
    """The shipped catalogue of the server that the section's own settings name; else of the provider's name; else of
    the adapter it names. What is set comes first: whoever names a billed server gets its bill, under any name."""
    catalogues = {provider: read_catalogue(provider) for provider in shipped()}
    speaks = adapter or (catalogues[name].adapter if name in catalogues else None)
    same = {provider: one for provider, one in catalogues.items() if one.adapter == speaks}
    if not same:
        adapters = ", ".join(sorted({catalogue.adapter for catalogue in catalogues.values()}))
        words = "a provider of another name must say which it speaks"
        raise SettingsError(f"{place}.adapter: expected one of {adapters}; {words}")
    said = [one for one in same.values() if one.settings and one.settings.items() <= own.items()]
    named = [one for provider, one in same.items() if provider == name and not one.settings.keys() & own.keys()]
    plain = [one for one in same.values() if not one.settings]
    return (said + named + plain)[0]


def secret(place: str, reference: str, env: Mapping[str, str], base: Path) -> Secret:
    try:
        return read_secret(reference, env, base)
    except ValueError as error:
        raise SettingsError(f"{place}: {error}") from None
