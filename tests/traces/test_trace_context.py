"""W3C trace context, level 1: what the recommendation's own test harness asks of a service, written anew as a table.

Each case is a request's fields, and what whoever is called next is told."""

import re
import string
from collections.abc import Sequence

import pytest

from gateway.observe.tracecontext import read
from gateway.observe.tracing import Untraced

TRACE, SPAN = "12345678901234567890123456789012", "1234567890123456"
GOOD = f"00-{TRACE}-{SPAN}-01"
PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]")


def told(parents: Sequence[str], states: Sequence[str] = ()) -> tuple[str, str]:
    """`traceparent` and `tracestate` of a call to a provider."""
    chance = iter(range(1, 100))
    tracer = Untraced(lambda count: bytes([next(chance)]) * count)
    edit = tracer.edit(read(parents, states), None, {})
    headers = tracer.attempt(edit, "attempt", {}).context.headers
    return headers["traceparent"], headers.get("tracestate", "")


CONTINUED = {
    "as it is": [GOOD],
    "not sampled": [f"00-{TRACE}-{SPAN}-00"],
    "flags that nobody knows yet": [f"00-{TRACE}-{SPAN}-ff"],
    "a higher version": [f"cc-{TRACE}-{SPAN}-01"],
    "a higher version with more behind": [f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"],
    "a higher version with an empty field behind": [f"cc-{TRACE}-{SPAN}-01-"],
    "spaces and tabs around": [f" \t{GOOD} \t"],
}
NEW = {
    "none at all": [],
    "empty": [""],
    "two of them": [GOOD, f"00-{TRACE}-{SPAN}-00"],
    "two that are equal": [GOOD, GOOD],
    "version ff": [f"ff-{TRACE}-{SPAN}-01"],
    "version with an upper-case letter": [f"Cc-{TRACE}-{SPAN}-01"],
    "version of one digit": [f"0-{TRACE}-{SPAN}-01"],
    "version of three digits": [f"000-{TRACE}-{SPAN}-01"],
    "version that is no number": [f".0-{TRACE}-{SPAN}-01"],
    "version 00 with more behind": [f"{GOOD}-extra"],
    "version 00 with a dash behind": [f"{GOOD}-"],
    "a higher version without the dash before more": [f"cc-{TRACE}-{SPAN}-01.what"],
    "trace id of zeros": [f"00-{'0' * 32}-{SPAN}-01"],
    "trace id with an upper-case letter": [f"00-A{TRACE[1:]}-{SPAN}-01"],
    "trace id with a letter beyond f": [f"00-.{TRACE[1:]}-{SPAN}-01"],
    "trace id too long": [f"00-{TRACE}3-{SPAN}-01"],
    "trace id too short": [f"00-{TRACE[:-1]}-{SPAN}-01"],
    "span id of zeros": [f"00-{TRACE}-{'0' * 16}-01"],
    "span id with an upper-case letter": [f"00-{TRACE}-A{SPAN[1:]}-01"],
    "span id that is no number": [f"00-{TRACE}-.{SPAN[1:]}-01"],
    "span id too long": [f"00-{TRACE}-{SPAN}7-01"],
    "span id too short": [f"00-{TRACE}-{SPAN[:-1]}-01"],
    "flags that are no number": [f"00-{TRACE}-{SPAN}-.0"],
    "flags with an upper-case letter": [f"00-{TRACE}-{SPAN}-0A"],
    "flags too long": [f"00-{TRACE}-{SPAN}-001"],
    "flags too short": [f"00-{TRACE}-{SPAN}-1"],
    "a line feed behind": [f"{GOOD}\n"],
    "other digits": [f"00-{TRACE[:-1]}٣-{SPAN}-01"],
}


@pytest.mark.parametrize("parents", CONTINUED.values(), ids=CONTINUED)
def test_a_good_parent_goes_on_with_a_span_of_our_own(parents: list[str]) -> None:
    parent, _ = told(parents)
    match = PARENT.fullmatch(parent)
    assert match
    assert match[1] == TRACE
    assert match[2] != SPAN


@pytest.mark.parametrize("parents", NEW.values(), ids=NEW)
def test_a_bad_parent_begins_a_new_trace_and_its_state_is_dropped(parents: list[str]) -> None:
    parent, state = told(parents, ["foo=1"])
    match = PARENT.fullmatch(parent)
    assert match
    assert match[1] != TRACE
    assert int(match[1], 16)
    assert state == ""


def test_the_sampled_flag_is_passed_on_and_nothing_else_of_the_flags() -> None:
    assert [told([f"00-{TRACE}-{SPAN}-{flags}"])[0][-2:] for flags in ("00", "01", "02", "03", "ff")] == [
        "00",
        "01",
        "00",
        "01",
        "01",
    ]


ALLOWED = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",= ")
EVERY_KEY = f"{string.ascii_lowercase}{string.digits}_-*/"
LONGEST_KEY = "a" + "b" * 255
LONGEST_TENANT = "t" * 241 + "@" + "v" * 14
KEPT = {
    "one member": (["foo=1"], "foo=1"),
    "two in one field": (["foo=1,bar=2"], "foo=1,bar=2"),
    "two fields, in their order": (["foo=1", "bar=2"], "foo=1,bar=2"),
    "an empty field before": (["", "foo=1"], "foo=1"),
    "an empty field behind": (["foo=1", ""], "foo=1"),
    "empty members": (["foo=1,,bar=2,"], "foo=1,bar=2"),
    "spaces and tabs around members": (["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
    "spaces and tabs around all": ([" foo=1 ", "\tbar=2\t"], "foo=1,bar=2"),
    "every letter that a key may have": ([f"{EVERY_KEY}=1"], f"{EVERY_KEY}=1"),
    "a tenant": (["foo@bar=1"], "foo@bar=1"),
    "a tenant that begins with a digit": (["0foo@bar=1"], "0foo@bar=1"),
    "the longest key": ([f"{LONGEST_KEY}=1"], f"{LONGEST_KEY}=1"),
    "the longest tenant": ([f"{LONGEST_TENANT}=1"], f"{LONGEST_TENANT}=1"),
    "every letter that a value may have": ([f"foo={ALLOWED}"], f"foo={ALLOWED}"),
    "a space within a value": (["foo=a b"], "foo=a b"),
    "the longest value": ([f"foo={'v' * 256}"], f"foo={'v' * 256}"),
    "32 members": ([",".join(f"k{n}=1" for n in range(32))], ",".join(f"k{n}=1" for n in range(32))),
}
DROPPED = {
    "no value": ["foo"],
    "an empty value": ["foo="],
    "no key": ["=1"],
    "a space in a key": ["foo =1"],
    "an upper-case key": ["FOO=1"],
    "a dot in a key": ["foo.bar=1"],
    "a key that begins with a digit": ["0foo=1"],
    "a tenant without a name": ["@foo=1"],
    "a tenant without a vendor": ["foo@=1"],
    "two tenants": ["foo@@bar=1"],
    "a tenant twice": ["foo@bar@baz=1"],
    "a key too long": [f"{LONGEST_KEY}b=1"],
    "a tenant's name too long": [f"t{LONGEST_TENANT}=1"],
    "a vendor too long": [f"{LONGEST_TENANT}v=1"],
    "an equals sign in a value": ["foo=bar=baz"],
    "a value too long": [f"foo={'v' * 257}"],
    "a letter beyond ASCII": ["foo=bär"],
    "a control character": ["foo=\x01"],
    "a key twice": ["foo=1,foo=2"],
    "a key twice in two fields": ["foo=1", "bar=2,foo=3"],
    "33 members": [",".join(f"k{n}=1" for n in range(33))],
    "33 members in two fields": ["a=1", ",".join(f"k{n}=1" for n in range(32))],
}


@pytest.mark.parametrize(("states", "expected"), KEPT.values(), ids=KEPT)
def test_a_good_state_is_passed_on(states: list[str], expected: str) -> None:
    assert told([GOOD], states)[1] == expected


@pytest.mark.parametrize("states", DROPPED.values(), ids=DROPPED)
def test_a_bad_state_is_dropped_and_its_parent_stays_good(states: list[str]) -> None:
    parent, state = told([GOOD], states)
    assert TRACE in parent
    assert state == ""


def test_a_state_without_a_parent_is_not_passed_on() -> None:
    assert told([], ["foo=1"])[1] == ""
