"""What the gateway tells of itself: every metric declared in one file, and the log with its redaction at the sink."""

from gateway.observe.log import configure_logging, log, never_log, silence_logging
from gateway.observe.metrics import Metrics

__all__ = ["Metrics", "configure_logging", "log", "never_log", "silence_logging"]
