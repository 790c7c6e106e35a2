"""`GET /v1/usage`: what was spent, by team, key, model, tier, tag and day. A team's key sees its team alone."""

import csv
from collections.abc import Callable
from datetime import date
from io import StringIO
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from gateway.api.context import Given
from gateway.api.problems import ProblemError
from gateway.ledger.connection import LedgerUnavailable
from gateway.ledger.usage import Line, Query, parse_by, usage
from gateway.money import usd
from gateway.settings import Key

Record = dict[str, str | int | None]
_COUNTS = ("edits", "pictures")
_SUMS = ("spent_usd", "wasted_usd", "unresolved_usd", "held_usd")


@get("/v1/usage", tags=["usage"])
async def read_usage(
    request: Request[Any, Any, Any],
    context: Given,
    by: Annotated[
        str | None, QueryParameter(required=False, description="team, key, model, tier, day, tag:NAME")
    ] = None,
    since: Annotated[str | None, QueryParameter(name="from", required=False, description="the first UTC day")] = None,
    until: Annotated[str | None, QueryParameter(name="to", required=False, description="the last UTC day")] = None,
    team: Annotated[str | None, QueryParameter(required=False)] = None,
    form: Annotated[str | None, QueryParameter(name="format", required=False, description="json, jsonl or csv")] = None,
) -> Response[bytes]:
    """Spending by groups: `by` names them, separated by commas. Days are UTC and count an edit when it was accepted.

    JSON, JSON lines or CSV, by `format` or the Accept header. A key with the scope `admin` sees every team.
    """
    key = context.gate.caller(request, "read")
    media_type, write = FORMATS[_form(request, form)]
    query = Query(by=_by(by), since=_day("from", since), until=_day("to", until), team=_visible_team(key, team))
    try:
        lines = await usage(context.book, query)
    except LedgerUnavailable:
        raise ProblemError(
            "store_unavailable", "the ledger does not answer; edits go on without it", retry_after_s=3
        ) from None
    headers = {"cache-control": "no-store", "vary": "authorization, accept"}
    return Response(write(query, lines), media_type=media_type, headers=headers)


def _visible_team(key: Key, asked: str | None) -> str | None:
    """The one team whose rows are read, or None for all."""
    if "admin" in key.scopes:
        return asked
    if asked not in (None, key.team):
        raise ProblemError(
            "forbidden",
            "this key sees its own team alone",
            field="team",
            expected="no team, or a key with the scope admin",
        )
    return key.team


def _by(text: str | None) -> tuple[str, ...]:
    try:
        return Query().by if text is None else parse_by(text)
    except ValueError as error:
        raise ProblemError("invalid", str(error), field="by", expected="such as by=team,tag:campaign") from None


def _day(field: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ProblemError(
            "invalid", f"{(text or '')[:40]!r} is no day", field=field, expected="YYYY-MM-DD, in UTC"
        ) from None


def _form(request: Request[Any, Any, Any], asked: str | None) -> str:
    """The form by its name in the address, else by the Accept header."""
    if asked is not None:
        if asked not in FORMATS:
            raise ProblemError("invalid", f"{asked[:40]!r} is no form", field="format", expected=", ".join(FORMATS))
        return asked
    named = {media_type: name for name, (media_type, _) in FORMATS.items()}
    best = request.accept.best_match(list(named)) if "accept" in request.headers else "application/json"
    if not best:
        raise ProblemError("not_acceptable", "the answer has none of the forms asked for", expected=", ".join(named))
    return named[best]


# --- the three forms ------------------------------------------------------------------------------------------------


def record(by: tuple[str, ...], line: Line) -> Record:
    """A line under the caller's own names; money is decimal dollars in text."""
    return {
        **dict(zip(by, line.group, strict=True)),
        "edits": line.edits,
        "pictures": line.pictures,
        "spent_usd": usd(line.spent_micro),
        "wasted_usd": usd(line.wasted_micro),
        "unresolved_usd": usd(line.unresolved_micro),
        "held_usd": usd(line.held_micro),
    }


def _json(query: Query, lines: tuple[Line, ...]) -> bytes:
    return msgspec.json.encode(
        {
            "object": "list",
            "by": query.by,
            "from": query.since,
            "to": query.until,
            "team": query.team,
            "data": [record(query.by, line) for line in lines],
        }
    )


def _json_lines(query: Query, lines: tuple[Line, ...]) -> bytes:
    return msgspec.json.Encoder().encode_lines([record(query.by, line) for line in lines])


def _csv(query: Query, lines: tuple[Line, ...]) -> bytes:
    """RFC 4180, with a header. What callers named (teams, tags) cannot become a formula in a spreadsheet."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*map(_cell, query.by), *_COUNTS, *_SUMS])
    for line in lines:
        own = record(query.by, line)
        writer.writerow([*(_cell(part) for part in line.group), *(own[name] for name in (*_COUNTS, *_SUMS))])
    return text.getvalue().encode()


def _cell(text: str | None) -> str:
    """OWASP's rule: a cell that a spreadsheet would take for a formula is led by an apostrophe."""
    if not text:
        return ""
    return (
        f"'{text}"
        if text.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
        else text
    )


FORMATS: dict[str, tuple[str, Callable[[Query, tuple[Line, ...]], bytes]]] = {
    "json": ("application/json", _json),
    "jsonl": ("application/jsonl", _json_lines),
    "csv": ("text/csv", _csv),
}
