"""RFC 7240, as its callers write it."""

import pytest

from gateway.api.preferences import Preference, preference

SAID: dict[tuple[str, ...], Preference] = {
    (): Preference(60),
    ("",): Preference(60),
    ("return=minimal",): Preference(60),
    ("wait=5",): Preference(5, ("wait=5",)),
    ("Wait = 5",): Preference(5, ("wait=5",)),
    ('wait="5"',): Preference(5, ("wait=5",)),
    ("wait=5; reason=hurry",): Preference(5, ("wait=5",)),
    ("wait=100000",): Preference(900, ("wait=900",)),
    ("wait=1, wait=9",): Preference(1, ("wait=1",)),
    ("wait=-1",): Preference(60),
    ("wait=²",): Preference(60),
    ("wait",): Preference(60),
    ("nowait=5, await=5",): Preference(60),
    ("respond-async",): Preference(0, ("respond-async",)),
    ("Respond-Async; foo",): Preference(0, ("respond-async",)),
    ("do-not-respond-async",): Preference(60),
    ("respond-async, wait=10",): Preference(10, ("respond-async", "wait=10")),
    ("return=minimal", "wait=3"): Preference(3, ("wait=3",)),
}


@pytest.mark.parametrize("fields", SAID, ids=" + ".join)
def test_a_preference_is_read_and_what_is_honoured_named(fields: tuple[str, ...]) -> None:
    assert preference(fields) == SAID[fields]
