"""What was spent, as the gateway sums it up."""

from decimal import Decimal

import msgspec
from msgspec import Struct


class Sums(Struct, frozen=True, kw_only=True):
    edits: int
    pictures: int
    spent_usd: Decimal
    wasted_usd: Decimal
    unresolved_usd: Decimal
    held_usd: Decimal


class Spending(Sums, frozen=True, kw_only=True):
    """One line: the sums of a group. `group`: what the edits of this line have in common, such as `{"team": "growth"}`;
    None where they have no such thing."""

    group: dict[str, str | None]


class _Answer(Struct, frozen=True, kw_only=True):
    by: tuple[str, ...]
    data: tuple[dict[str, str | int | None], ...]


def read(body: bytes) -> tuple[Spending, ...]:
    """The gateway writes a group's names beside its sums."""
    answer = msgspec.json.decode(body, type=_Answer)
    return tuple(_line(answer.by, line) for line in answer.data)


def _line(by: tuple[str, ...], line: dict[str, str | int | None]) -> Spending:
    group = {name: line[name] for name in by}
    sums = {name: value for name, value in line.items() if name not in group}
    return msgspec.convert({**sums, "group": group}, Spending)
