"""What is believed of a reply, and what is not."""

from decimal import Decimal

import pytest

from adapters import replies
from adapters.contract import HttpReply


def reply(body: bytes = b"", **headers: str) -> HttpReply:
    return HttpReply(200, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("value", "micro"),
    [
        ("0.160000", 160_000),
        ("0.0157", 15_700),
        (Decimal("0.0314"), 31_400),
        ("0.0000005", 1),
        ("0.0000004", None),
        (1, 1_000_000),
        ("10", 10_000_000),
        ("10.000001", None),
        (0, None),
        ("-1", None),
        (True, None),
        (0.04, None),
        ("NaN", None),
        ("sNaN", None),
        ("Infinity", None),
        ("1e999999999", None),
        ("9E+999999", None),
        (Decimal("9E+999999"), None),
        ("0" * 33, None),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_money(value, micro):
    assert replies.micro_usd(value, most_micro=10_000_000) == micro


def test_a_fraction_never_passes_through_a_float():
    """0.0157 * 1e6 is 15699.999999999998 as a float."""
    document = replies.tree(replies.document(reply(b'{"cost": 0.0157}')))
    assert replies.micro_usd(document["cost"], most_micro=10_000_000) == 15_700


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5_000])
def test_what_is_no_document_is_none(body):
    assert replies.document(reply(body)) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), (" 7 ", 7), ("3601", 3600), ("0", 0), ("-1", None), ("1.5", None), ("²", None), ("9" * 10, None),
     ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)  # fmt: skip
def test_retry_after(header, seconds):
    assert replies.retry_after(reply(retry_after=header)) == seconds
    assert replies.retry_after(reply()) is None


@pytest.mark.parametrize(
    ("value", "id_"),
    [("0198a000-0000-7000-8000-0000000000aa", "0198a000-0000-7000-8000-0000000000aa"), ("run_1.2", "run_1.2"),
     (".", ""), ("..", ""), (".a", ""), ("a/b", ""), ("a b", ""), ("a\n", ""), ("a?b", ""), ("é", ""), ("", ""),
     ("a" * 200, "a" * 200), ("a" * 201, ""), (7, ""), (None, "")],
)  # fmt: skip
def test_identifier(value, id_):
    assert replies.identifier(value) == id_


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("VALIDATION_ERROR", "VALIDATION_ERROR"),
        ("a.b-c_1", "a.b-c_1"),
        ("your prompt said", ""),
        ("x" * 65, ""),
        (7, ""),
    ],
)
def test_code(value, code):
    assert replies.code(value) == code


@pytest.mark.parametrize(
    ("value", "seed"),
    [(0, 0), (41, 41), (2**63 - 1, 2**63 - 1), (2**63, None), (-1, None), (True, None), ("41", None), (None, None)],
)
def test_seed(value, seed):
    assert replies.seed(value) == seed


@pytest.mark.parametrize(
    ("body", "shown", "words"),
    [
        (b'{"code": "A", "message": "m", "errors": null}', "HTTP 200, A", "m"),
        (
            b'{"code": "A", "message": "m", "errors": [{"field": "input.n", "message": "e"}]}',
            "HTTP 200, A, field input.n",
            "m e",
        ),
        (b'{"error": {"code": "A", "message": "m"}, "code": "B"}', "HTTP 200, A", "m"),
        (b'{"error": "m", "code": "A"}', "HTTP 200, A", "m"),
        (b'{"detail": "m"}', "HTTP 200", "m"),
        (b'{"detail": [{"loc": ["body", "input", 0, "n"], "msg": "m"}]}', "HTTP 200, field body.input.n", "m"),
        (b'{"errors": [{"field": "my secret prompt", "message": "m"}]}', "HTTP 200", "m"),
        (b"[]", "HTTP 200", ""),
    ],
)
def test_refusal(body, shown, words):
    told = replies.refusal(reply(body))
    assert (str(told), told.words) == (shown, words)
