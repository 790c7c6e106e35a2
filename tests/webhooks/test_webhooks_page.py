"""What the page on webhooks shows is what happens."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from standardwebhooks import Webhook

from policies.delivery import PAUSES_S

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")
BODY, SECRET = b'{"type": "edit.succeeded", "data": {"id": "edit_1"}}', "whsec_" + "A" * 43 + "="
Receive = Callable[[dict[str, str], bytes, str], int]


def receive() -> Receive:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, object] = {}
    exec(code, found)
    return cast("Receive", found["receive"])


def headers(age_s: int = 0) -> dict[str, str]:
    at = int(time.time()) - age_s
    signature = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(at, UTC), BODY.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def test_the_shown_receiver_takes_what_is_ours_and_new_and_nothing_else() -> None:
    shown = receive()
    assert shown(headers(), BODY, SECRET) == 204
    assert shown(headers(), BODY.replace(b"succeeded", b"refused"), SECRET) == 401
    assert shown(headers(), BODY, "whsec_" + "B" * 43 + "=") == 401
    assert shown(headers(age_s=600), BODY, SECRET) == 401


def test_the_shown_pauses_are_the_tables() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    found = re.findall(r"\| (\d+) \| (\d+) (s|min|h)\b", PAGE)
    shown = {int(number): int(count) * units[unit] for number, count, unit in found}
    assert shown == dict(enumerate(PAUSES_S, 2))
