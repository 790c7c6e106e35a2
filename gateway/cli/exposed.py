"""What one or several replicas expose at `/metrics`, added up into one view: offers, their health, edits, spend.

Pure: pages of text go in. Counters count from the start of their process; a pace needs the page before.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

# A replica's word for a circuit, the worst first: what one of them sees, it tells the others within a second.
CIRCUITS = ("no_credential", "no_credit", "open", "half_open", "probing", "closed")


class Page(Struct, frozen=True):
    """One replica's samples by their names, each with its labels; `at_s` is when it was read."""

    url: str
    at_s: float
    samples: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]

    def total(self, name: str, **wanted: str) -> float:
        """The sum of the series whose labels are as wanted."""
        return sum(value for labels, value in self.samples.get(name, ()) if wanted.items() <= labels.items())

    def values(self, name: str, label: str) -> dict[str, float]:
        """The sums by one label."""
        found: defaultdict[str, float] = defaultdict(float)
        for labels, value in self.samples.get(name, ()):
            found[labels[label]] += value
        return found


class OfferView(Struct, frozen=True, kw_only=True):
    offer: str
    tier: str
    available: bool
    circuit: str
    done: int
    failed: int
    median_s: float | None
    spent_usd: float
    attempts_per_minute: float | None = None
    usd_per_hour: float | None = None


class ReplicaView(Struct, frozen=True, kw_only=True):
    """`is_up` false: it gave no page, and the rest says nothing."""

    url: str
    is_up: bool
    revision: str = ""
    in_flight: int = 0
    waiting: int = 0
    ledger_behind_s: float = 0.0
    store_errors: int = 0


class View(Struct, frozen=True, kw_only=True):
    """All replicas as one gateway. Money in dollars: it is shown, and never added to anything. A pace is None with one
    look alone."""

    replicas: tuple[ReplicaView, ...]
    offers: tuple[OfferView, ...]
    outcomes: dict[str, int]
    in_flight: int
    waiting: int
    spent_usd: float
    wasted_usd: float
    held_usd: float
    unresolved: int
    unresolved_usd: float
    edits_per_minute: float | None = None
    usd_per_hour: float | None = None


def parsed(url: str, text: str, at_s: float) -> Page:
    """Raises `ValueError` for what is no exposition."""
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return Page(url, at_s, samples)


def view(urls: Sequence[str], now: Mapping[str, Page], before: Mapping[str, Page]) -> View:
    """`now` and `before` by address: whoever did not answer is missing."""
    pages = tuple(now.values())
    pace = _Pace(now, before)
    return View(
        replicas=tuple(_replica(url, now.get(url)) for url in urls),
        offers=tuple(_offer(name, tier, pages, pace) for name, tier in sorted(_tiers(pages).items())),
        outcomes={name: int(count) for name, count in sorted(_sums(pages, "kontext_edits_total", "outcome").items())},
        in_flight=int(_total(pages, "kontext_edits_in_flight")),
        waiting=int(_total(pages, "kontext_edits_waiting")),
        spent_usd=_total(pages, "kontext_cost_usd_total"),
        wasted_usd=_total(pages, "kontext_wasted_cost_usd_total"),
        held_usd=_most(pages, "kontext_budget_held_usd"),
        unresolved=int(_most(pages, "kontext_unresolved_attempts")),
        unresolved_usd=_most(pages, "kontext_unresolved_usd"),
        edits_per_minute=pace.of("kontext_edits_total", 60),
        usd_per_hour=pace.of("kontext_cost_usd_total", 3600),
    )


class _Pace:
    """How fast counters grew since the looks before. One that fell began anew with its process, and counts from 0."""

    def __init__(self, now: Mapping[str, Page], before: Mapping[str, Page]) -> None:
        self._pairs = [(page, before[url]) for url, page in now.items() if url in before]

    def of(self, name: str, per_s: float, **wanted: str) -> float | None:
        grown = [
            _grown(page.total(name, **wanted), earlier.total(name, **wanted)) * per_s / (page.at_s - earlier.at_s)
            for page, earlier in self._pairs
            if page.at_s > earlier.at_s
        ]
        return sum(grown) if grown else None


def _grown(now: float, before: float) -> float:
    return now - before if now >= before else now


def _replica(url: str, page: Page | None) -> ReplicaView:
    if page is None:
        return ReplicaView(url=url, is_up=False)
    builds = page.samples.get("kontext_build_info", ())
    return ReplicaView(
        url=url,
        is_up=True,
        revision=builds[0][0].get("revision", "") if builds else "",
        in_flight=int(page.total("kontext_edits_in_flight")),
        waiting=int(page.total("kontext_edits_waiting")),
        ledger_behind_s=page.total("kontext_ledger_backlog_age_seconds"),
        store_errors=int(page.total("kontext_store_errors_total")),
    )


def _tiers(pages: Iterable[Page]) -> dict[str, str]:
    """The offers on sale, with their tiers."""
    available = (labels for page in pages for labels, _ in page.samples.get("kontext_offer_available", ()))
    return {labels["offer"]: labels["tier"] for labels in available}


def _offer(name: str, tier: str, pages: Sequence[Page], pace: _Pace) -> OfferView:
    tried = sum(page.total("kontext_attempts_total", offer=name) for page in pages)
    done = sum(page.total("kontext_attempts_total", offer=name, outcome="done") for page in pages)
    return OfferView(
        offer=name,
        tier=tier,
        available=any(page.total("kontext_offer_available", offer=name) for page in pages),
        circuit=_circuit(name, pages),
        done=int(done),
        failed=int(tried - done),
        median_s=_median_s(name, pages),
        spent_usd=sum(page.total("kontext_cost_usd_total", offer=name) for page in pages),
        attempts_per_minute=pace.of("kontext_attempts_total", 60, offer=name),
        usd_per_hour=pace.of("kontext_cost_usd_total", 3600, offer=name),
    )


def _circuit(offer: str, pages: Sequence[Page]) -> str:
    """Of the offer or of its provider's account, whichever is worse."""
    names = (offer, offer.partition("/")[0])
    for state in CIRCUITS:
        if any(page.total("kontext_circuit_state", offer=name, state=state) for page in pages for name in names):
            return state
    return "closed"


def _median_s(offer: str, pages: Iterable[Page]) -> float | None:
    """Half of the successful attempts were quicker, as far as buckets tell: the middle of the line within one."""
    buckets: defaultdict[float, float] = defaultdict(float)
    for page in pages:
        for labels, value in page.samples.get("kontext_attempt_duration_seconds_bucket", ()):
            if labels["offer"] == offer and labels["outcome"] == "done":
                buckets[float(labels["le"])] += value
    half = max(buckets.values(), default=0) / 2
    low_s, below = 0.0, 0.0
    for high_s, count in sorted(buckets.items()) if half else ():
        if count >= half:
            return low_s if high_s == float("inf") else low_s + (high_s - low_s) * (half - below) / (count - below)
        low_s, below = high_s, count
    return None


def _total(pages: Iterable[Page], name: str) -> float:
    return sum(page.total(name) for page in pages)


def _most(pages: Iterable[Page], name: str) -> float:
    """Of what every replica tells about the whole gateway."""
    return max((page.total(name) for page in pages), default=0.0)


def _sums(pages: Iterable[Page], name: str, label: str) -> dict[str, float]:
    found: defaultdict[str, float] = defaultdict(float)
    for page in pages:
        for value, amount in page.values(name, label).items():
            found[value] += amount
    return found
