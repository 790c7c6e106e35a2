"""The configuration file's shape, section by section, every default in sight. What it means is `configuration/`."""

from datetime import date
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from adapters.contract import Tier
from gateway.catalogue import ModelOverlay
from policies.conditions import When

Scope = Literal["edit", "read", "admin"]
Risk = Literal["public_without_tls", "readable_keys", "preview_in_production"]
Port = Annotated[int, Meta(ge=0, le=65_535)]
ALL_SCOPES: tuple[Scope, ...] = ("edit", "read", "admin")


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ServerSection(Section, frozen=True, kw_only=True):
    """`secret`: the first signs, all verify, the last one makes `origin`. `drain_s`: for how long a gateway that was
    told to end still listens, not ready, so that whoever balances load notices before a connection is refused; new
    edits are taken in its first half. `behind_tls`: a TLS terminator stands in front. `accept_risks`: what it would
    refuse to start with (`safety.py`).
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    secret: str | tuple[str, ...] | None = None
    public_url: str | None = None
    behind_tls: bool = False
    accept_risks: tuple[Risk, ...] = ()
    drain_s: Annotated[float, Meta(ge=0, le=20)] = 1.0


class ClientsSection(Section, frozen=True, kw_only=True):
    """How slow clients may be, in seconds: `head_s` for a request's head; `body_s` for its body, and one more for each
    `body_bytes_per_s` that came of it; `read_s` without reading on in an answer. `trusted_proxies`: addresses and
    networks whose X-Forwarded-For and X-Forwarded-Proto are believed. An address that is none of them holds at most
    `connections_per_client`, and so many requests at once has each client that they speak for."""

    head_s: Annotated[float, Meta(gt=0)] = 10.0
    body_s: Annotated[float, Meta(gt=0)] = 20.0
    body_bytes_per_s: Annotated[int, Meta(gt=0)] = 16_000
    read_s: Annotated[float, Meta(gt=0)] = 30.0
    connections_per_client: Annotated[int, Meta(gt=0)] = 4096
    trusted_proxies: tuple[str, ...] = ()


class StateSection(Section, frozen=True, kw_only=True):
    """`min_replicas`: how many of the store's replicas must confirm what moves money; left out is 1 where the address
    names several nodes, else none. `patience_s`: how many seconds of an outage of the store new requests are kept for,
    before they are answered 503."""

    url: str = "embedded:"
    dir: str = ".kontext"
    durability: Literal["required", "provider", "throwaway"] = "required"
    beat_s: float = 3.0
    dead_after_s: float = 10.0
    min_replicas: int | None = None
    patience_s: Annotated[float, Meta(ge=0, le=60)] = 10.0

    @property
    def confirmations(self) -> int:
        several = self.url.partition("://")[0].endswith(("+sentinel", "+cluster"))
        return int(several) if self.min_replicas is None else self.min_replicas


class BudgetSection(Section, frozen=True, kw_only=True):
    """Caps in decimal dollars, by UTC day, by UTC month and in total; left out is no cap."""

    day_usd: str | None = None
    month_usd: str | None = None
    total_usd: str | None = None


class LedgerSection(Section, frozen=True, kw_only=True):
    """`url`: `sqlite:PATH` or `postgresql://…`. `reconcile_s`: seconds between two rounds in which what is booked is
    held against what providers say."""

    url: str = "sqlite:.kontext/ledger.db"
    reconcile_s: Annotated[float, Meta(gt=0)] = 60.0


class ResultsSection(Section, frozen=True, kw_only=True):
    url: str | None = None


class EgressSection(Section, frozen=True, kw_only=True):
    """`allow_hosts`: `host:port`s that may have private addresses. `proxy`: a forward proxy for all calls but those to
    `allow_hosts`, as `http://HOST:PORT`; with a password in it by reference (`env:NAME`, `file:PATH`). It resolves
    names itself, and must itself refuse private addresses."""

    allow_hosts: tuple[str, ...] = ()
    proxy: str | None = None


class LimitsSection(Section, frozen=True, kw_only=True):
    """Of one replica. `in_flight`: edits that it follows; `queued`: those of them that wait for a place at a provider;
    `queue_s`: an edit that would wait longer for one is refused. `picture_bytes`: of requests that are being read and
    pictures that are being taken in or fetched, at least 64MB. Teams share them: none holds more than four times its
    `share` of what is still free.
    """

    in_flight: Annotated[int, Meta(ge=1)] = 2000
    queued: Annotated[int, Meta(ge=1)] = 2000
    queue_s: Annotated[float, Meta(ge=0)] = 60.0
    picture_bytes: str = "512MB"


class MetricsSection(Section, frozen=True, kw_only=True):
    """`port`: one of their own, where `/metrics` asks for no key; without it they are behind the scope `read`."""

    host: str = "127.0.0.1"
    port: Port | None = None


class OpenAISection(Section, frozen=True, kw_only=True):
    """`aliases`: what OpenAI clients may call a `model`, and what it stands for: an offer, a tier, `policy:NAME`, a
    model's name alone, or `default` (the team's policy)."""

    aliases: dict[str, str] = field(default_factory=dict[str, str])


class RetentionSection(Section, frozen=True, kw_only=True):
    """`uploads`: for how long an uploaded picture is kept after it was last used. From an edit's end on, `results`: how
    long its pictures and its record are kept; `prompts`: its prompt, and the calls that quote it. Inputs are kept an
    hour."""

    results: str = "7d"
    uploads: str = "24h"
    prompts: str = "24h"


class ProviderSection(Section, frozen=True, kw_only=True):
    """What every provider has; the adapter's own settings stand beside these in the file. `max_concurrency` and
    `timeout_s` left out are 4 and 30, or what is usual for the server that an adapter's `profile` names.
    `gpu_second_usd`: what a second of a machine of one's own costs, in decimal dollars; left out it is free.
    `gpu_most_usd`: no edit there is booked, or held, above it; left out, the longest that a call may take is held.
    `overflow_after_s`: where an edit would wait longer for this provider it goes to the next offer; left out, it
    waits.
    `callbacks`: the provider is asked to call `[server] public_url` when it is done; polls go on all the same.
    `callback_secrets`: those by which it signs its calls."""

    adapter: str | None = None
    api_key: str | None = None
    base_url: str | None = None
    result_hosts: tuple[str, ...] = ()
    max_concurrency: Annotated[int, Meta(ge=1)] | None = None
    timeout_s: Annotated[float, Meta(gt=0)] | None = None
    billed: bool | None = None
    gpu_second_usd: str | None = None
    gpu_most_usd: str | None = None
    overflow_after_s: Annotated[float, Meta(ge=0)] | None = None
    callbacks: bool = False
    callback_secrets: tuple[str, ...] = ()
    models: dict[str, ModelOverlay] = field(default_factory=dict[str, ModelOverlay])


Order = Literal["balanced"] | tuple[str, ...]
"""Names of orders (`policies/orders.py`), or the one that is shipped."""


class RuleSection(Section, frozen=True, kw_only=True):
    """What replaces the policy's own while `when` holds; the first rule that holds counts."""

    when: When
    offers: tuple[str, ...] | None = None
    order: Order | None = None
    tier: Tier | None = None
    degrade_to: Tier | None = None
    shares: dict[str, float] | None = None


class PolicySection(Section, frozen=True, kw_only=True):
    """`degrade_to`: the lowest tier that an edit gets, marked, where nothing at its floor is left. `shares` and
    `sticky` (the metadata key whose values stay together) are for the order `weighted`. `overflow_after_s`: so long an
    edit waits for a machine of one's own before it goes to the next offer; left out, its provider says."""

    offers: tuple[str, ...]
    tier: Tier = Tier.STANDARD
    order: Order = ()
    rules: tuple[RuleSection, ...] = ()
    degrade_to: Tier | None = None
    shares: dict[str, float] = field(default_factory=dict[str, float])
    sticky: str | None = None
    overflow_after_s: Annotated[float, Meta(ge=0)] | None = None


class KeySection(Section, frozen=True, kw_only=True):
    hash: str
    id: str = ""
    scopes: tuple[Scope, ...] = ("edit", "read")
    expires: date | None = None
    budget: BudgetSection = BudgetSection()
    per_minute: int | None = None
    concurrency: int | None = None


class HedgeSection(Section, frozen=True, kw_only=True):
    """A second runner beside a slow first one. `max_extra_usd`: the most that it may cost an edit, in decimal dollars;
    left out, only an offer that nobody bills runs. `after_s`: not sooner, however quick the first one usually is."""

    max_extra_usd: str | None = None
    after_s: Annotated[float, Meta(ge=0)] | None = None


class TeamSection(Section, frozen=True, kw_only=True):
    """`offers`: those that the team may use, left out is all. `tier`: its floor where a request names none.
    `hedge` left out: no edit of the team has two runners. `share`: its weight among the teams where the gateway is at
    a limit."""

    policy: str
    share: Annotated[float, Meta(ge=0.01, le=1000)] = 1.0
    offers: tuple[str, ...] | None = None
    tier: Tier | None = None
    keys: tuple[str | KeySection, ...] = ()
    budget: BudgetSection = BudgetSection()
    on_unknown: Literal["hold", "accept_risk"] = "hold"
    hedge: HedgeSection | None = None
    require_idempotency_key: bool = False


class File(Section, frozen=True, kw_only=True):
    """A whole `kontext.toml`; the maps are converted one by one so that an error names its key."""

    server: ServerSection = ServerSection()
    clients: ClientsSection = ClientsSection()
    state: StateSection = StateSection()
    results: ResultsSection = ResultsSection()
    egress: EgressSection = EgressSection()
    limits: LimitsSection = LimitsSection()
    retention: RetentionSection = RetentionSection()
    openai: OpenAISection = OpenAISection()
    ledger: LedgerSection = LedgerSection()
    metrics: MetricsSection = MetricsSection()
    budget: BudgetSection = BudgetSection()
    providers: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    policies: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    teams: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
