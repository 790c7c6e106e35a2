"""Whether a call is repeated, and after how long. Every call may be: those that begin something carry an
Idempotency-Key, the same one each time."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from msgspec import Struct

from gateway.client.steps import Lost, Reply

REPEATED = frozenset({408, 429, 500, 502, 503, 504})


class Retry(Struct, frozen=True, kw_only=True):
    """`times`: repeats of one call. Pauses are drawn evenly from 0 to `base_s`, doubled each time up to `most_s`, and
    come on top of what the gateway asks for. Where it asks for more than `patience_s`, the call ends instead."""

    times: int = 6
    base_s: float = 0.5
    most_s: float = 8.0
    patience_s: float = 60.0

    def pause_s(self, told: Reply | Lost, tried: int, chance: float, now_s: float) -> float | None:
        """Before the repeat after `tried` earlier ones; None for no repeat. `chance`: from 0 to 1; `now_s`: epoch
        seconds."""
        if tried >= self.times or not is_repeated(told):
            return None
        asked_s = retry_after_s(told, now_s) or 0.0
        return None if asked_s > self.patience_s else asked_s + self.jitter_s(tried, chance)

    def jitter_s(self, tried: int, chance: float) -> float:
        return min(self.most_s, self.base_s * 2**tried) * chance


def is_repeated(told: Reply | Lost) -> bool:
    """The gateway's own word first. A 409 that names a time is a twin of this request that is still being taken."""
    if isinstance(told, Lost):
        return True
    word = told.headers.get("x-should-retry")
    if word in ("true", "false"):
        return word == "true"
    return told.status in REPEATED or (told.status == 409 and "retry-after" in told.headers)


def retry_after_s(told: Reply | Lost, now_s: float) -> float | None:
    """Seconds or a date, as RFC 9110 has both; None for neither."""
    text = told.headers.get("retry-after", "") if isinstance(told, Reply) else ""
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s)
