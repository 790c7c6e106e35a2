"""The OpenAI images protocol as our local servers speak it: golden requests and replies."""

import json
from pathlib import Path

import msgspec
import pytest

from adapters.contract import Attempt, Edit, HttpCall, HttpReply, ImageFormat, Outcome, Picture
from adapters.openai_images import PROFILES, OpenAIImages, OpenAIImagesSettings
from gateway.catalogue import offers, read_catalogue

GOLDEN = Path(__file__).parent / "golden" / "openai_images"
OFFERS = {offer.model: offer for offer in offers("local", read_catalogue("local"), {}, billed=False)}
PHOTO = Picture("a" * 64, ImageFormat.PNG, 1600, 900, 300_000)
ADAPTER = OpenAIImages()


def cases(folder: str):
    return [pytest.param(json.loads(file.read_text()), id=file.stem) for file in sorted((GOLDEN / folder).glob("*"))]


def attempt(edit: Edit | None = None, model: str = "preview") -> Attempt:
    edit = edit or Edit(prompt="Make it grayscale", images=(PHOTO,), n=2)
    return Attempt(id="7c" * 16, number=1, edit=edit, offer=OFFERS[model])


@pytest.mark.parametrize("case", cases("requests"))
def test_request(case):
    call = ADAPTER.submit(attempt(msgspec.convert(case["edit"], Edit), case["model"])).call
    assert call == msgspec.convert(case["call"], HttpCall)


@pytest.mark.parametrize("case", cases("replies"))
def test_reply(case):
    body = case["reply"]["body"]
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    reply = HttpReply(case["reply"]["status"], case["reply"]["headers"], raw)
    outcome = ADAPTER.read(attempt(), ADAPTER.submit(attempt()).call, reply)
    words = getattr(outcome, "message", "")
    assert "LEAK" not in words, "a provider's own words are not for our callers"
    expected = {**case["outcome"], "message": words} if words else case["outcome"]
    assert outcome == msgspec.convert(expected, Outcome)


def test_notes_are_bounded_and_printable():
    notes = ["x" * 5000, "bell\x07 and \x1b[31mred", 7, ""] + ["again"] * 100
    body = json.dumps({"data": [{"b64_json": "aGk="}], "not_applied": notes}).encode()
    outcome = ADAPTER.read(attempt(), ADAPTER.submit(attempt()).call, HttpReply(200, {}, body))
    shown = getattr(outcome, "notes", ())
    assert len(shown) == 20
    assert all(len(note) < 250 and note.isprintable() for note in shown)
    assert shown[1] == "not applied: bell and [31mred"


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(msgspec.ValidationError, match="profile must be one of: kontext"):
        msgspec.convert({"profile": "konext"}, OpenAIImagesSettings)
    assert list(PROFILES) == ["kontext"]
