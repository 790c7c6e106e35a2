"""W3C trace context: `traceparent` and `tracestate`, read as strictly as the recommendation asks and written in its
version 00 (https://www.w3.org/TR/trace-context/). What is malformed begins a new trace and harms nothing."""

import re
from collections.abc import Sequence

from msgspec import Struct

MOST_MEMBERS = 32

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SIMPLE = r"[a-z][a-z0-9_*/-]{0,255}"
_TENANT = r"[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_MEMBER = re.compile(rf"({_SIMPLE}|{_TENANT})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e])")


class TraceContext(Struct, frozen=True, kw_only=True):
    """One span of a trace, by its ids in hex; `state` is the vendors' own, passed on as it came."""

    trace_id: str
    span_id: str
    sampled: bool = True
    state: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """As whoever is called next is told."""
        parent = {"traceparent": f"00-{self.trace_id}-{self.span_id}-0{int(self.sampled)}"}
        return {**parent, "tracestate": self.state} if self.state else parent


def read(parents: Sequence[str], states: Sequence[str]) -> TraceContext | None:
    """The caller's span, by every `traceparent` and `tracestate` field of its request; None where it named none, or
    not as it must. A state counts only beside a good parent, and a bad state leaves the parent good."""
    match = _PARENT.fullmatch(parents[0].strip(" \t")) if len(parents) == 1 else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id=trace_id, span_id=span_id, sampled=bool(int(flags, 16) & 1), state=_state(states))


def _state(states: Sequence[str]) -> str:
    """The members of all fields in their order; empty where one is malformed, comes twice, or there are too many."""
    members = [member.strip(" \t") for field in states for member in field.split(",")]
    members = [member for member in members if member]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = [match.group(1) for match in matches if match]
    if len(keys) < len(members) or len(set(keys)) < len(keys) or len(keys) > MOST_MEMBERS:
        return ""
    return ",".join(members)
