"""The sums of the database are the sums of the history, group by group."""

import tempfile
from collections import defaultdict
from contextlib import aclosing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings

from gateway.ledger.book import Book
from gateway.ledger.usage import Line, Query, parse_by, usage
from tests.ledger.histories import MAX, PRO, History, Telling, Try, first_ms
from tests.ledger.random_histories import histories

GROUPINGS = [(), ("day",), ("team",), ("model",), ("key", "tier"), ("day", "team", "model"), ("tag:campaign", "team")]


def expected(history: History, by: tuple[str, ...]) -> dict[tuple[str | None, ...], list[int]]:
    """Edits, pictures, spent, wasted, unresolved and held, counted edit by edit."""
    groups: dict[tuple[str | None, ...], list[int]] = defaultdict(lambda: [0] * 6)

    def add(told: Telling, model: str | None, *amounts: int) -> None:
        accepted = next(row for row in history.rows if row.edit == told.edit)
        day = datetime.fromtimestamp(first_ms(history.rows, told.edit) / 1000, UTC).date().isoformat()
        values = {"day": day, "team": told.team, "key": told.key_id, "tier": "standard", "model": model}
        group = tuple(accepted.tags.get(name[4:]) if name.startswith("tag:") else values[name] for name in by)
        groups[group] = [before + more for before, more in zip(groups[group], amounts, strict=True)]

    for told in history.edits:
        done = _delivered(told)
        offer = done.offer if done else told.tries[-1].offer if told.tries else None
        pictures = next(
            (row.pictures or 0 for row in reversed(history.rows) if row.id.startswith(f"{told.edit}/finish")), 0
        )
        add(told, offer, int(told.status != "undone"), pictures, 0, 0, 0, told.held)
        for one in told.tries:
            unresolved = one.price if one.state == "unresolved" else 0
            if one.state != "open":
                add(told, one.offer, 0, 0, one.cost, 0 if one is done else one.cost, unresolved, 0)
    return dict(groups)


def _delivered(told: Telling) -> Try | None:
    done = [one for one in told.tries if one.state == "settled"] if told.status == "succeeded" else []
    return done[-1] if done else None


def found(lines: tuple[Line, ...]) -> dict[tuple[str | None, ...], list[int]]:
    return {
        line.group: [
            line.edits, line.pictures, line.spent_micro, line.wasted_micro, line.unresolved_micro, line.held_micro,
        ]
        for line in lines
    }  # fmt: skip


def eventful() -> History:
    history = History()
    history.done(tags={"campaign": "spring", 'a "b" $.c': "=1+1"})
    history.done(50_000, tags={"campaign": "autumn"})
    told = history.edit().accept(80_000).open(40_000).close("settled", 40_000, failure="bad_picture")
    told.open(80_000, MAX).close("settled", 81_000).finish("succeeded")
    history.edit("studio", "web").accept(40_000).open(40_000).close("unresolved").finish("unresolved")
    settled = history.edit("studio").accept(40_000).open(40_000).close("unresolved").finish("unresolved")
    history.now_ms += 24 * 3600 * 1000
    settled.resolve(1, "settled").correct(1, 1)
    history.edits[0].correct(1, -1)
    history.edit("studio").accept(70_000).open(40_000, PRO)
    history.edit("studio").accept(9)
    history.edit("studio").accept(40_000).open(40_000).close("released").finish("failed")
    history.edit("studio").accept(40_000).finish("undone")
    return history


@pytest.mark.parametrize("by", GROUPINGS, ids=",".join)
async def test_groups_add_up(book: Book, by: tuple[str, ...]) -> None:
    history = eventful()
    await book.write(history.rows)
    assert found(await usage(book, Query(by=by))) == expected(history, by)


@given(histories())
@settings(max_examples=25, deadline=None)
async def test_any_history_adds_up(history: History) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with aclosing(await Book.open(f"sqlite:{Path(folder) / 'ledger.db'}")) as book:
            await book.write(history.rows)
            for by in GROUPINGS:
                wanted = expected(history, by)
                assert found(await usage(book, Query(by=by))) == ({(): [0] * 6} if by == () and not wanted else wanted)


async def test_days_and_team_choose_edits_by_their_acceptance(book: Book) -> None:
    history = eventful()
    await book.write(history.rows)
    first, second = date(2027, 1, 31), date(2027, 2, 1)
    chosen = {
        "first": Query(by=("day",), until=first),
        "second": Query(by=("day",), since=second, until=second),
        "both": Query(by=("day",), since=first),
        "none": Query(by=("day",), since=date(2027, 2, 2)),
    }
    days = {name: [line.group[0] for line in await usage(book, query)] for name, query in chosen.items()}
    assert days == {"first": ["2027-01-31"], "second": ["2027-02-01"], "both": ["2027-01-31", "2027-02-01"], "none": []}
    studio = await usage(book, Query(by=("team",), team="studio"))
    assert found(studio) == {
        group: sums for group, sums in expected(history, ("team",)).items() if group == ("studio",)
    }


async def test_a_tag_is_a_value_and_never_a_path(book: Book) -> None:
    await book.write(eventful().rows)
    lines = await usage(book, Query(by=('tag:a "b" $.c',)))
    assert [(line.group, line.edits) for line in lines] == [((None,), 7), (("=1+1",), 1)]
    assert [line.group for line in await usage(book, Query(by=("tag:x' OR 1=1 --",)))] == [(None,)]


@pytest.mark.parametrize("text", ["", "colour", "team,team", "tag:", "team;day", "day,team,key,model,tier,tag:a,tag:b"])
def test_by_says_what_it_takes(text: str) -> None:
    with pytest.raises(ValueError, match="team, key, model, tier, day and tag:NAME"):
        parse_by(text)


def test_by_reads_names() -> None:
    assert parse_by("team, tag:campaign 7") == ("team", "tag:campaign 7")
