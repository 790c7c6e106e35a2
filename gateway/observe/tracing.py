"""Spans, as the engine tells of them: one for an edit, one for each of its attempts.

Without an exporter there is nothing but ids: a caller's trace goes on in the log, in exemplars and to providers, and no
span is made. With the extra `otel` and the standard environment variables, `otel.py` makes them.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.observe.log import log
from gateway.observe.tracecontext import TraceContext

Said = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """Work under way. `end` is called once; `error` is one of our reasons, where it ended badly."""

    @property
    def context(self) -> TraceContext: ...

    def event(self, name: str, said: Said) -> None: ...

    def end(self, error: str | None, said: Said) -> None: ...


class Tracer(Protocol):
    def edit(self, parent: TraceContext | None, began: TraceContext | None, said: Said) -> Span:
        """`parent`: the caller's span. `began`: the span of an edit that is resumed, which is linked to."""
        ...

    def attempt(self, edit: Span, name: str, said: Said) -> Span: ...

    async def aclose(self) -> None:
        """Sends what is still to be sent."""
        ...


class Bare:
    """A span that nobody records: it has its ids."""

    def __init__(self, context: TraceContext) -> None:
        self.context = context

    def event(self, name: str, said: Said) -> None:
        pass

    def end(self, error: str | None, said: Said) -> None:
        pass


class Untraced:
    """Ids, and nothing else."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes

    def edit(self, parent: TraceContext | None, began: TraceContext | None, said: Said) -> Span:  # noqa: ARG002
        one = parent or began
        if one is None:
            ids = self._random_bytes(24).hex()
            return Bare(TraceContext(trace_id=ids[:32], span_id=ids[32:], sampled=False))
        return Bare(self._below(one))

    def attempt(self, edit: Span, name: str, said: Said) -> Span:  # noqa: ARG002
        return Bare(self._below(edit.context))

    def _below(self, one: TraceContext) -> TraceContext:
        span_id = self._random_bytes(8).hex()
        return TraceContext(trace_id=one.trace_id, span_id=span_id, sampled=one.sampled, state=one.state)

    async def aclose(self) -> None:
        pass


def open_tracer(random_bytes: Callable[[int], bytes], *, export: bool) -> Tracer:
    """`export`: the environment names an endpoint for traces."""
    if not export:
        return Untraced(random_bytes)
    try:
        from gateway.observe.otel import exporting
    except ImportError:
        log.warning(
            "traces_off", error="OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra `otel` is not installed",
            expected="pip install 'kontext-gateway[otel]', or unset it",
        )  # fmt: skip
        return Untraced(random_bytes)
    return exporting()
