"""What a receiver does with a message: taken if a live secret signed it now, refused otherwise."""

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from hmac import digest

import pytest

from gateway.client import WebhookRefusedError, verify

KEY, OTHER = b"k" * 32, b"o" * 32
SECRET, OTHER_SECRET = (f"whsec_{b64encode(key).decode()}" for key in (KEY, OTHER))
NOW_S = 1_800_000_000
BODY = b'{"type":"edit.succeeded","timestamp":"2027-01-15T08:00:00Z","data":{"id":"edit_1","status":"succeeded","x":1}}'


def signature(key: bytes = KEY, body: bytes = BODY, at_s: int = NOW_S) -> str:
    return "v1," + b64encode(digest(key, b"msg_1.%d." % at_s + body, sha256)).decode()


def headers(*signatures: str, at_s: int = NOW_S) -> dict[str, str]:
    sent = " ".join(signatures or (signature(at_s=at_s),))
    return {"Webhook-Id": "msg_1", "webhook-timestamp": str(at_s), "webhook-signature": sent}


def test_a_message_is_read() -> None:
    message = verify(BODY, headers(), SECRET, now_s=NOW_S)
    assert (message.id, message.type, message.data.id, message.data.status) == (
        "msg_1", "edit.succeeded", "edit_1", "succeeded",
    )  # fmt: skip
    assert message.timestamp == datetime(2027, 1, 15, 8, 0, tzinfo=UTC)


def test_the_example_of_the_specification_is_verified() -> None:
    """https://github.com/standard-webhooks/standard-webhooks, its libraries' common test."""
    body = b'{"test": 2432232314}'
    sent = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(WebhookRefusedError, match="no event of the gateway"):  # rightly signed, and not ours
        verify(body, sent, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", now_s=1_614_265_330)


def test_either_secret_and_either_signature_is_enough_during_a_rotation() -> None:
    verify(BODY, headers(signature(OTHER)), (SECRET, OTHER_SECRET), now_s=NOW_S)
    verify(BODY, headers("v1,AAAA", signature(OTHER), signature()), SECRET, now_s=NOW_S)


@pytest.mark.parametrize("off_s", [-300, 300])
def test_five_minutes_are_granted(off_s: int) -> None:
    verify(BODY, headers(at_s=NOW_S + off_s), SECRET, now_s=NOW_S)


REFUSED: dict[str, tuple[bytes, dict[str, str], str]] = {
    "another body": (BODY + b" ", headers(), SECRET),
    "another secret": (BODY, headers(), OTHER_SECRET),
    "too old": (BODY, headers(at_s=NOW_S - 301), SECRET),
    "of the future": (BODY, headers(at_s=NOW_S + 301), SECRET),
    "another scheme": (BODY, headers(signature().replace("v1,", "v1a,")), SECRET),
    "another id": (BODY, {**headers(), "Webhook-Id": "msg_2"}, SECRET),
    "no signature": (BODY, {**headers(), "webhook-signature": ""}, SECRET),
    "no id": (BODY, {**headers(), "Webhook-Id": ""}, SECRET),
    "no time": (BODY, {**headers(), "webhook-timestamp": "now"}, SECRET),
    "a time beyond numbers": (BODY, {**headers(), "webhook-timestamp": "9" * 5_000}, SECRET),
    "a signature that is not ASCII": (BODY, headers("v1,ÿ"), SECRET),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_the_gateways_is_refused(what: str) -> None:
    body, sent, secret = REFUSED[what]
    with pytest.raises(WebhookRefusedError):
        verify(body, sent, secret, now_s=NOW_S)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!"])
def test_a_secret_that_is_none_is_never_right(secret: str) -> None:
    empty = {**headers(), "webhook-signature": signature(b"")}
    with pytest.raises(ValueError, match="whsec_"):
        verify(BODY, empty, secret, now_s=NOW_S)
