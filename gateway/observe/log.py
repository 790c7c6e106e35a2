"""The log: one line an event, JSON for machines or columns for a person, and nothing in it that must not be kept."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterable
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from gateway.observe.redaction import Redaction

log: FilteringBoundLogger = structlog.get_logger("kontext")
_REDACTION = Redaction()


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


def configure_logging(*, as_json: bool, stream: TextIO | None = None) -> None:
    """To standard error, where no other stream is given. What libraries log goes the same way."""
    chain, out = processors(_REDACTION, as_json=as_json), cast("TextIO", Expendable(stream or sys.stderr))
    structlog.configure(
        processors=chain, logger_factory=structlog.PrintLoggerFactory(out), cache_logger_on_first_use=True
    )
    handler = logging.StreamHandler(out)
    forget = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[forget, *chain]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def never_log(secrets: Iterable[str]) -> None:
    """Texts that no line may hold, whatever surrounds them."""
    _REDACTION.forbid(secrets)


def processors(redaction: Redaction, *, as_json: bool) -> list[Processor]:
    """What an event passes on its way out. Redaction comes after all that adds text, a stack trace too, and before the
    line is made."""
    columns = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        redaction,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer() if as_json else columns,
    ]
