"""What each step tells of its edit, for whoever follows it: pure functions from the records to lines of events.

A line is a name and a JSON document; the step that takes effect puts them into the edit's stream. They hold ids,
states and money, never a prompt: `picture` and `final` are only named, and filled in from the record when served.
"""

from enum import StrEnum

import msgspec

from gateway.money import usd
from gateway.state.entries import outcome
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Status


class EventName(StrEnum):
    QUEUED = "queued"
    ROUTED = "routed"
    ATTEMPT = "attempt"
    CANCEL_REQUESTED = "cancel_requested"
    PROGRESS = "progress"
    PICTURE = "picture"
    FINAL = "final"


def accepted(record: EditRecord) -> bytes:
    candidates = [
        {"offer": one.offer, "price_usd": usd(one.price_micro), "expected_s": round(one.queue_s + one.expected_s, 1)}
        for one in record.plan.candidates
    ]
    return _lines(
        (EventName.QUEUED, {"edit": record.id, "status": Status.QUEUED}),
        (EventName.ROUTED, {"policy": record.plan.policy, "tier": record.plan.tier, "candidates": candidates}),
    )


def opened(attempt: AttemptRecord) -> bytes:
    return _lines(_attempt(attempt, "started", price_usd=usd(attempt.price_micro)))


def learnt(attempt: AttemptRecord) -> bytes:
    """Of an open attempt, when its state changes."""
    return _lines(_attempt(attempt, attempt.state.value))


def closed(attempt: AttemptRecord) -> bytes:
    charged = None if attempt.state is AttemptState.UNRESOLVED else usd(attempt.charged_micro or 0)
    return _lines(_attempt(attempt, "ended", outcome=outcome(attempt), cost_usd=charged))


def finished(end: End, attempt: AttemptRecord | None = None) -> bytes:
    pictures = ((EventName.PICTURE, {"number": number}) for number in range(len(end.images)))
    told = _lines(*pictures, (EventName.FINAL, {"status": end.status}))
    return told if attempt is None else closed(attempt) + b"\n" + told


def cancel_requested(edit_id: str) -> bytes:
    return _lines((EventName.CANCEL_REQUESTED, {"edit": edit_id}))


def _attempt(attempt: AttemptRecord, state: str, **more: object) -> tuple[EventName, object]:
    return EventName.ATTEMPT, {"number": attempt.number, "offer": attempt.offer, "state": state, **more}


def _lines(*events: tuple[EventName, object]) -> bytes:
    return b"\n".join(_line(name, document) for name, document in events)


def _line(name: EventName, document: object) -> bytes:
    """JSON escapes every line break, so a line is one event."""
    return name.encode() + b" " + msgspec.json.encode(document)
