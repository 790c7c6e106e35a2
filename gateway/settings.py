"""The settings, resolved: what every room is given of the configuration. How a file becomes one is `configuration/`."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from msgspec import Struct

from adapters.contract import Adapter, Offer, Tier
from gateway.secret import Secret
from gateway.sections import ClientsSection, MetricsSection, Scope, ServerSection, StateSection
from policies.hedge import Terms
from policies.policy import Policy

BODY_BYTES = 64_000_000
"""The largest body of a request."""


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
    callbacks: bool = False
    callback_secrets: tuple[Secret, ...] = ()


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
    """`offers` are those that it may use; None is all of them. `tier` is the floor where a request names none; None is
    its policy's. `hedge`: the second runner that it bought. `share`: its weight where teams share what is bounded."""

    name: str
    policy: str
    offers: tuple[str, ...] | None = None
    tier: Tier | None = None
    budget: Budget = Budget()
    accepts_risk: bool = False
    hedge: Terms | None = None
    requires_key: bool = False
    share: float = 1.0


class Limits(Struct, frozen=True, kw_only=True):
    """Of one replica: edits that it follows, how many of them wait for a place and how long, and bytes of requests and
    pictures that it holds at once."""

    in_flight: int = 2000
    queued: int = 2000
    queue_s: float = 60.0
    picture_bytes: int = 512_000_000


class Settings(Struct, frozen=True, kw_only=True):
    """`development_key` is set only without a configuration file; `revision` names this configuration in answers;
    `traces`: the environment says where to send them."""

    server: ServerSection
    state: StateSection
    state_dir: Path
    results_url: str
    secrets: tuple[Secret, ...]
    engine: Path | None
    allow_hosts: tuple[str, ...]
    proxy: Secret | None = None
    limits: Limits
    retention_s: float
    uploads_s: float = 86_400.0
    prompts_s: float
    ledger_url: str
    reconcile_s: float
    metrics: MetricsSection = MetricsSection()
    clients: ClientsSection = ClientsSection()
    budget: Budget
    providers: dict[str, Provider]
    offers: dict[str, Offer]
    policies: dict[str, Policy]
    teams: dict[str, Team]
    keys: dict[str, Key]
    aliases: dict[str, str]
    revision: str
    development_key: str | None = None
    traces: bool = False

    @property
    def secret_texts(self) -> tuple[str, ...]:
        """For the sink that must keep them out of every line, and for nothing else."""
        keys = [provider.key for provider in self.providers.values() if provider.key is not None]
        keys += [secret for provider in self.providers.values() for secret in provider.callback_secrets]
        keys += [self.proxy] if self.proxy else []
        return (*(secret.reveal() for secret in (*keys, *self.secrets)), self.development_key or "")

    @property
    def secret_file(self) -> Path:
        """Where the secret is kept that an embedded state makes by itself."""
        return self.state_dir / "secret"


class Source(Struct, frozen=True):
    """Where settings come from: `path` is None without a file. `read` raises `SettingsError`."""

    path: Path | None
    read: Callable[[], Settings]
