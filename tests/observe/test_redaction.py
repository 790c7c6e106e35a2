"""Nothing that must not be kept leaves by the log, whoever wrote it and however deep it lies."""

import io
import json
import logging

import pytest
import structlog

from gateway.observe import configure_logging, never_log
from gateway.observe.log import processors
from gateway.observe.redaction import LEFT_OUT, MOST_CHARACTERS, Redaction

BASE64 = "iVBORw0KGgo" * 12
SECRET = "rw-5f0c2d9b7a"


def logged(**fields: object) -> str:
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=processors(Redaction([SECRET]), as_json=True),
        cache_logger_on_first_use=False,
    )
    logger.warning("happened", **fields)
    return out.getvalue()


@pytest.mark.parametrize(
    ("said", "canary"),
    [
        ("authorization: Bearer kx_9aF3-zz", "kx_9aF3-zz"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("a key kx_q5M8Zt_aa was sent", "kx_q5M8Zt_aa"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ('{"api_key": "abcd-1234"}', "abcd-1234"),
        ("X-API-Key=abcd-1234", "abcd-1234"),
        ("password=hunter2", "hunter2"),
        ("postgresql://kontext:hunter2@db/ledger", "hunter2"),
        ("https://cdn.example/a.png?X-Amz-Signature=cafe", "cafe"),
        ("http://gw/v1/edits/edit_1/images/0?expires=1&signature=cafe", "cafe"),
        (f"data:image/png;base64,{BASE64}", "iVBORw0KGgo"),
        (f"the body was {BASE64}==", "iVBORw0KGgo"),
        ("mail anna.lee+x@example.co.uk about it", "anna.lee"),
        (f"the provider did not know {SECRET}.", SECRET),
    ],
)
def test_what_looks_like_a_secret_is_left_out_of_every_text(said: str, canary: str) -> None:
    for line in (logged(error=said), logged(deep={"list": [said]}), logged(exc_info=ValueError(said))):
        assert canary not in line
        assert LEFT_OUT in line


@pytest.mark.parametrize("name", ["prompt", "Authorization", "api_key", "body", "url", "negative_prompt", "secret"])
def test_a_field_of_a_forbidden_name_is_left_out_whatever_it_holds(name: str) -> None:
    assert "canary" not in logged(**{name: "canary"})
    assert "canary" not in logged(request={"fields": {name: ["canary"]}})


def test_what_on_call_needs_stays() -> None:
    fields = {
        "edit": "edit_019abf3e6c1d7c0e9a0b1c2d3e4f5a6b", "attempt": "0123456789abcdef" * 2,
        "offer": "runware/kontext-pro", "digest": "ab" * 32, "seconds": 1.25, "cost_micro": 40_000, "at": "https://api.runware.ai/v1",
    }  # fmt: skip
    line = json.loads(logged(**fields))
    assert {name: line[name] for name in fields} == fields


def test_a_line_stays_short() -> None:
    assert len(logged(error="so " * 100_000)) < MOST_CHARACTERS + 500


def test_what_libraries_log_goes_the_same_way() -> None:
    out, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logging(as_json=True, stream=out)
        never_log(["rotated-key-31415926"])
        said = "Bearer kx_9aF3-zz and rotated-key-31415926"
        logging.getLogger("uvicorn.error").error(said, exc_info=ValueError("a@b.io"))
    finally:
        root.handlers, root.level = before
        structlog.reset_defaults()
    line = json.loads(out.getvalue())
    assert line["level"] == "error"
    assert not [canary for canary in ("kx_9aF3", "31415926", "a@b.io") if canary in out.getvalue()]
