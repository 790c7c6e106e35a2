"""When a policy's rule holds: by the hour and by what is left of the budget. Every part that is given must hold."""

import re

from msgspec import Struct

from policies.facts import Facts

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`utc`: a span of the day such as `20:00-06:00`, its end not included; over midnight where it ends before it
    begins. `budget_left_below`: a share of the tightest budget. Without either it always holds.

    Raises `ValueError` for what could never be meant.
    """

    utc: str | None = None
    budget_left_below: float | None = None

    def __post_init__(self) -> None:
        if self.utc is not None:
            minutes_of(self.utc)
        if self.budget_left_below is not None and not 0 < self.budget_left_below <= 1:
            raise ValueError(f"budget_left_below = {self.budget_left_below:g}: expected a share above 0 and up to 1")


def minutes_of(span: str) -> tuple[int, int]:
    """The span's ends as minutes of the day."""
    found = _SPAN.fullmatch(span)
    if found is None:
        raise ValueError(f'utc = "{span}": expected two times of the day in UTC, such as "20:00-06:00"')
    first, last = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if first == last:
        raise ValueError(f'utc = "{span}": begins and ends at the same minute; leave utc out for the whole day')
    return first, last


def holds(when: When, facts: Facts) -> bool:
    """A part whose fact is not known does not hold: a rule is an exception, and exceptions need a reason."""
    return _in_span(when, facts) and _short_of_budget(when, facts)


def _in_span(when: When, facts: Facts) -> bool:
    if when.utc is None:
        return True
    if facts.minute is None:
        return False
    first, last = minutes_of(when.utc)
    if first < last:
        return first <= facts.minute < last
    return facts.minute >= first or facts.minute < last


def _short_of_budget(when: When, facts: Facts) -> bool:
    if when.budget_left_below is None:
        return True
    return facts.budget_left is not None and facts.budget_left < when.budget_left_below
