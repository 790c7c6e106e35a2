"""The engine's own series, for `GET /metrics` of the local server. It stands alone, and so do its metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.local.engine import Health

STATES = ("loading", "ready", "failed")
OUTCOMES = ("succeeded", "cancelled", "out_of_memory", "failed")


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._edits = Counter(
            "kontext_local_edits", "Edits that the model was given, by how they ended", ["outcome"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "kontext_local_edit_seconds", "Seconds that a finished edit had the model",
            buckets=(0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640), registry=self._registry,
        )  # fmt: skip
        self._starts = Counter("kontext_local_worker_starts", "Workers started", registry=self._registry)
        self._queue = Gauge("kontext_local_queue", "Edits in the server", ["state"], registry=self._registry)
        self._state = Gauge("kontext_local_state", "1 for the state it is in", ["state"], registry=self._registry)
        self._memory = Gauge("kontext_local_memory_bytes", "The worker's memory", ["kind"], registry=self._registry)
        for outcome in OUTCOMES:
            self._edits.labels(outcome)

    def started(self) -> None:
        self._starts.inc()

    def ended(self, outcome: str, seconds: float | None = None) -> None:
        self._edits.labels(outcome if outcome in OUTCOMES else "failed").inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def rendered(self, health: Health) -> bytes:
        self._queue.labels("running").set(health.queue.running)
        self._queue.labels("waiting").set(health.queue.waiting)
        for state in STATES:
            self._state.labels(state).set(health.status == state)
        for kind, value in health.memory.items():
            if isinstance(value, int):
                self._memory.labels(kind).set(value)
        return generate_latest(self._registry)
