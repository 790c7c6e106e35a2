"""The client's protocol without a network: steps out, answers in."""

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest

from gateway.client.errors import ProblemError, error_of
from gateway.client.events import Event, Reader
from gateway.client.retry import Retry, retry_after_s
from gateway.client.steps import Call, File, Form, Json, Lost, Reply
from gateway.client.wire import Address
from gateway.client.wishes import body_of, wish_of
from tests.end_to_end.stage import PHOTO


def test_a_problem_of_a_newer_gateway_is_a_problem() -> None:
    error = error_of(b'{"type": "urn:kontext:problem:eclipse", "detail": "dark", "moon": 1}', None)
    assert type(error) is ProblemError
    assert (error.problem.kind, str(error)) == ("eclipse", "dark")
    assert error_of(b"<html>", None) is error_of(b"[]", None) is error_of(b"{}", None) is None


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_files_go_as_they_are() -> None:
    body = body_of(
        wish_of("Blue", [PHOTO, PHOTO], {"mask": PHOTO, "n": 2, "models": ["a/b"], "strict": True, "seed": None})
    )
    assert isinstance(body, Form)
    assert body.files == (("image", File(PHOTO)), ("image", File(PHOTO)), ("mask", File(PHOTO)))
    assert body.fields == {"prompt": "Blue", "n": "2", "models": '["a/b"]', "strict": "true"}


def test_addresses_go_as_json() -> None:
    body = body_of(wish_of("Blue", "https://files.example/mug.png", {"output": {"format": "webp"}}))
    assert isinstance(body, Json)
    assert msgspec.json.decode(body.content) == {
        "prompt": "Blue",
        "images": ["https://files.example/mug.png"],
        "output": {"format": "webp"},
    }


def test_a_file_beside_an_address_goes_as_text() -> None:
    body = body_of(wish_of("Blue", ["edit_0198/0", PHOTO], {}))
    assert isinstance(body, Json)
    images = msgspec.json.decode(body.content)["images"]
    assert images == ["edit_0198/0", f"data:image/jpeg;base64,{b64encode(PHOTO).decode()}"]


def test_text_that_is_no_address_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "edit_1").write_bytes(b"x")
    assert wish_of("Blue", str(tmp_path / "edit_1"), {}).images == (File(b"x"),)


# --- when it is repeated --------------------------------------------------------------------------------------------

NOW_S = datetime(2027, 1, 31, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        ("Sun, 31 Jan 2027 12:00:30 GMT", 30.0),
        ("Sun, 31 Jan 2027 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_a_time_to_come_back_is_seconds_or_a_date(text: str, expected: float | None) -> None:
    assert retry_after_s(Reply(503, {"retry-after": text}, b""), NOW_S) == expected


@pytest.mark.parametrize(
    ("told", "is_repeated"),
    [
        (Lost("ReadError"), True),
        (Reply(409, {"retry-after": "1"}, b""), True),
        (Reply(409, {}, b""), False),
        (Reply(402, {"retry-after": "3600"}, b""), False),
        (Reply(422, {}, b""), False),
        (Reply(502, {"x-should-retry": "false"}, b""), False),
        (Reply(504, {}, b""), True),
    ],
)
def test_what_is_repeated(told: Reply | Lost, is_repeated: bool) -> None:
    assert (Retry().pause_s(told, 0, 1.0, NOW_S) is not None) == is_repeated


def test_a_pause_is_drawn_from_nothing_to_twice_the_last() -> None:
    retry = Retry(base_s=1.0, most_s=5.0)
    lost = Lost("ReadError")
    assert [retry.pause_s(lost, tried, 1.0, NOW_S) for tried in range(7)] == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0, None]
    assert retry.pause_s(lost, 3, 0.0, NOW_S) == 0.0


# --- events ---------------------------------------------------------------------------------------------------------

STREAM = (
    b'retry: 1500\n\nid: 1-0\nevent: queued\ndata: {"edit":"e"}\n\n: waiting\n\nevent: news\ndata: 1\ndata: 2\n\nid: 2'
)
EVENTS = [Event(name="queued", id="1-0", data=b'{"edit":"e"}'), Event(name="news", data=b"1\n2")]


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_events_are_read_however_they_are_cut_into_pieces(size: int, line_end: bytes) -> None:
    reader, text = Reader(), STREAM.replace(b"\n", line_end)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS
    assert EVENTS[0].field("edit") == "e"
    assert EVENTS[0].field("colour") is None


@pytest.mark.parametrize("url", ["http://gateway:8080", "http://gateway:8080/", "http://gateway:8080/v1/"])
def test_the_gateways_address_may_be_the_one_that_an_openai_client_is_told(url: str) -> None:
    with httpx.Client() as http:
        request = Address(url, "kx_1").request(http, Call(method="GET", path="/v1/models"))
    assert str(request.url) == "http://gateway:8080/v1/models"
    assert request.headers["authorization"] == "Bearer kx_1"
