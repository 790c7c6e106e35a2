"""Every metric of the gateway, in one place: its name, help, unit and labels.

Labels come from configuration and from enums of the code: never a key, a team, a URL, a prompt or an error's text. Each
series is there because a panel, an alert or a runbook reads it. Two families of buckets alone, of an edit's seconds
and of an overhead's, so that any two histograms of a kind can be laid over each other.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

from gateway.observe.known import Known
from gateway.observe.money import Money

EDIT_SECONDS = (0.5, 1, 2, 3, 5, 8, 13, 20, 30, 45, 60, 90, 120, 180)
OVERHEAD_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)


class Metrics:
    """The gateway's series, in a registry of their own (one a process). `known` closes the labels' sets."""

    def __init__(self, version: str, revision: str) -> None:
        self.registry, self.known = CollectorRegistry(), Known()
        self._edits()
        self._attempts()
        self._health()
        self._money()
        self._requests()
        self._webhooks()
        self._retention()
        self._machine()
        self._version = version
        self._configuration()
        self.configured(revision)
        ProcessCollector(registry=self.registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, OpenMetrics where the scraper asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def configured(self, revision: str) -> None:
        """The revision in force. Replicas that show two of them have read two files."""
        self._build.info({"version": self._version, "revision": revision})

    # --- declaring ------------------------------------------------------------------------------------------------

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self.registry)

    def _seconds(self, name: str, documentation: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, documentation, labels, buckets=buckets, registry=self.registry)

    def _dollars(self, name: str, documentation: str, *labels: str) -> Money:
        money = Money(name, documentation, labels)
        self.registry.register(money)
        return money

    def _configuration(self) -> None:
        self._build = Info("kontext_build", "The running version and configuration.", registry=self.registry)
        self.reloads = self._counter(
            "kontext_config_reloads", "Times a changed configuration was read, by what became of it.", "result"
        )
        self.config_refused = self._gauge(
            "kontext_config_refused", "1 while the newest file is not the one in force, since it was refused."
        )
        self.reloaded_at = self._gauge(
            "kontext_config_last_reload_success_timestamp_seconds", "When the configuration in force was taken."
        )

    def _edits(self) -> None:
        self.edits = self._counter("kontext_edits", "Edits that ended, by outcome.", "tier", "policy", "outcome")
        self.edit_seconds = self._seconds(
            "kontext_edit_duration_seconds", "Time from the acceptance of an edit to its end.",
            "tier", "outcome", buckets=EDIT_SECONDS,
        )  # fmt: skip
        self.in_flight = self._gauge("kontext_edits_in_flight", "Edits that this replica works on now.")
        self.waiting = self._gauge("kontext_edits_waiting", "Edits in flight that wait for a place at a provider.")
        self.queue_age = self._gauge(
            "kontext_edits_waiting_oldest_age_seconds",
            "For how long the one that waits longest for a place has waited.",
        )
        self.recoveries = self._counter(
            "kontext_edit_recoveries", "Edits taken over from a replica that was gone, or from a path that broke off."
        )

    def _attempts(self) -> None:
        self.attempts = self._counter(
            "kontext_attempts", "Attempts that ended, by outcome and position.", "offer", "outcome", "position"
        )
        self.attempt_seconds = self._seconds(
            "kontext_attempt_duration_seconds", "Time from the opening of an attempt to its end.",
            "offer", "outcome", buckets=EDIT_SECONDS,
        )  # fmt: skip
        self.acceptance_seconds = self._seconds(
            "kontext_attempt_acceptance_seconds", "Time from the submit to the provider's acknowledgement.",
            "provider", buckets=EDIT_SECONDS,
        )  # fmt: skip
        self.absorbed = self._counter(
            "kontext_attempts_absorbed", "Failed attempts of edits that succeeded all the same.", "offer", "reason"
        )
        self.fallbacks = self._counter(
            "kontext_fallbacks", "Times an edit went on to another offer, by the failure that made it.",
            "from_offer", "to_offer", "reason",
        )  # fmt: skip
        self.polls = self._counter("kontext_polls", "Polls, by what the reply proved.", "provider", "result")
        self.unresolved = self._counter(
            "kontext_attempts_unresolved", "Attempts that ended with outcome, and charge, unknown.", "offer"
        )
        self.reconciliations = self._counter(
            "kontext_reconciliations", "Attempts that were held against their provider's word, by what was found.",
            "provider", "result",
        )  # fmt: skip

    def _health(self) -> None:
        self.exclusions = self._counter(
            "kontext_routing_exclusions", "Offers left out of plans, by reason.", "offer", "reason"
        )
        self.adjustments = self._counter(
            "kontext_adjustments", "Fields that could not be sent as asked.", "offer", "field"
        )
        self.available = self._gauge(
            "kontext_offer_available", "1 while edits may be sent to an offer: its circuits let them through, and "
            "nobody took its provider out of service.", "offer", "tier",
        )  # fmt: skip
        self.circuit_state = self._gauge(
            "kontext_circuit_state",
            "1 for the state that the circuit of an offer, or of a provider's account (by its name), is in.",
            "offer", "state",
        )  # fmt: skip
        self.circuit_transitions = self._counter(
            "kontext_circuit_transitions", "Changes of a circuit's state that this replica saw.", "offer", "to"
        )
        self.server_state = self._gauge(
            "kontext_server_state", "1 for what a server of one's own says that it is, or is by its silence.",
            "provider", "state",
        )  # fmt: skip
        self.server_edits = self._gauge(
            "kontext_server_edits", "Edits that such a server says it works on, and that wait there.",
            "provider", "state",
        )  # fmt: skip
        self.provider_slots = self._gauge(
            "kontext_provider_slots", "Attempts that may be open at a provider.", "provider"
        )
        self.provider_slots_in_use = self._gauge(
            "kontext_provider_slots_in_use", "Attempts that are open at a provider, here and elsewhere.", "provider"
        )

    def _money(self) -> None:
        self.cost = self._dollars(
            "kontext_cost_usd", "What providers charged, and what own machines cost.", "offer", "tier", "cost_source"
        )
        self.wasted = self._dollars(
            "kontext_wasted_cost_usd", "What was charged without delivering.", "offer", "reason"
        )
        self.cost_drift = self._dollars(
            "kontext_cost_drift_usd", "How far settlements lay from their quotes, over or under.", "offer", "sign"
        )
        self.budget_used = self._gauge(
            "kontext_budget_used_ratio", "Spent and held over the cap: of the gateway's budget, and of the fullest of "
            "the teams' and the keys'.", "scope", "window",
        )  # fmt: skip
        self.held_usd = self._gauge("kontext_budget_held_usd", "Money that is held for edits, in the whole gateway.")
        self.denials = self._counter(
            "kontext_budget_denials", "Edits and attempts for which a budget had too little left.", "scope", "window"
        )
        self.price_age = self._gauge(
            "kontext_price_age_seconds", "Age of the price in force, from the day on which it was seen.", "offer"
        )
        self.unresolved_attempts = self._gauge(
            "kontext_unresolved_attempts", "Attempts that wait for the truth or for an operator."
        )
        self.unresolved_usd = self._gauge(
            "kontext_unresolved_usd", "Money that is held for them, or for what is not known."
        )
        self.unresolved_age = self._gauge(
            "kontext_unresolved_oldest_age_seconds", "For how long the oldest of them waits, or an edit that came back "
            "from a lost store without an attempt.",
        )  # fmt: skip

    def _requests(self) -> None:
        self.requests = self._counter(
            "kontext_http_requests", "HTTP requests that were answered.", "route", "method", "status_class"
        )
        self.body_bytes = self._gauge(
            "kontext_http_request_bytes_in_flight", "Bytes of bodies that were received and are not answered yet."
        )
        self.refusals = self._counter(
            "kontext_refusals", "Requests that were refused for want of room, by what there was too much of.", "reason"
        )
        self.callers_gone = self._counter(
            "kontext_callers_gone", "Callers that left before their answer, by where their edit stood: `unaccepted` "
            "and `queued` ones were dropped, an `accepted` one goes on.", "at",
        )  # fmt: skip
        self.picture_bytes = self._gauge(
            "kontext_picture_bytes_held", "Bytes of requests and pictures that count against `[limits] picture_bytes`."
        )

    def _webhooks(self) -> None:
        self.webhooks = self._counter(
            "kontext_webhook_deliveries",
            "Tries to deliver a webhook, by what came of them; and those given up.",
            "result",
        )
        self.webhooks_disabled = self._gauge(
            "kontext_webhook_endpoints_disabled", "Endpoints that are told nothing any more, since they took nothing."
        )
        self.webhooks_late = self._gauge(
            "kontext_webhook_lateness_seconds", "For how long the delivery that waits longest has been due."
        )

        self.callbacks = self._counter(
            "kontext_callbacks", "Calls of providers that say that they are done, by what they were taken for.",
            "result",
        )  # fmt: skip

    def _retention(self) -> None:
        self.pictures_deleted = self._counter(
            "kontext_pictures_deleted", "Pictures that were deleted: their time was over, or their caller erased them.",
            "why",
        )  # fmt: skip
        self.picture_bytes_deleted = self._counter("kontext_picture_bytes_deleted", "Their bytes.", "why")
        self.prompts_dropped = self._counter(
            "kontext_prompts_dropped", "Edits whose prompt and calls were taken out of their records."
        )
        self.sweep_age = self._gauge(
            "kontext_sweep_age_seconds", "Since everything whose time was over had been deleted."
        )

    def _machine(self) -> None:
        self.loop_lag = self._seconds(
            "kontext_event_loop_lag_seconds", "How much later than asked the event loop woke a sleeper.",
            buckets=OVERHEAD_SECONDS,
        )  # fmt: skip
        self.picture_jobs = self._gauge(
            "kontext_picture_jobs", "Pictures that worker processes look at, and that wait for one.", "state"
        )
        self.store_seconds = self._seconds(
            "kontext_store_round_trip_seconds", "A round trip to the store, tried now and then.",
            buckets=OVERHEAD_SECONDS,
        )  # fmt: skip
        self.clock_ahead = self._gauge(
            "kontext_clock_ahead_seconds",
            "How far this replica's clock is before the store's, by which edits are dated.",
        )
        self.store_errors = self._counter(
            "kontext_store_errors", "Times the store did not take a step, by what was then not done.", "duty"
        )
        self.results_errors = self._counter(
            "kontext_results_errors", "Times the result store did not do as asked, by what was then not done.", "duty"
        )
        self.ledger_rows = self._gauge("kontext_ledger_backlog_rows", "Rows that are not in the ledger yet.")
        self.ledger_age = self._gauge("kontext_ledger_backlog_age_seconds", "Age of the oldest of them.")
        self.ledger_aside = self._gauge(
            "kontext_ledger_rows_aside", "Rows that the ledger could not hold, and that wait for a person."
        )
        self.ledger_errors = self._counter(
            "kontext_ledger_errors", "Times that rows could not be brought from the store to the ledger."
        )
