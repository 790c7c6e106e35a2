"""A server span for an edit, a client span for each attempt with its calls as events, and what they are called."""

import asyncio
import subprocess
import sys

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from adapters.contract import Edit, Tier
from gateway.engine.order import Order
from gateway.engine.timing import Timing
from gateway.observe.otel import OpenTelemetry, exporting
from gateway.observe.tracecontext import TraceContext
from gateway.observe.tracing import Untraced, open_tracer
from gateway.state.records import EditRecord, Status, Wish
from policies.policy import Policy
from tests.engine_path.script import RUNFLOW, RUNWARE, status
from tests.engine_path.stage import INPUT, RUNFLOW_PRO, RUNWARE_PRO, TEAM, Replica, Stage

on_the_stage = pytest.mark.asyncio(loop_scope="session")

CALLER = TraceContext(trace_id="ab" * 16, span_id="cd" * 8, state="vendor=1")
PROMPT = "canary: make the mug blue"


class Seen:
    """Spans that are kept instead of sent."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.tracer = OpenTelemetry(SimpleSpanProcessor(self._kept))

    def spans(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self._kept.get_finished_spans() if span.kind is kind]

    def text(self) -> str:
        return "".join(span.to_json() for span in self._kept.get_finished_spans())


@pytest.fixture
def seen() -> Seen:
    return Seen()


async def traced(replica: Replica, *offers: str, trace: TraceContext | None = CALLER) -> EditRecord:
    edit = Edit(prompt=PROMPT, images=(await replica.stage.keep(INPUT),))
    wish = Wish(tier=Tier.PREVIEW, policy="any", models=offers)
    policy = Policy(name="any", tier=Tier.PREVIEW, offers=offers)
    order = Order(id=replica.engine.new_id(), team=TEAM, key_id="ci", edit=edit, wish=wish, policy=policy, trace=trace)
    return await replica.engine.accept(order)


def ids(of: SpanContext | None) -> tuple[str, str]:
    assert of is not None
    return f"{of.trace_id:032x}", f"{of.span_id:016x}"


def said(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


@on_the_stage
async def test_an_edit_is_a_server_span_and_an_attempt_a_client_span_below_it(stage: Stage, seen: Seen):
    replica = stage.replica(tracer=seen.tracer)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.working, stage.runware.finished())
    record = await replica.ended(await traced(replica, RUNWARE_PRO))
    (edit,), (attempt,) = seen.spans(SpanKind.SERVER), seen.spans(SpanKind.CLIENT)
    assert ids(edit.parent) == (CALLER.trace_id, CALLER.span_id)
    assert ids(attempt.parent) == ids(edit.context) == (record.trace_id, record.span_id)
    assert said(edit) == {
        "gen_ai.operation.name": "image_edit", "gen_ai.output.type": "image", "kontext.edit": record.id,
        "kontext.tier": "preview", "kontext.policy": "any", "kontext.outcome": "ok", "kontext.attempts": 1,
        "kontext.cost_micro_usd": 40_000, "kontext.offer": RUNWARE_PRO,
    }  # fmt: skip
    assert said(attempt) == {
        "gen_ai.operation.name": "image_edit", "gen_ai.output.type": "image", "gen_ai.provider.name": "runware",
        "gen_ai.request.model": "kontext-pro", "gen_ai.response.model": "kontext-pro", "kontext.offer": RUNWARE_PRO,
        "kontext.attempt.id": record.attempts[0].id, "kontext.attempt.position": 1, "kontext.polls": 2,
        "kontext.price_micro_usd": 40_000, "kontext.cost_micro_usd": 40_000, "kontext.outcome": "done",
    }  # fmt: skip
    events = [(event.name, (event.attributes or {})["kontext.proved"]) for event in attempt.events]
    assert events == [("submit", "next"), ("poll", "next"), ("poll", "done")]


@on_the_stage
async def test_providers_are_told_of_the_trace_and_picture_hosts_are_not(stage: Stage, seen: Seen):
    replica = stage.replica(tracer=seen.tracer)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    await replica.ended(await traced(replica, RUNWARE_PRO))
    (attempt,) = seen.spans(SpanKind.CLIENT)
    for call in stage.script.to(RUNWARE):
        assert call.headers["traceparent"] == f"00-{CALLER.trace_id}-{ids(attempt.context)[1]}-01"
        assert call.headers["tracestate"] == "vendor=1"
    others = [call for call in stage.script.sent if call.host != RUNWARE]
    assert others
    assert not any("traceparent" in call.headers for call in others)


@on_the_stage
async def test_a_failure_is_named_by_our_own_reason(stage: Stage, seen: Seen):
    replica = stage.replica(tracer=seen.tracer)
    stage.script.at(RUNWARE, status(503))
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    await replica.ended(await traced(replica, RUNWARE_PRO, RUNFLOW_PRO))
    failed, done = seen.spans(SpanKind.CLIENT)
    assert (said(failed)["error.type"], failed.status.status_code) == ("busy", StatusCode.ERROR)
    assert (done.status.status_code, said(done)["kontext.attempt.position"]) == (StatusCode.UNSET, 2)
    (edit,) = seen.spans(SpanKind.SERVER)
    assert edit.status.status_code is StatusCode.UNSET, "no caller saw the failure"


@on_the_stage
async def test_a_resumed_edit_links_to_the_trace_that_began_it(stage: Stage, seen: Seen):
    began, resumed = stage.replica("a"), stage.replica("b", tracer=seen.tracer)
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.working))
    record = await traced(began, RUNWARE_PRO)
    await stage.script.reached.wait()
    await began.die(record)
    stage.script.at(RUNWARE, stage.runware.finished())
    ended = await resumed.take_over(record)
    assert ended.status is Status.SUCCEEDED
    (edit,) = seen.spans(SpanKind.SERVER)
    (link,) = edit.links
    assert edit.parent is None
    assert ids(link.context) == (record.trace_id, record.span_id)
    assert record.trace_id == CALLER.trace_id


@on_the_stage
async def test_what_is_turned_away_or_left_ends_its_span(stage: Stage, seen: Seen):
    replica = stage.replica(tracer=seen.tracer)
    stage.script.at(RUNWARE, stage.runware.acked, stage.script.halt(stage.runware.working))
    record = await traced(replica, RUNWARE_PRO)
    await stage.script.reached.wait()
    await replica.die(record)
    (edit,), (attempt,) = seen.spans(SpanKind.SERVER), seen.spans(SpanKind.CLIENT)
    assert said(edit)["kontext.outcome"] == said(attempt)["kontext.outcome"] == "left"


@on_the_stage
async def test_no_span_holds_a_prompt_a_team_or_a_key(stage: Stage, seen: Seen):
    replica = stage.replica(tracer=seen.tracer)
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    await replica.ended(await traced(replica, RUNWARE_PRO))
    keys = [provider.key.reveal() for provider in replica.settings.providers.values() if provider.key]
    assert keys
    assert not [word for word in (PROMPT, "canary", f'"{TEAM}"', *keys) if word in seen.text()]


@on_the_stage
async def test_without_a_tracer_an_edit_still_has_a_trace_of_its_own_and_passes_it_on(stage: Stage):
    replica = stage.replica(timing=Timing())
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    record = await replica.ended(await traced(replica, RUNWARE_PRO, trace=None))
    (first, *_) = stage.script.to(RUNWARE)
    assert record.trace_id
    assert first.headers["traceparent"].startswith(f"00-{record.trace_id}-")


# --- leaving the process ----------------------------------------------------------------------------------------------


@on_the_stage
async def test_spans_leave_by_otlp_to_where_the_standard_variables_say(monkeypatch: pytest.MonkeyPatch):
    posts: list[tuple[bytes, bytes]] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        posts.append((head, await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(collect, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "edits-of-the-tests")
        tracer = exporting()
        tracer.edit(CALLER, None, {"kontext.edit": "edit_1"}).end(None, {})
        await tracer.aclose()
    ((head, body),) = posts
    assert head.startswith(b"POST /v1/traces ")
    (batch,) = ExportTraceServiceRequest.FromString(body).resource_spans
    names = {one.key: one.value.string_value for one in batch.resource.attributes}
    assert names["service.name"] == "edits-of-the-tests"
    assert batch.scope_spans[0].spans[0].trace_id.hex() == CALLER.trace_id


def test_the_extra_is_not_even_imported_where_nobody_asks_for_traces() -> None:
    """redis-py imports the API by itself, where it is there; we import nothing."""
    script = """
import os, sys, gateway.server
from gateway.observe.tracing import open_tracer
open_tracer(os.urandom, export=False)
print(*(name for name in sys.modules if name == "gateway.observe.otel" or "opentelemetry.exporter" in name))
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


def test_an_endpoint_without_the_extra_is_said_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.observe.otel", None)
    assert isinstance(open_tracer(bytes, export=True), Untraced)
