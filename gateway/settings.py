"""The configuration file and the environment become one frozen value, or a refusal that teaches.

Nothing else in the gateway reads the environment. `load` raises `SettingsError`, whose text names the place in the
file, what was expected and what to write instead; it never repeats a secret.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from adapters.contract import Adapter, Offer
from adapters.registry import check, make
from gateway.catalogue import Catalogue, offers, read_catalogue, shipped
from gateway.money import micro_from_usd
from gateway.secret import Secret, key_hash, read_secret
from gateway.sections import (
    ALL_SCOPES,
    BudgetSection,
    File,
    KeySection,
    LimitsSection,
    PolicySection,
    ProviderSection,
    Scope,
    ServerSection,
    StateSection,
    TeamSection,
)
from policies.plans import Policy
from policies.price import MissingPrice, require_price

DEVELOPMENT_TEAM = "development"
_TEAM_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_T = TypeVar("_T")


class SettingsError(ValueError):
    """The configuration cannot be used; the text says where, why and what to write."""


# --- the settings, resolved -----------------------------------------------------------------------------------------


class Provider(Struct, frozen=True, kw_only=True):
    """A configured account at a provider, with the adapter that speaks its wire."""

    name: str
    adapter: Adapter
    base_url: str
    key: Secret | None
    result_hosts: tuple[str, ...]
    max_concurrency: int
    timeout_s: float
    offers: tuple[Offer, ...]


class Budget(Struct, frozen=True):
    """Caps in micro-dollars, by UTC day, by UTC month and in total; None is no cap."""

    day_micro: int | None = None
    month_micro: int | None = None
    total_micro: int | None = None


class Key(Struct, frozen=True, kw_only=True):
    """An API key as the gateway knows it: never the key itself. `expires` is the last valid UTC day."""

    id: str
    team: str
    hash: str
    scopes: tuple[Scope, ...]
    expires: date | None = None
    budget: Budget = Budget()
    per_minute: int | None = None
    concurrency: int | None = None


class Team(Struct, frozen=True, kw_only=True):
    name: str
    policy: str
    budget: Budget = Budget()
    accepts_risk: bool = False
    requires_key: bool = False


class Settings(Struct, frozen=True, kw_only=True):
    """`development_key` is set only without a configuration file; `revision` names this configuration in answers."""

    server: ServerSection
    state: StateSection
    state_dir: Path
    results_url: str
    secrets: tuple[Secret, ...]
    engine: Path | None
    allow_hosts: tuple[str, ...]
    limits: LimitsSection
    retention_s: float
    ledger_url: str
    budget: Budget
    providers: dict[str, Provider]
    offers: dict[str, Offer]
    policies: dict[str, Policy]
    teams: dict[str, Team]
    keys: dict[str, Key]
    revision: str
    development_key: str | None = None


def environment() -> Mapping[str, str]:
    """The process's environment, for those who hand it to `load`."""
    return os.environ  # noqa: TID251 - the one reader


def find_file(given: str | None, env: Mapping[str, str]) -> Path | None:
    """`--config`, else `KONTEXT_CONFIG`, else `./kontext.toml` where there is one."""
    if named := given or env.get("KONTEXT_CONFIG"):
        return Path(named)
    here = Path("kontext.toml")
    return here if here.exists() else None


def load(path: Path | None, env: Mapping[str, str], day: date, *, development_key: str | None = None) -> Settings:
    """The settings of a file, or of development without one (loopback, the preview, one team with one key).

    `day` (UTC) is the one from which every offer must have a price.
    """
    if path is not None:
        return _priced(_resolve(_read(path), path.parent, env, None), day)
    if development_key is None:
        raise SettingsError("no configuration file: name one by --config, or give a development key")
    return _priced(_resolve(_development(env, development_key), Path(), env, development_key), day)


def _priced(settings: Settings, day: date) -> Settings:
    for offer in settings.offers.values():
        try:
            require_price(offer, day)
        except MissingPrice as error:
            raise SettingsError(f"providers.{offer.provider}.models.{offer.model}: {error}") from None
    return settings


def _read(path: Path) -> File:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None
    return _convert("", document, File)


def _convert(place: str, document: object, kind: type[_T]) -> _T:
    """`document` as `kind`, or an error that names `place` in the file."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        where = f"{place}{path.removesuffix('`')}".lstrip(".") or "the file"
        raise SettingsError(f"{where}: {text}") from None


# --- development, without a file ------------------------------------------------------------------------------------

_KEY_VARIABLES = {"runware": "RUNWARE_API_KEY", "runflow": "RUNFLOW_API_KEY"}


def _development(env: Mapping[str, str], key: str) -> File:
    """Loopback only and nothing that costs: provider keys in the environment add offers that a request can name, and
    never move traffic to paid ones by themselves."""
    paid = {name: {"api_key": f"env:{variable}"} for name, variable in _KEY_VARIABLES.items() if env.get(variable)}
    return File(
        providers={"local": {}, **paid},
        policies={"preview": {"tier": "preview", "offers": ["local/preview"]}},
        teams={DEVELOPMENT_TEAM: {"policy": "preview", "keys": [{"hash": key_hash(key), "scopes": list(ALL_SCOPES)}]}},
    )


# --- resolving ------------------------------------------------------------------------------------------------------


def _resolve(file: File, base: Path, env: Mapping[str, str], development_key: str | None) -> Settings:
    providers = {name: _provider(name, section, env, base) for name, section in file.providers.items()}
    known = {offer.name: offer for provider in providers.values() for offer in provider.offers}
    policies = {name: _policy(name, section, known) for name, section in file.policies.items()}
    teams = {name: _team(name, section, policies) for name, section in file.teams.items()}
    state_dir = (base / file.state.dir).resolve()
    return Settings(
        server=file.server,
        state=file.state,
        state_dir=state_dir,
        results_url=file.results.url or f"file:{state_dir / 'results'}",
        secrets=_secrets(file, env, base),
        engine=Path(env["KONTEXT_ENGINE"]) if env.get("KONTEXT_ENGINE") else None,
        allow_hosts=file.egress.allow_hosts,
        limits=file.limits,
        retention_s=_retention_s(file),
        ledger_url=_ledger_url(file, base),
        budget=_budget("budget", file.budget),
        providers=providers,
        offers=known,
        policies=policies,
        teams={name: team for name, (team, _) in teams.items()},
        keys={key.hash: key for _, keys in teams.values() for key in keys},
        revision=sha256(msgspec.json.encode(file, order="sorted")).hexdigest()[:12],
        development_key=development_key,
    )


def _provider(name: str, section: dict[str, Any], env: Mapping[str, str], base: Path) -> Provider:
    place = f"providers.{name}"
    shared = {key: value for key, value in section.items() if key in ProviderSection.__struct_fields__}
    settings = _convert(place, shared, ProviderSection)
    catalogue = _catalogue(place, name, settings.adapter)
    own = {key: value for key, value in section.items() if key not in shared}
    billed = catalogue.billed if settings.billed is None else settings.billed
    key = None if settings.api_key is None else _secret(f"{place}.api_key", settings.api_key, env, base)
    if billed and key is None:
        raise SettingsError(
            f'{place}.api_key: a billed provider needs its key; write api_key = "env:NAME" or "file:PATH"'
        )
    try:
        base_url = (settings.base_url or catalogue.base_url).rstrip("/")
        sold = _served(base_url, offers(name, catalogue, settings.models, billed=billed))
        for offer in sold:
            check(catalogue.adapter, offer)
        return Provider(
            name=name,
            adapter=make(catalogue.adapter, own),
            base_url=base_url,
            key=key,
            result_hosts=settings.result_hosts,
            max_concurrency=settings.max_concurrency,
            timeout_s=settings.timeout_s,
            offers=sold,
        )
    except ValueError as error:
        raise SettingsError(f"{place}.{error}") from None


def _served(base_url: str, known: tuple[Offer, ...]) -> tuple[Offer, ...]:
    """An engine inside the process serves the model of its name and no other."""
    scheme, _, engine = base_url.partition(":")
    return tuple(offer for offer in known if offer.model == engine) if scheme == "embedded" else known


def _catalogue(place: str, name: str, adapter: str | None) -> Catalogue:
    """The shipped catalogue of the provider's name, else of the adapter it names."""
    catalogues = {provider: read_catalogue(provider) for provider in shipped()}
    if name in catalogues and adapter in (None, catalogues[name].adapter):
        return catalogues[name]
    for catalogue in catalogues.values():
        if catalogue.adapter == adapter:
            return catalogue
    adapters = ", ".join(sorted({catalogue.adapter for catalogue in catalogues.values()}))
    raise SettingsError(
        f"{place}.adapter: expected one of {adapters}; a provider of another name must say which it speaks"
    )


def _secret(place: str, reference: str, env: Mapping[str, str], base: Path) -> Secret:
    try:
        return read_secret(reference, env, base)
    except ValueError as error:
        raise SettingsError(f"{place}: {error}") from None


def _secrets(file: File, env: Mapping[str, str], base: Path) -> tuple[Secret, ...]:
    given = file.server.secret
    references = (given,) if isinstance(given, str) else (given or ())
    if not references and not file.state.url.startswith("embedded:"):
        raise SettingsError(
            'server.secret: needed with a shared store; write secret = "file:PATH" (32 random bytes or more)'
        )
    return tuple(_secret("server.secret", reference, env, base) for reference in references)


def _policy(name: str, section: dict[str, Any], known: Mapping[str, Offer]) -> Policy:
    settings = _convert(f"policies.{name}", section, PolicySection)
    for index, offer in enumerate(settings.offers):
        if offer not in known:
            names = ", ".join(sorted(known)) or "none (no provider is configured)"
            raise SettingsError(f"policies.{name}.offers[{index}]: no offer is named {offer!r}; known are {names}")
    try:
        return Policy(name=name, tier=settings.tier, offers=settings.offers, order=settings.order)
    except ValueError as error:
        raise SettingsError(f"policies.{name}.order: {error}") from None


def _team(name: str, section: dict[str, Any], policies: Mapping[str, Policy]) -> tuple[Team, tuple[Key, ...]]:
    place = f"teams.{name}"
    if not _TEAM_NAME.fullmatch(name):
        raise SettingsError(f"{place}: a team's name is 1 to 64 of a-z, 0-9, _ and -")
    settings = _convert(place, section, TeamSection)
    if settings.policy not in policies:
        names = ", ".join(sorted(policies)) or "none"
        raise SettingsError(f"{place}.policy: no policy is named {settings.policy!r}; known are {names}")
    keys = tuple(_key(f"{place}.keys[{index}]", name, index, key) for index, key in enumerate(settings.keys))
    team = Team(
        name=name,
        policy=settings.policy,
        budget=_budget(f"{place}.budget", settings.budget),
        accepts_risk=settings.on_unknown == "accept_risk",
        requires_key=settings.require_idempotency_key,
    )
    return team, keys


def _key(place: str, team: str, index: int, key: str | KeySection) -> Key:
    section = KeySection(hash=key) if isinstance(key, str) else key
    scheme, _, digest = section.hash.partition(":")
    if scheme != "sha256" or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise SettingsError(
            f"{place}: expected sha256: and 64 hex digits, as `kontext key new {team}` prints; never the key itself"
        )
    return Key(
        id=section.id or f"{team}-{index}",
        team=team,
        hash=section.hash,
        scopes=section.scopes,
        expires=section.expires,
        budget=_budget(f"{place}.budget", section.budget),
        per_minute=section.per_minute,
        concurrency=section.concurrency,
    )


def _budget(place: str, section: BudgetSection) -> Budget:
    caps: list[int | None] = []
    for window in ("day_usd", "month_usd", "total_usd"):
        text = getattr(section, window)
        try:
            caps.append(None if text is None else micro_from_usd(text))
        except ValueError as error:
            raise SettingsError(f"{place}.{window}: {error}") from None
    return Budget(*caps)


def _ledger_url(file: File, base: Path) -> str:
    """SQLite's path is relative to the configuration's folder, as every path in it."""
    scheme, _, path = file.ledger.url.partition(":")
    if scheme == "sqlite":
        return f"sqlite:{(base / path).resolve()}"
    if scheme in ("postgresql", "postgres"):
        return file.ledger.url
    raise SettingsError("ledger.url: expected sqlite:PATH or postgresql://USER:PASSWORD@HOST/DATABASE")


def _retention_s(file: File) -> float:
    seconds = _seconds("retention.results", file.retention.results)
    if seconds < _UNITS["d"]:
        raise SettingsError("retention.results: at least 24h, for which a repeated Idempotency-Key finds its edit")
    return seconds


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(place: str, text: str) -> float:
    """`24h` in seconds."""
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or unit not in _UNITS:
        raise SettingsError(f"{place}: expected a whole number and one of s m h d, such as 24h")
    return int(number) * _UNITS[unit]
