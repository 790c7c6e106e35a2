"""Spans as OpenTelemetry has them, sent by OTLP over HTTP. Where to, how many and under which name, its SDK reads from
its standard environment variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` …).

Nothing is global: the provider is ours, so that two gateways in one process do not share one.
"""

import asyncio

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

from gateway.observe.tracecontext import TraceContext
from gateway.observe.tracing import Said, Span


class Recorded:
    def __init__(self, span: OtelSpan, state: str) -> None:
        self.span, self._state = span, state

    @property
    def context(self) -> TraceContext:
        known = self.span.get_span_context()
        return TraceContext(
            trace_id=f"{known.trace_id:032x}",
            span_id=f"{known.span_id:016x}",
            sampled=known.trace_flags.sampled,
            state=self._state,
        )

    def event(self, name: str, said: Said) -> None:
        self.span.add_event(name, said)

    def end(self, error: str | None, said: Said) -> None:
        self.span.set_attributes(said)
        if error is not None:
            self.span.set_attribute("error.type", error)
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class OpenTelemetry:
    """A tracer whose spans go to `processor`."""

    def __init__(self, processor: SpanProcessor) -> None:
        service = Resource({SERVICE_NAME: "kontext-gateway"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=service, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("kontext")

    def edit(self, parent: TraceContext | None, began: TraceContext | None, said: Said) -> Span:
        span = self._tracer.start_span(
            "edit",
            context=set_span_in_context(NonRecordingSpan(_remote(parent))) if parent else None,
            kind=SpanKind.SERVER,
            attributes=said,
            links=[Link(_remote(began))] if began else None,
        )
        return Recorded(span, parent.state if parent else "")

    def attempt(self, edit: Span, name: str, said: Said) -> Span:
        above = edit.span if isinstance(edit, Recorded) else NonRecordingSpan(_remote(edit.context))
        span = self._tracer.start_span(name, context=set_span_in_context(above), kind=SpanKind.CLIENT, attributes=said)
        return Recorded(span, edit.context.state)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._provider.shutdown)


def exporting() -> OpenTelemetry:
    return OpenTelemetry(BatchSpanProcessor(OTLPSpanExporter()))


def _remote(one: TraceContext) -> SpanContext:
    return SpanContext(
        trace_id=int(one.trace_id, 16),
        span_id=int(one.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if one.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([one.state]) if one.state else None,
    )
