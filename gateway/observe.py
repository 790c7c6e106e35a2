"""Every metric, in one place, with its help, unit and closed labels; and the log.

Labels come from configuration and from enums of the code: never a key, a team, a URL, a prompt or an error's text.
Money is counted in integer micro-dollars and becomes a float of dollars only while it is scraped.
"""

import contextlib
import io
import logging
import sys
from collections import Counter as Tally
from collections.abc import Iterable
from typing import TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from gateway.money import MICRO

EDIT_SECONDS = (0.5, 1, 2, 3, 5, 8, 13, 20, 30, 45, 60, 90, 120, 180)

log: FilteringBoundLogger = structlog.get_logger("kontext")


class Money(Collector):
    """A counter of dollars that adds up integers."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...]) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._micro: Tally[tuple[str, ...]] = Tally()

    def add(self, micro: int, *labels: str) -> None:
        self._micro[labels] += micro

    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, micro in self._micro.items():
            family.add_metric(labels, micro / MICRO)
        yield family


class Metrics:
    """The gateway's series, in a registry of their own (one a process)."""

    def __init__(self, version: str, revision: str) -> None:
        self.registry = registry = CollectorRegistry()
        self.edits = Counter(
            "kontext_edits", "Edits that ended, by outcome.", ("tier", "policy", "outcome"), registry=registry
        )
        self.edit_seconds = Histogram(
            "kontext_edit_duration_seconds",
            "Time from the acceptance of an edit to its end.",
            ("tier", "outcome"),
            buckets=EDIT_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("kontext_edits_in_flight", "Edits that this replica works on now.", registry=registry)
        self.attempts = Counter(
            "kontext_attempts",
            "Attempts that ended, by outcome and position.",
            ("offer", "outcome", "position"),
            registry=registry,
        )
        self.attempt_seconds = Histogram(
            "kontext_attempt_duration_seconds",
            "Time from the opening of an attempt to its end.",
            ("offer", "outcome"),
            buckets=EDIT_SECONDS,
            registry=registry,
        )
        self.fallbacks = Counter(
            "kontext_fallbacks",
            "Times an edit went on to another offer, by the failure that made it.",
            ("from_offer", "to_offer", "reason"),
            registry=registry,
        )
        self.polls = Counter(
            "kontext_polls", "Polls, by what the reply proved.", ("provider", "result"), registry=registry
        )
        self.exclusions = Counter(
            "kontext_routing_exclusions", "Offers left out of plans.", ("offer", "reason"), registry=registry
        )
        self.adjustments = Counter(
            "kontext_adjustments", "Fields that could not be sent as asked.", ("offer", "field"), registry=registry
        )
        self.recoveries = Counter(
            "kontext_edit_recoveries", "Edits taken over from a replica that was gone.", registry=registry
        )
        self.unresolved = Counter(
            "kontext_attempts_unresolved",
            "Attempts whose outcome, and charge, is not known.",
            ("offer",),
            registry=registry,
        )
        self.circuit_state = Gauge(
            "kontext_circuit_state",
            "1 for the state that the circuit of an offer, or of a provider's account (by its name), is in.",
            ("offer", "state"),
            registry=registry,
        )
        self.circuit_transitions = Counter(
            "kontext_circuit_transitions",
            "Changes of a circuit's state that this replica saw.",
            ("offer", "to"),
            registry=registry,
        )
        self.provider_slots = Gauge(
            "kontext_provider_slots", "Attempts that may be open at a provider.", ("provider",), registry=registry
        )
        self.provider_slots_in_use = Gauge(
            "kontext_provider_slots_in_use",
            "Attempts that are open at a provider, here and elsewhere.",
            ("provider",),
            registry=registry,
        )
        self.cost = Money("kontext_cost_usd", "What providers charged.", ("offer", "tier", "cost_source"))
        self.wasted = Money("kontext_wasted_cost_usd", "What was charged without delivering.", ("offer", "reason"))
        self.reconciliations = Counter(
            "kontext_reconciliations",
            "Attempts that were held against their provider's word, by what was found.",
            ("provider", "result"),
            registry=registry,
        )
        self.unresolved_attempts = Gauge(
            "kontext_unresolved_attempts", "Attempts that wait for the truth or for an operator.", registry=registry
        )
        self.unresolved_usd = Gauge("kontext_unresolved_usd", "Money that is held for them.", registry=registry)
        self.cost_drift = Money(
            "kontext_cost_drift_usd", "How far settlements lay from their quotes, over or under.", ("offer", "sign")
        )
        registry.register(self.cost_drift)
        registry.register(self.cost)
        registry.register(self.wasted)
        Info("kontext_build", "The running version and configuration.", registry=registry).info(
            {"version": version, "revision": revision}
        )

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, OpenMetrics where the scraper asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


_NEVER = frozenset({"prompt", "authorization", "api_key", "key", "body", "headers", "negative_prompt", "url"})


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Drops what a log must not hold at the sink, whoever logged it."""
    return {name: "(left out)" if name in _NEVER else value for name, value in event.items()}


def silence_logging() -> None:
    """For commands that tell their story on the screen themselves."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


class Expendable(io.TextIOBase):
    """A stream that must not stop the work it tells of: on a full disk or a closed pipe its lines are lost, not the
    edit that somebody has paid for."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def configure_logging(*, as_json: bool) -> None:
    """One line an event: JSON for machines, columns for a person's terminal."""
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact,
            structlog.processors.format_exc_info if as_json else structlog.processors.StackInfoRenderer(),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", Expendable(sys.stderr))),
        cache_logger_on_first_use=True,
    )
