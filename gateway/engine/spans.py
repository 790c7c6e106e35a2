"""The spans of what is under way: one for each edit that this replica follows, one for each of its attempts.

Attributes have the names of OpenTelemetry's conventions for generative AI where they exist, and ours where not. None of
them is a prompt, a picture, a key or a team.
"""

from gateway.observe.tracecontext import TraceContext
from gateway.observe.tracing import Said, Span, Tracer
from gateway.state.records import AttemptRecord, EditRecord, End

OPERATION = "image_edit"
"""Of `gen_ai.operation.name`: a value of our own until the conventions have one for pictures that are edited."""


class Spans:
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._edits: dict[str, Span] = {}
        self._attempts: dict[str, Span] = {}
        self._of: dict[str, list[str]] = {}

    def began(self, edit: str, parent: TraceContext | None) -> TraceContext:
        """The span of a new edit, below its caller's."""
        span = self._edits[edit] = self._tracer.edit(parent, None, {**_EDIT, "kontext.edit": edit})
        return span.context

    def resumed(self, record: EditRecord) -> None:
        """Another replica's edit, or one whose path broke off: a span of its own, linked to the one that began it."""
        began = None
        if record.trace_id and record.span_id:
            began = TraceContext(trace_id=record.trace_id, span_id=record.span_id)
        said = {**_EDIT, "kontext.edit": record.id, "kontext.epoch": record.epoch}
        self._edits[record.id] = self._tracer.edit(None, began, said)

    def ended(self, record: EditRecord, end: End, outcome: str, *, ours: bool) -> None:
        """`ours`: it went wrong, and not by its caller's doing."""
        said = {
            "kontext.tier": record.plan.tier.value,
            "kontext.policy": record.plan.policy,
            "kontext.outcome": outcome,
            "kontext.attempts": len(record.attempts),
            "kontext.cost_micro_usd": end.cost_micro,
            **({"kontext.offer": end.offer} if end.offer else {}),
        }
        self._end_edit(record.id, outcome if ours else None, said)

    def turned_away(self, edit: str, reason: str) -> None:
        self._end_edit(edit, None, {"kontext.outcome": reason})

    def let_go(self, edit: str) -> None:
        """Whatever of it is still open here goes on elsewhere, or later."""
        for attempt in self._of.pop(edit, ()):
            self._end_attempt(attempt, None, {"kontext.outcome": "left"})
        self._end_edit(edit, None, {"kontext.outcome": "left"})

    def _end_edit(self, edit: str, error: str | None, said: Said) -> None:
        if (span := self._edits.pop(edit, None)) is not None:
            span.end(error, said)

    # --- attempts -------------------------------------------------------------------------------------------------

    def attempt_began(self, record: EditRecord, attempt: AttemptRecord) -> None:
        edit = self._edits.get(record.id)
        if edit is None:
            return
        model = attempt.offer.partition("/")[2]
        said = {
            **_EDIT,
            "gen_ai.provider.name": attempt.provider,
            "gen_ai.request.model": model,
            "kontext.offer": attempt.offer,
            "kontext.attempt.id": attempt.id,
            "kontext.attempt.position": attempt.number,
            "kontext.price_micro_usd": attempt.price_micro,
        }
        self._attempts[attempt.id] = self._tracer.attempt(edit, f"{OPERATION} {model}", said)
        self._of.setdefault(record.id, []).append(attempt.id)

    def event(self, attempt: str, name: str, said: Said) -> None:
        if (found := self._attempts.get(attempt)) is not None:
            found.event(name, said)

    def attempt_ended(self, attempt: AttemptRecord, outcome: str) -> None:
        bad = attempt.failure is not None or outcome == "unresolved"
        said = {
            "gen_ai.response.model": attempt.offer.partition("/")[2],
            "kontext.outcome": outcome,
            "kontext.polls": attempt.polls,
            **({} if attempt.cost_micro is None else {"kontext.cost_micro_usd": attempt.cost_micro}),
        }
        self._end_attempt(attempt.id, outcome if bad else None, said)

    def _end_attempt(self, attempt: str, error: str | None, said: Said) -> None:
        if (found := self._attempts.pop(attempt, None)) is not None:
            found.end(error, said)

    def headers(self, attempt: str) -> dict[str, str]:
        """What the provider is told of the trace."""
        found = self._attempts.get(attempt)
        return found.context.headers if found else {}


_EDIT = {"gen_ai.operation.name": OPERATION, "gen_ai.output.type": "image"}
