"""`GET /v1/edits`: a team's edits, newest first, page by page.

A page is found by looking through the team's list, so a filter that few edits pass may give a short or even an empty
page; `next` is there as long as there is more to look through.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from litestar import get
from litestar.params import QueryParameter
from msgspec import Struct

from adapters.contract import Tier
from gateway.api.answers import EditAnswer
from gateway.api.context import Context, Given
from gateway.api.requests import AnyRequest, invalid
from gateway.identity import edit_id
from gateway.state.records import EditRecord, Status

MOST, USUAL = 100, 20
MOST_LOOKED_THROUGH = 1_000
_SKEW_MS = 300_000
"""Ids carry the time of the replica that made them, records that of the store: as far apart as clocks may be."""


class EditsAnswer(Struct, frozen=True, kw_only=True):
    """`next` goes into `cursor` for the page that follows; None is the end."""

    object: str = "list"
    data: tuple[EditAnswer, ...]
    next: str | None


class Wanted(Struct, frozen=True, kw_only=True):
    """The filters of a list; one that is empty or None lets everything through."""

    statuses: frozenset[str]
    since_ms: int | None
    until_ms: int | None
    policy: str | None
    tier: str | None
    tags: tuple[tuple[str, str], ...]

    def takes(self, record: EditRecord) -> bool:
        return (
            (not self.statuses or record.status in self.statuses)
            and (self.since_ms is None or record.created_ms >= self.since_ms)
            and (self.until_ms is None or record.created_ms < self.until_ms)
            and (self.policy is None or record.plan.policy == self.policy)
            and (self.tier is None or record.plan.tier == self.tier)
            and all(record.wish.metadata.get(name) == value for name, value in self.tags)
        )


@get("/v1/edits", tags=["edits"])
async def list_edits(
    request: AnyRequest,
    context: Given,
    cursor: Annotated[str | None, QueryParameter(required=False, description="the `next` of the page before")] = None,
    limit: Annotated[str | None, QueryParameter(required=False, description="1 to 100; 20 if left out")] = None,
    status: Annotated[
        str | None, QueryParameter(required=False, description="one or more, separated by commas")
    ] = None,
    since: Annotated[str | None, QueryParameter(required=False, description="RFC 3339: accepted then or later")] = None,
    until: Annotated[str | None, QueryParameter(required=False, description="RFC 3339: accepted before")] = None,
    policy: Annotated[str | None, QueryParameter(required=False)] = None,
    tier: Annotated[str | None, QueryParameter(required=False, description="the tier that was asked for")] = None,
    tag: Annotated[
        list[str] | None,
        QueryParameter(required=False, description="NAME:VALUE of the metadata; several must all hold"),
    ] = None,
) -> EditsAnswer:
    """The team's edits, newest first. With filters a page may be short; go on while `next` is not null."""
    key = context.gate.caller(request, "read")
    wanted = Wanted(
        statuses=_statuses(status),
        since_ms=_moment_ms("since", since),
        until_ms=_moment_ms("until", until),
        policy=policy,
        tier=_tier(tier),
        tags=tuple(_tag(one) for one in tag or ()),
    )
    below = "" if cursor is None else context.cursors.read(key.team, cursor)
    records, place = await _page(context, key.team, wanted, below, page_limit(limit))
    root = context.root(request)
    return EditsAnswer(
        data=tuple([await context.answers.edit(record, root, inline=False) for record in records]),
        next=place and context.cursors.write(key.team, place),
    )


async def _page(
    context: Context, team: str, wanted: Wanted, below: str, limit: int
) -> tuple[list[EditRecord], str | None]:
    """The next `limit` edits that are wanted, and the place to go on from where there is more."""
    found: list[EditRecord] = []
    looked_through, place = 0, below
    highest = _bound(wanted.until_ms, _SKEW_MS)
    start = min(below, highest) if below and highest else below or highest
    async for edit, record in context.listing.newest(
        team, start, _bound(wanted.since_ms, -_SKEW_MS), MOST_LOOKED_THROUGH + 1
    ):
        if len(found) == limit or looked_through == MOST_LOOKED_THROUGH:
            return found, place
        looked_through, place = looked_through + 1, edit
        if record is not None and wanted.takes(record):
            found.append(record)
    return found, None


def _bound(moment_ms: int | None, skew_ms: int) -> str:
    return "" if moment_ms is None else edit_id(max(0, moment_ms + skew_ms), bytes(10))


# --- what the filters may be ----------------------------------------------------------------------------------------


def page_limit(text: str | None) -> int:
    if text is None:
        return USUAL
    if not (text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MOST):
        invalid("limit", f"{text[:20]!r} is not from 1 to {MOST}", f"1 to {MOST}")
    return int(text)


def _statuses(text: str | None) -> frozenset[str]:
    asked = frozenset(text.split(",")) if text else frozenset[str]()
    if wrong := sorted(asked - set(Status)):
        invalid("status", f"{wrong[0][:40]!r} is none", ", ".join(Status))
    return asked


def _tier(text: str | None) -> str | None:
    if text is not None and text not in set(Tier):
        invalid("tier", f"{text[:40]!r} is none", ", ".join(Tier))
    return text


def _tag(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (name and colon):
        invalid("tag", f"{text[:40]!r} has no name and value", "NAME:VALUE, such as campaign:spring")
    return name, value


def _moment_ms(field: str, text: str | None) -> int | None:
    """A moment in UTC where no offset is given; a day is its beginning."""
    if text is None:
        return None
    try:
        # A `+` in an address that was not escaped arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        invalid(field, f"{text[:40]!r} is no moment", "RFC 3339, such as 2027-01-31T12:00:00Z, or a day")
