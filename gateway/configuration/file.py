"""A file, or development without one, as settings: the sections resolved one by one, in the order of their needs."""

import os
import tomllib
from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec.structs import replace

from adapters.contract import Offer
from gateway.aliases import ALIASES, named
from gateway.configuration.clients import clients
from gateway.configuration.limits import limits
from gateway.configuration.place import SettingsError, converted, listed
from gateway.configuration.policies import policy
from gateway.configuration.providers import provider, secret
from gateway.configuration.proxy import proxy
from gateway.configuration.teams import budget, team
from gateway.secret import Secret, key_hash
from gateway.sections import ALL_SCOPES, File
from gateway.settings import Provider, Settings
from policies.policy import Policy
from policies.price import MissingPrice, require_price

DEVELOPMENT_TEAM = "development"
LEAST_SECRET = 32


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
    return converted("", document, File)


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
    providers = {name: provider(name, section, env, base) for name, section in file.providers.items()}
    _check_callbacks(file, providers)
    known = {offer.name: offer for provider in providers.values() for offer in provider.offers}
    policies = {name: policy(name, section, known) for name, section in file.policies.items()}
    teams = {name: team(name, section, policies, known) for name, section in file.teams.items()}
    state_dir = (base / file.state.dir).resolve()
    return Settings(
        server=file.server,
        state=replace(file.state, url=_address("state.url", file.state.url, env, base)),
        state_dir=state_dir,
        results_url=_results_url(file.results.url, state_dir, base),
        secrets=_secrets(file, env, base),
        engine=Path(env["KONTEXT_ENGINE"]) if env.get("KONTEXT_ENGINE") else None,
        allow_hosts=file.egress.allow_hosts,
        proxy=proxy(file.egress, env, base),
        limits=limits(file.limits),
        retention_s=_retention_s(file),
        uploads_s=_uploads_s(file),
        prompts_s=_prompts_s(file),
        ledger_url=_ledger_url(_address("ledger.url", file.ledger.url, env, base), base),
        reconcile_s=file.ledger.reconcile_s,
        metrics=file.metrics,
        clients=clients(file.clients),
        budget=budget("budget", file.budget),
        providers=providers,
        offers=known,
        policies=policies,
        teams={name: found for name, (found, _) in teams.items()},
        keys={key.hash: key for _, keys in teams.values() for key in keys},
        aliases=_aliases(file.openai.aliases, known, policies),
        revision=sha256(msgspec.json.encode(file, order="sorted")).hexdigest()[:12],
        development_key=development_key,
        traces=_traces(env),
    )


def _check_callbacks(file: File, providers: Mapping[str, Provider]) -> None:
    for name, one in providers.items():
        if one.callbacks and not file.server.public_url:
            words = 'at which address? Set public_url = "https://…" under [server], as the provider can reach it'
            raise SettingsError(f"providers.{name}.callbacks: {words}")


def _aliases(given: Mapping[str, str], offers: Mapping[str, Offer], policies: Mapping[str, Policy]) -> dict[str, str]:
    """In lower case, as names are compared. Each leads somewhere, or to a model that a key would add."""
    for alias, target in given.items():
        if named(target, offers, policies) is None and target not in ALIASES.values():
            words = f"an offer ({listed(offers)}), a tier, policy:NAME ({listed(policies)}), a model's name, or default"
            raise SettingsError(f'openai.aliases."{alias}": {target!r} is nothing here; expected {words}')
    return {alias.lower(): target for alias, target in given.items()}


def _traces(env: Mapping[str, str]) -> bool:
    """By OpenTelemetry's standard variables, so that one environment serves every service."""
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return bool(env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def _secrets(file: File, env: Mapping[str, str], base: Path) -> tuple[Secret, ...]:
    given = file.server.secret
    references = (given,) if isinstance(given, str) else (given or ())
    if not references and not file.state.url.startswith("embedded:"):
        raise SettingsError(
            'server.secret: needed with a shared store; write secret = "file:PATH" (32 random bytes or more)'
        )
    found = tuple(secret("server.secret", reference, env, base) for reference in references)
    if found and len(found[0].reveal()) < LEAST_SECRET:  # the one that signs; an older one may have to stay as it is
        words = f"shorter than {LEAST_SECRET} characters can be guessed; write what `openssl rand -hex 32` prints"
        raise SettingsError(f"server.secret: {words}")
    return found


def _address(place: str, given: str, env: Mapping[str, str], base: Path) -> str:
    """An address may hold a password, and so may stand elsewhere: `env:NAME` or `file:PATH`."""
    return secret(place, given, env, base).reveal() if given.startswith(("env:", "file:")) else given


def _ledger_url(url: str, base: Path) -> str:
    """SQLite's path is relative to the configuration's folder, as every path in it."""
    scheme, _, path = url.partition(":")
    if scheme == "sqlite":
        return f"sqlite:{(base / path).resolve()}"
    if scheme in ("postgresql", "postgres"):
        return url
    raise SettingsError(
        "ledger.url: expected sqlite:PATH, postgresql://USER:PASSWORD@HOST/DATABASE, or env:NAME or file:PATH of one"
    )


def _results_url(url: str | None, state_dir: Path, base: Path) -> str:
    """A folder is relative to the configuration's own, as every path in it."""
    if url is None:
        return f"file:{state_dir / 'results'}"
    scheme, _, path = url.partition(":")
    if scheme not in ("file", "memory", "s3", "gs", "az"):
        raise SettingsError("results.url: expected file:FOLDER, s3://BUCKET/PREFIX, gs://…, az://… or memory:")
    if scheme != "file":
        return url
    return f"file:{(base / Path(path.removeprefix('//')).expanduser()).resolve()}"


def _retention_s(file: File) -> float:
    seconds = _seconds("retention.results", file.retention.results)
    if seconds < _UNITS["d"]:
        raise SettingsError("retention.results: at least 24h, for which a repeated Idempotency-Key finds its edit")
    return seconds


def _uploads_s(file: File) -> float:
    seconds = _seconds("retention.uploads", file.retention.uploads)
    if seconds < _UNITS["m"]:
        raise SettingsError("retention.uploads: at least 1m, or an upload is gone before it can be used")
    return seconds


def _prompts_s(file: File) -> float:
    seconds = _seconds("retention.prompts", file.retention.prompts)
    if seconds < _UNITS["h"]:
        raise SettingsError("retention.prompts: at least 1h, in which charges are compared with the providers'")
    return seconds


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(place: str, text: str) -> float:
    """`24h` in seconds."""
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or unit not in _UNITS:
        raise SettingsError(f"{place}: expected a whole number and one of s m h d, such as 24h")
    return int(number) * _UNITS[unit]
