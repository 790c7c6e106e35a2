"""What a person who waits for `kontext edit` is told of each event."""

import pytest

from gateway.cli.story import meanwhile
from gateway.client import Event

WORDS = {
    ("queued", b'{"edit":"e","status":"queued"}'): "accepted",
    ("attempt", b'{"number":1,"offer":"runware/kontext-pro","state":"started"}'): "editing at runware/kontext-pro",
    ("attempt", b'{"number":1,"offer":"runware/kontext-pro","state":"accepted"}'): "",
    ("attempt", b'{"offer":"runware/kontext-pro","state":"ended","outcome":"busy"}'): "runware/kontext-pro: busy",
    ("progress", b'{"offer":"a/b","elapsed_s":2.0,"expected_s":9.1}'): "editing at a/b, usually 9.1 s",
    (
        "progress",
        b'{"offer":"a/b","elapsed_s":2.0,"expected_s":9.1,"step":3,"steps":28}',
    ): "editing at a/b, step 3 of 28",
    ("eclipse", b"1"): "",
}


@pytest.mark.parametrize(("told", "words"), WORDS.items())
def test_an_event_in_words(told: tuple[str, bytes], words: str) -> None:
    assert meanwhile(Event(name=told[0], data=told[1])) == words
